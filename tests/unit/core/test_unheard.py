"""What Jobbergate has still to hear of stays until it has, or until its deletion has taken too long."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from slurmgate.core import steps
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Stage, Step
from slurmgate.core.steps import DELETION_DEADLINE
from slurmgate.resources.base import ADOPT_ANNOTATION, Condition
from tests.unit.core.build import JOB, OTHER_TOKEN, REFUSED, UNCERTAIN, UNREACHABLE, Draft, at, pending, record_of, row
from tests.unit.core.history import from_jobbergate
from tests.unit.core.life import Life

FORGED = Refused(Reason.NOT_FROM_JOBBERGATE, "spec.jobbergate.submissionId: Jobbergate has no submission 7")
FROM_THERE = from_jobbergate(Draft()).finalized()
SAYS_SO = Draft().from_jobbergate().finalized()
"""It says that it comes from there, and nobody has compared it yet."""
LONG = DELETION_DEADLINE.total_seconds()


def life_of(draft: Draft, *, jobbergate: bool = True) -> Life:
    return Life(draft, jobbergate=jobbergate)


def done(draft: Draft = FROM_THERE, *, jobbergate: bool = True) -> Life:
    """Over; Jobbergate has heard that it was submitted, and no more."""
    life = life_of(draft, jobbergate=jobbergate).known().told()
    return life.queue(row("RUNNING")).queue().account(record_of("COMPLETED"))


def synced(life: Life) -> Condition:
    condition = life.condition("Synced")
    assert condition
    return condition


# Waiting


WAITS: dict[str, Callable[[], Life]] = {
    "done": done,
    "rejected": lambda: life_of(FROM_THERE).admit(REFUSED),
    "rejected by sbatch": lambda: life_of(FROM_THERE).admit().submit(REFUSED),
    "cancelled before it was sent": lambda: life_of(FROM_THERE).cancel(),
    "deleted before it was sent": lambda: life_of(FROM_THERE).delete(),
    "deleted while it is over": lambda: done().delete(),
    "cancelled before it was known to come from there": lambda: life_of(SAYS_SO).cancel().recognise().admit(),
    "deleted before it was known to come from there": lambda: life_of(SAYS_SO).delete().recognise().admit(),
    "cancelled before that, and the cluster does not answer": lambda: life_of(SAYS_SO).cancel().recognise().admit(UNREACHABLE),
    "made here and to be registered": lambda: done(Draft().registering()),
    "followed, and never there": lambda: life_of(FROM_THERE.following()).admit(REFUSED),
    "done, seen by an operator that has just started": lambda: done().hear().restart(),
}


@pytest.mark.parametrize("live", WAITS.values(), ids=WAITS.keys())
def test_what_is_over_waits_until_jobbergate_has_heard_it(live: Callable[[], Life]) -> None:
    life = live()
    assert (life.stage, life.next_step, life.record.over) == (Stage.ENDED, None, False)
    assert life.hear(out=False).next_step is None
    assert life.hear().next_step is Step.LET_GO
    assert life.let_go().record.over


DOES_NOT_WAIT: dict[str, Callable[[], Life]] = {
    "it has nothing to do with Jobbergate": lambda: done(Draft()),
    "its cluster has no Jobbergate": lambda: done(jobbergate=False),
    "to be registered, and Slurm never had it": lambda: life_of(Draft().registering()).admit().submit(REFUSED),
    "to be registered, and cancelled before it was sent": lambda: life_of(Draft().registering().finalized()).cancel(),
    "to be registered, and deleted": lambda: done(Draft().registering()).delete(),
    "not what Jobbergate has": lambda: life_of(SAYS_SO).admit(FORGED),
    "not what Jobbergate has, and cancelled before that was known": lambda: life_of(SAYS_SO).cancel().admit(FORGED),
    "not what Jobbergate has, seen by an operator that has just started": lambda: life_of(SAYS_SO).admit(FORGED).restart(),
    "Jobbergate has it wrong and keeps it so": lambda: done().hear(disagreement="Jobbergate has it as ABORTED."),
}


@pytest.mark.parametrize("live", DOES_NOT_WAIT.values(), ids=DOES_NOT_WAIT.keys())
def test_nothing_is_waited_for_where_jobbergate_has_nothing_to_hear(live: Callable[[], Life]) -> None:
    life = live()
    assert (life.stage, life.next_step) == (Stage.ENDED, Step.LET_GO)


def test_what_has_no_finalizer_is_not_kept() -> None:
    life = life_of(Draft().from_jobbergate()).admit(REFUSED)
    assert (life.record.over, life.next_step) == (True, None)
    life.delete().wait(LONG)
    assert life.next_step is None


def test_files_are_removed_after_jobbergate_has_heard() -> None:
    life = done(FROM_THERE.with_spec(writeSubmissionFiles=False))
    assert life.next_step is None
    assert life.hear().next_step is Step.TIDY
    assert life.control(Step.TIDY).next_step is Step.LET_GO


BEFORE_THE_END: dict[str, tuple[Callable[[], Life], Step | None]] = {
    "new": (lambda: life_of(FROM_THERE), Step.ADMIT),
    "accepted": (lambda: life_of(FROM_THERE).admit(), Step.SUBMIT),
    "nobody knows": (lambda: life_of(FROM_THERE).admit().send(), Step.FIND),
    "in the queue": (lambda: life_of(FROM_THERE).known().queue(pending()), None),
    "to be held": (lambda: life_of(FROM_THERE).known().queue(pending()).suspend(), Step.HOLD),
    "to be cancelled": (lambda: life_of(FROM_THERE).known().queue(pending()).cancel(), Step.CANCEL),
    "to be left behind": (lambda: life_of(FROM_THERE).known().orphan().delete(), Step.DISOWN),
}


@pytest.mark.parametrize(("live", "step"), BEFORE_THE_END.values(), ids=BEFORE_THE_END.keys())
def test_nothing_else_waits_for_jobbergate(live: Callable[[], Life], step: Step | None) -> None:
    life = live().not_heard()
    assert life.next_step is step


# Does it come from there?


@pytest.mark.parametrize("wish", [Life.cancel, Life.delete], ids=["cancelled", "deleted"])
def test_before_it_ends_it_has_to_be_known_whether_it_comes_from_there(wish: Callable[[Life], Life]) -> None:
    """If it does and nobody there hears of its end, it would be made again, and run."""
    life = wish(life_of(SAYS_SO))
    assert (life.stage, life.next_step) == (Stage.PREPARING, Step.ADMIT)
    assert life.restart().next_step is Step.ADMIT
    life.admit(UNREACHABLE)
    assert (life.stage, life.next_step) == (Stage.PREPARING, None)
    life.wait(60).recognise().admit()
    assert life.shows() == ("Cancelled", None, "Cancelled")


def test_what_cannot_be_kept_for_that_just_ends() -> None:
    life = life_of(Draft().from_jobbergate()).delete()
    assert (life.stage, life.record.over) == (Stage.ENDED, True)


def test_what_says_so_and_is_deleted_does_not_stay_for_ever_if_nobody_can_be_asked() -> None:
    life = life_of(SAYS_SO).delete()
    while life.next_step is Step.ADMIT:
        life.admit(NotNow(Reason.JOBBERGATE_UNAVAILABLE, "no route to host"))
        wake = steps.wake_at(life.record, life.now)
        assert wake
        assert wake <= at(0) + DELETION_DEADLINE
        life.now = wake
    assert life.now == at(0) + DELETION_DEADLINE
    before = len(life.events)
    assert life.next_step is Step.LET_GO
    assert len(life.let_go().events) == before, "there is no job"


# Not for ever


def test_a_deletion_ends_within_its_deadline_although_jobbergate_never_hears() -> None:
    life = done().wait(3600).delete()
    began = life.now
    assert steps.wake_at(life.record, life.now) == began + DELETION_DEADLINE
    assert life.wait(LONG - 1).next_step is None
    assert life.wait(1).next_step is Step.LET_GO


UNTOLD: dict[str, Callable[[], Life]] = {
    "sent, and nobody knows": lambda: life_of(FROM_THERE).admit().submit(UNCERTAIN).delete(),
    "running": lambda: life_of(FROM_THERE).known().queue(row("RUNNING")).delete(),
    "left on purpose": lambda: life_of(FROM_THERE).known().orphan().delete().control(Step.DISOWN),
    "done": lambda: life_of(FROM_THERE).known().queue().account(record_of("COMPLETED")).delete(),
}


@pytest.mark.parametrize("live", UNTOLD.values(), ids=UNTOLD.keys())
def test_what_jobbergate_has_not_heard_of_at_all_stays_for_as_long_as_it_would_be_made_again(live: Callable[[], Life]) -> None:
    life = live().wait(10 * LONG)
    assert life.next_step is not Step.LET_GO
    assert life.told().wait(LONG).next_step is Step.LET_GO


def test_that_jobbergate_has_the_job_counts_as_told_although_that_was_forgotten() -> None:
    life = life_of(FROM_THERE).known().delete().wait(10 * LONG)
    assert life.hear(out=False).next_step is Step.LET_GO


def test_the_deadline_is_the_clusters() -> None:
    life = done().delete()
    short = timedelta(seconds=60)
    assert steps.wake_at(life.record, life.now, short) == life.now + short
    assert steps.next_step(life.record, life.now + short, short, jobbergate=True) is Step.LET_GO


def test_the_time_that_cancelling_took_counts() -> None:
    life = life_of(FROM_THERE).known().told().queue(row("RUNNING")).delete().control(Step.CANCEL).wait(LONG - 10)
    life.queue(row("CANCELLED")).account(record_of("CANCELLED"))
    assert life.next_step is None
    assert life.wait(10).next_step is Step.LET_GO


def test_a_deletion_while_no_operator_was_here_is_not_let_go_untold() -> None:
    life = done()
    life.draft = life.draft.deleted(life.now)
    life.wait(LONG + 3600).restart()
    assert life.next_step is None
    assert life.wait(LONG).next_step is Step.LET_GO


def test_without_a_deletion_it_waits_for_ever() -> None:
    life = done()
    assert steps.wake_at(life.record, life.now) is None
    assert life.wait(10_000_000).next_step is None


# What is shown


def test_there_is_no_condition_of_what_has_nothing_to_do_with_jobbergate() -> None:
    assert done(Draft()).condition("Synced") is None


def test_why_jobbergate_has_not_heard_is_shown_and_changes_nothing_else() -> None:
    life = life_of(FROM_THERE).known().queue(row("RUNNING"))
    assert (synced(life).status, synced(life).reason, synced(life).message) == ("True", "Synced", "")
    others = [condition for condition in life.status.conditions if condition.type != "Synced"]
    life.wait(10).not_heard(Reason.JOBBERGATE_REFUSED, "403 Not authorized")
    assert (synced(life).status, synced(life).reason, synced(life).message) == (
        "False",
        "JobbergateRefused",
        "403 Not authorized",
    )
    assert synced(life).last_transition_time == life.now
    assert [condition for condition in life.status.conditions if condition.type != "Synced"] == others


def test_it_is_shown_until_jobbergate_has_heard_whatever_else_happens() -> None:
    life = life_of(FROM_THERE).known().queue(row("RUNNING")).not_heard().queue().account(record_of("COMPLETED"))
    assert synced(life).status == "False"
    assert synced(life.hear()).status == "True"


def test_what_jobbergate_has_wrong_is_shown_and_not_waited_for() -> None:
    life = done().hear(disagreement="Jobbergate has it as ABORTED.")
    assert (synced(life).status, synced(life).reason, synced(life).message) == (
        "False",
        "JobbergateDisagrees",
        "Jobbergate has it as ABORTED.",
    )
    assert life.next_step is Step.LET_GO


def test_an_operator_that_starts_knows_that_jobbergate_had_not_heard() -> None:
    life = life_of(FROM_THERE).known().queue(row("RUNNING")).not_heard().wait(60).restart()
    writes = len(life.writes)
    assert synced(life.edit(life.draft.edited(readyWhen="Running"))).status == "False"
    life.not_heard()
    assert len(life.writes) == writes + 1, "the edit alone was worth a write"


def test_an_operator_that_starts_is_not_misled_by_what_was_heard() -> None:
    life = life_of(FROM_THERE).known().queue(row("RUNNING")).restart()
    assert life.record.untold is None


# What concerns Jobbergate


@pytest.mark.parametrize(
    ("draft", "before", "after"),
    [
        (Draft(), False, False),
        (Draft().from_jobbergate(), False, False),
        (FROM_THERE, True, True),
        (Draft().registering(), False, True),
    ],
    ids=["made here", "says that it comes from there", "comes from there", "to be registered"],
)
def test_whether_jobbergate_has_to_hear_goes_by_where_it_comes_from(draft: Draft, *, before: bool, after: bool) -> None:
    life = life_of(draft).admit().submit(UNCERTAIN)
    assert life.record.unheard is before
    assert life.restart().record.unheard is before
    known = life_of(draft).known()
    assert (known.record.job_id, known.record.unheard) == (JOB, after)
    assert known.restart().record.unheard is after
    assert known.hear().record.unheard is False


def test_which_submission_it_is_said_to_be_is_known_from_spec() -> None:
    assert life_of(Draft().from_jobbergate(9)).record.submission_id == 9
    assert life_of(Draft().registering()).record.registers
    assert life_of(Draft()).record.submission_id is None


def test_what_jobbergate_vouches_for_takes_over_no_other_job() -> None:
    taking = SAYS_SO.with_metadata(annotations={ADOPT_ANNOTATION: OTHER_TOKEN})
    assert Life(taking).record.adopts is None
    assert Life(Draft().with_metadata(annotations={ADOPT_ANNOTATION: OTHER_TOKEN})).record.adopts == OTHER_TOKEN
