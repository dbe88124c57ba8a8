"""What was not done: whether to try again."""

import pytest

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.slurm import verdicts

FILE_SYSTEMS = [
    "mkdir: cannot create directory '/home/kirby/slurmgate': Read-only file system",
    "mkdir: cannot create directory '/home/kirby/slurmgate': Disk quota exceeded",
    "tar: script: Cannot write: No space left on device",
    "mkdir: cannot create directory '/home/kirby/slurmgate': Stale file handle",
]


@pytest.mark.parametrize("words", FILE_SYSTEMS)
def test_a_file_system_that_cannot_be_written_for_a_while_is_waited_for(words: str) -> None:
    assert verdicts.later(words) is Reason.COMMAND_FAILED


@pytest.mark.parametrize("words", ["MaxSubmitted by Grp", "A" * 200_000 + "SubmitB", "Grp" * 70_000 + "Submit" * 30_000])
def test_words_of_any_length_are_read_in_no_time(words: str) -> None:
    verdicts.refusal(words, reason=Reason.SUBMIT_REJECTED)


def test_what_to_wait_for_is_found_however_much_is_said_after_it() -> None:
    words = "sbatch: error: Unable to contact slurm controller\n" + "a prolog that talks\n" * 200
    verdict = verdicts.refusal(words, reason=Reason.SUBMIT_REJECTED)
    assert isinstance(verdict, NotNow)
    assert verdict.reason is Reason.CONTROLLER_UNAVAILABLE
    assert len(verdict.message) <= verdicts.MOST_WORDS + len("... ")


def test_what_waiting_does_not_help_is_refused_in_slurms_words() -> None:
    words = "sbatch: error: invalid partition specified: fast\nsbatch: error: Batch job submission failed\n"
    assert verdicts.refusal(words, reason=Reason.SUBMIT_REJECTED) == Refused(
        Reason.SUBMIT_REJECTED, "invalid partition specified: fast\nBatch job submission failed"
    )
