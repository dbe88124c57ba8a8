"""What the person says, and what the API server echoes."""

from typing import Any

import pytest

from slurmgate.core import decision, desired
from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Stage, Step
from slurmgate.resources.submission import Metadata
from tests.unit.core.build import NOW, UNREACHABLE, Draft, admission, pending, record_of, row
from tests.unit.core.life import Life, shown

NONSENSE = Refused(Reason.INVALID_SPEC, "spec.files.0.inlineBase64: incorrect padding")


def test_an_echo_of_our_own_write_changes_nothing_but_the_version() -> None:
    life = Life().known().queue(pending())
    before, writes = life.record, len(life.writes)
    life.edit(life.draft.echoed())
    assert life.record.finalizers == before.finalizers
    assert (life.record.status, len(life.writes)) == (before.status, writes)


def test_an_echo_does_not_shorten_a_pause() -> None:
    life = Life().admit(UNREACHABLE)
    pause = life.record.not_before
    assert pause is not None
    assert life.edit(life.draft.echoed()).record.not_before == pause


def test_a_wish_ends_a_pause() -> None:
    life = Life().known().queue(pending()).suspend().control(Step.HOLD, UNREACHABLE)
    assert life.next_step is None
    assert life.cancel().next_step is Step.CANCEL


def test_an_edit_that_is_no_wish_leaves_a_pause_alone() -> None:
    life = Life().admit(UNREACHABLE)
    pause = life.record.not_before
    assert pause is not None
    assert life.edit(life.draft.edited(readyWhen="Running")).record.not_before == pause


def test_every_edit_is_answered_with_the_generation_it_made() -> None:
    life = Life().known().suspend().suspend(wish=False).orphan()
    assert life.status.observed_generation == 4


def test_finalizers_of_others_come_and_go() -> None:
    life = Life().admit()
    life.edit(life.draft.with_metadata(finalizers=["else.example/x"]).echoed())
    assert life.record.finalizers == ("else.example/x",)
    assert not life.record.finalized


def test_a_wish_that_comes_after_the_end_changes_no_end() -> None:
    life = Life().known().queue().account(record_of("FAILED", exit_code=1))
    phase, events = life.shows(), len(life.events)
    life.cancel().suspend().orphan().delete()
    assert (life.shows(), len(life.events)) == (phase, events)
    assert life.next_step is Step.LET_GO


def test_a_hold_that_is_taken_back_before_it_was_done_is_not_done() -> None:
    assert Life().known().queue(pending()).suspend().suspend(wish=False).next_step is None


def test_a_wish_to_suspend_between_acceptance_and_sbatch_is_followed_once_slurm_shows_the_job() -> None:
    life = Life().admit().suspend().submit()
    assert life.next_step is None
    assert life.queue(pending()).next_step is Step.HOLD


def test_a_wish_to_go_on_between_acceptance_and_sbatch_is_followed_at_once() -> None:
    draft = Draft().with_spec(suspend=True)
    life = Life(draft).admit(admission(held=True)).suspend(wish=False).submit()
    assert life.next_step is Step.RELEASE


# What cannot be read -------------------------------------------------------------------------------------------------


def refuse(body: dict[str, Any]) -> decision.Decision | None:
    return desired.unreadable(Metadata.model_validate(body["metadata"]), body, NONSENSE, NOW)


def test_what_cannot_be_read_is_rejected_in_words() -> None:
    decision = refuse(Draft().body())
    assert decision
    assert shown(decision.record.status) == ("Rejected", None, "InvalidSpec")
    assert [event.message for event in decision.events] == [NONSENSE.message]
    assert decision.record.over


def test_it_is_said_once() -> None:
    decision = refuse(Draft().body())
    assert decision
    assert refuse(Draft().with_status(decision.record.status).body()) is None


@pytest.mark.parametrize(
    "life",
    [Life().admit(), Life().known(), Life().known().queue(row("RUNNING")), Life().cancel()],
    ids=["accepted", "submitted", "running", "over"],
)
def test_what_was_readable_once_is_not_rejected_any_more(life: Life) -> None:
    """A newer operator that reads more strictly must not end the jobs of the older one."""
    assert refuse(Draft().with_status(life.status).body()) is None


# After a restart -----------------------------------------------------------------------------------------------------


def test_somebody_elses_finalizer_does_not_make_us_begin_again() -> None:
    life = Life().known().queue(row("RUNNING")).orphan().delete().let_go()
    life.draft = life.draft.with_metadata(finalizers=["else.example/x"]).echoed()
    assert life.restart().record.over
    assert life.stage is Stage.RELEASED
