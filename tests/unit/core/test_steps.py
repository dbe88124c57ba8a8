"""The state machine as tables: what is to be done at each stage."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from slurmgate.core import steps
from slurmgate.core.record import Stage, Step
from slurmgate.core.steps import CANCEL_AGAIN_AFTER, DELETION_DEADLINE
from tests.unit.core.build import UNCERTAIN, UNREACHABLE, Draft, at, pending, record_of, row
from tests.unit.core.life import Life, told

PREPARING, ACCEPTED, UNKNOWN, KNOWN, ENDED, RELEASED = Stage
LONG_AGO = DELETION_DEADLINE + timedelta(minutes=1)


def life_at(stage: Stage) -> Life:
    match stage:
        case Stage.PREPARING:
            return Life()
        case Stage.ACCEPTED:
            return Life().admit()
        case Stage.UNKNOWN:
            return Life().admit().send()
        case Stage.KNOWN:
            return Life().known().queue(pending())
        case Stage.ENDED:
            return Life().known().queue().account(record_of("COMPLETED"))
        case Stage.RELEASED:
            return life_at(Stage.ENDED).let_go()


def test_each_stage_can_be_reached() -> None:
    assert [life_at(stage).stage for stage in Stage] == list(Stage)


WISHES: dict[str, Callable[[Life], Life]] = {
    "nothing": lambda life: life,
    "suspend": lambda life: life.suspend(),
    "cancel": lambda life: life.cancel(),
    "delete": lambda life: life.delete(),
    "orphan and delete": lambda life: life.orphan().delete(),
    "cancel, orphan and delete": lambda life: life.cancel().orphan().delete(),
}
WANTED: dict[Stage, tuple[Stage, Step | None]] = {
    PREPARING: (PREPARING, Step.ADMIT),
    ACCEPTED: (ACCEPTED, Step.SUBMIT),
    UNKNOWN: (UNKNOWN, Step.FIND),
    KNOWN: (KNOWN, None),
    ENDED: (ENDED, Step.LET_GO),
    RELEASED: (RELEASED, None),
}
NOT_WANTED: dict[Stage, tuple[Stage, Step | None]] = {
    PREPARING: (ENDED, None),
    ACCEPTED: (ENDED, Step.LET_GO),
    UNKNOWN: (UNKNOWN, Step.FIND),
    KNOWN: (KNOWN, Step.CANCEL),
    ENDED: (ENDED, Step.LET_GO),
    RELEASED: (RELEASED, None),
}
NEXT = {
    "nothing": WANTED,
    "suspend": {**WANTED, KNOWN: (KNOWN, Step.HOLD)},
    "cancel": NOT_WANTED,
    "delete": NOT_WANTED,
    "orphan and delete": {**NOT_WANTED, KNOWN: (KNOWN, Step.DISOWN)},
    "cancel, orphan and delete": NOT_WANTED,
}
ROWS = [(wish, stage, *after) for wish, stages in NEXT.items() for stage, after in stages.items()]


@pytest.mark.parametrize(
    ("wish", "stage", "stands", "step"), ROWS, ids=[f"{wish} while {stage.name.lower()}" for wish, stage, *_ in ROWS]
)
def test_the_next_step(wish: str, stage: Stage, stands: Stage, step: Step | None) -> None:
    life = WISHES[wish](life_at(stage))
    assert (life.stage, life.next_step) == (stands, step)


ALREADY_WISHED = {
    "created cancelled": (Draft().with_spec(cancel=True), ENDED, None),
    "created suspended": (Draft().with_spec(suspend=True), PREPARING, Step.ADMIT),
    "seen for the first time while it is being deleted": (Draft().deleted(at(0)), ENDED, None),
    "seen for the first time while it is being deleted, with our finalizer": (
        Draft().finalized().deleted(at(0)),
        ENDED,
        Step.LET_GO,
    ),
}


@pytest.mark.parametrize(("draft", "stage", "step"), ALREADY_WISHED.values(), ids=ALREADY_WISHED.keys())
def test_wishes_that_are_there_from_the_beginning(draft: Draft, stage: Stage, step: Step | None) -> None:
    life = Life(draft)
    assert (life.stage, life.next_step) == (stage, step)
    if stage is ENDED:
        assert life.shows() == ("Cancelled", None, "Cancelled")


def test_a_job_is_not_held_once_it_runs() -> None:
    life = Life().known().queue(row("RUNNING")).suspend()
    assert life.next_step is None


def test_a_job_that_is_requeued_is_held_then() -> None:
    life = Life().known().queue(row("RUNNING")).suspend().queue(pending("BeginTime", restarts=1))
    assert life.next_step is Step.HOLD


def test_a_job_that_somebody_else_let_go_is_not_called_suspended_while_it_runs() -> None:
    life = Life().known(held=True).suspend().queue(pending("JobHeldUser"))
    assert life.condition("Suspended")
    life.queue(row("RUNNING"))
    assert life.condition("Suspended") is None
    assert life.suspend(wish=False).next_step is None


def test_a_job_is_not_held_before_slurm_has_shown_it() -> None:
    assert Life().known().suspend().next_step is None


def test_a_job_submitted_on_hold_is_let_go_although_slurm_has_not_shown_it() -> None:
    assert Life().known(held=True).next_step is Step.RELEASE


def test_cancel_comes_before_hold() -> None:
    assert life_at(KNOWN).suspend().cancel().next_step is Step.CANCEL


def test_a_job_that_does_not_go_is_cancelled_again() -> None:
    life = life_at(KNOWN).cancel().control(Step.CANCEL)
    assert life.next_step is None
    assert steps.wake_at(life.record, life.now) == life.now + CANCEL_AGAIN_AFTER
    assert life.wait(CANCEL_AGAIN_AFTER.total_seconds()).next_step is Step.CANCEL


def test_files_are_removed_before_the_finalizer_where_that_is_wished() -> None:
    life = Life(Draft().with_spec(writeSubmissionFiles=False)).known().queue().account(record_of("COMPLETED"))
    assert life.next_step is Step.TIDY
    assert life.control(Step.TIDY).next_step is Step.LET_GO


def test_leftover_files_do_not_keep_the_object() -> None:
    life = Life(Draft().with_spec(writeSubmissionFiles=False)).known().queue().account(record_of("COMPLETED"))
    assert life.control(Step.TIDY, UNREACHABLE).next_step is Step.LET_GO


def test_there_is_nothing_to_remove_for_what_was_never_sent() -> None:
    life = Life(Draft().with_spec(writeSubmissionFiles=False)).admit().cancel()
    assert life.next_step is Step.LET_GO


@pytest.mark.parametrize("stage", [UNKNOWN, KNOWN])
def test_a_deletion_ends_within_its_deadline_even_if_the_cluster_never_answers(stage: Stage) -> None:
    life = life_at(stage).delete()
    while life.next_step is not Step.LET_GO:
        match life.next_step:
            case Step.FIND:
                life.find(UNCERTAIN)
            case Step.CANCEL:
                life.control(Step.CANCEL, UNREACHABLE)
        wake = steps.wake_at(life.record, life.now)
        assert wake is not None
        life.now = wake
    assert life.record.deletion_seen
    assert life.now - life.record.deletion_seen == DELETION_DEADLINE
    life.let_go()
    assert life.stage is RELEASED
    assert told(life.events)[-1][0] == "Warning"
    assert "within 600 s" in life.events[-1].message


def test_what_was_left_behind_is_told_also_if_it_was_to_be_cancelled_before_it_was_orphaned() -> None:
    life = life_at(KNOWN).cancel().orphan().delete().wait(LONG_AGO.total_seconds())
    assert life.next_step is Step.LET_GO
    assert "it may still run" in life.let_go().events[-1].message


def test_letting_go_of_what_is_over_is_no_news() -> None:
    life = life_at(ENDED).delete()
    before = len(life.events)
    assert life.next_step is Step.LET_GO
    assert len(life.let_go().events) == before


def test_an_orphan_is_let_go_without_a_word_once_the_cluster_has_it_in_writing() -> None:
    life = life_at(KNOWN).orphan().delete().control(Step.DISOWN)
    before = len(life.events)
    assert life.next_step is Step.LET_GO
    assert len(life.let_go().events) == before


def test_an_orphan_is_let_go_in_the_end_although_the_cluster_cannot_be_told() -> None:
    life = life_at(KNOWN).orphan().delete().control(Step.DISOWN, UNREACHABLE)
    assert life.next_step is None
    assert life.wait(LONG_AGO.total_seconds()).next_step is Step.LET_GO
    assert "may be taken for a stray" in life.let_go().events[-1].message
