"""Reasons are an interface: words that programs match on, sentences that people read."""

import re

import pytest

from slurmgate.core.reasons import Reason

DESIGN = """
UserNotMapped OwnerNotAllowed OptionNotAllowed HostKeyMismatch AuthenticationFailed SubmitRejected SubmissionUnknown
ClusterUnreachable Held Dependency Preempted Requeued NodeFail OutOfMemory TimeLimit Cancelled
"""


@pytest.mark.parametrize("reason", Reason)
def test_each_is_a_word_that_a_condition_may_carry_with_a_sentence(reason: Reason) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z]{1,62}", reason.value)
    assert reason.sentence.endswith(".")
    assert Reason(reason.value) is reason


def test_no_two_say_the_same() -> None:
    assert len({reason.sentence for reason in Reason}) == len(Reason)


def test_the_words_of_the_design_are_there() -> None:
    assert set(DESIGN.split()) <= {reason.value for reason in Reason}
