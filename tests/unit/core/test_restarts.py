"""An operator that starts knows only what was written. It must not submit twice, nor lose what is under way."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from slurmgate.core.outcomes import Submitted
from slurmgate.core.record import Stage, Step
from slurmgate.core.steps import DELETION_DEADLINE
from slurmgate.resources.submission import ArrayStatus, JobSubmissionStatus, Phase, SlurmStatus
from tests.unit.core.build import JOB, NEVER_SENT, REFUSED, UNCERTAIN, UNREACHABLE, Draft, admission, pending, record_of, row
from tests.unit.core.life import Life

PREPARING, ACCEPTED, UNKNOWN, KNOWN, ENDED, RELEASED = Stage

AFTER_A_RESTART = {
    "nothing was done": (lambda: Life(), PREPARING, Step.ADMIT),
    "admission waited for something": (lambda: Life().admit(UNREACHABLE), PREPARING, Step.ADMIT),
    "it was accepted": (lambda: Life().admit(), UNKNOWN, Step.FIND),
    "sbatch was about to be run": (lambda: Life().admit().send(), UNKNOWN, Step.FIND),
    "sbatch was certainly not run": (lambda: Life().admit().submit(UNREACHABLE), UNKNOWN, Step.FIND),
    "nobody knew": (lambda: Life().admit().submit(UNCERTAIN), UNKNOWN, Step.FIND),
    "it was never sent and is about to be": (lambda: Life().admit().send().find(NEVER_SENT), UNKNOWN, Step.FIND),
    "it was in the queue": (lambda: Life().known().queue(pending()), KNOWN, None),
    "it ran": (lambda: Life().known().queue(row("RUNNING")), KNOWN, None),
    "it was being cancelled": (lambda: Life().known().cancel().control(Step.CANCEL), KNOWN, Step.CANCEL),
    "it had completed": (lambda: Life().known().queue().account(record_of("COMPLETED")), ENDED, Step.LET_GO),
    "it was rejected by us": (lambda: Life().admit(REFUSED), RELEASED, None),
    "it was rejected by sbatch": (lambda: Life().admit().submit(REFUSED), ENDED, Step.LET_GO),
    "it was cancelled unsent": (lambda: Life().cancel(), RELEASED, None),
    "it was let go": (lambda: Life().known().queue().account(record_of("COMPLETED")).let_go(), RELEASED, None),
}


@pytest.mark.parametrize(("live", "stage", "step"), AFTER_A_RESTART.values(), ids=AFTER_A_RESTART.keys())
def test_what_a_new_operator_does(live: Callable[[], Life], stage: Stage, step: Step | None) -> None:
    life = live()
    status, writes = life.status, len(life.writes)
    life.wait(1000).restart()
    assert (life.stage, life.next_step) == (stage, step)
    assert (life.status, len(life.writes)) == (status, writes), "a start is no reason to write"


WHILE_NOBODY_WAS_HERE = {
    "its job has to be cancelled": (Life().known().queue(row("RUNNING")), Step.CANCEL),
    "its job stays, and the cluster has to be told": (Life(Draft().orphaning()).known().queue(row("RUNNING")), Step.DISOWN),
    "there may be a job": (Life().admit().send(), Step.FIND),
}


@pytest.mark.parametrize(("life", "step"), WHILE_NOBODY_WAS_HERE.values(), ids=WHILE_NOBODY_WAS_HERE.keys())
def test_what_was_deleted_while_nobody_was_here_is_not_let_go_untried(life: Life, step: Step) -> None:
    life.draft = life.draft.deleted(life.now)
    long_ago = DELETION_DEADLINE + timedelta(hours=1)
    assert life.wait(long_ago.total_seconds()).restart().next_step is step
    assert life.wait(long_ago.total_seconds()).next_step is Step.LET_GO


PHASES = [None, *Phase]
USERS = [None, "kirby"]
JOBS = [
    None,
    SlurmStatus(),
    SlurmStatus(stdout_path="slurm-%j.out"),
    SlurmStatus(job_id=JOB),
    SlurmStatus(job_id=JOB, state="RUNNING"),
]
FINALIZERS: list[list[str]] = [[], ["slurmgate.dev/slurm-job"], ["else.example/x"]]
WISHES = [
    Draft(),
    Draft().cancelled(),
    Draft().suspended(),
    Draft().deleted(Life().now),
    Draft().orphaning().deleted(Life().now),
]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("user", USERS)
def test_no_written_status_leads_to_sbatch_without_a_look_up_once_there_is_a_user(
    phase: Phase | None, user: str | None
) -> None:
    for slurm in JOBS:
        for finalizers in FINALIZERS:
            for wish in WISHES:
                status = JobSubmissionStatus(phase=phase, user=user, slurm=slurm)
                life = Life(wish.with_metadata(finalizers=finalizers).with_status(status))
                steps = {life.next_step, life.wait(10_000).next_step}
                assert Step.SUBMIT not in steps
                assert user is None or Step.ADMIT not in steps
                if life.stage in {KNOWN, UNKNOWN}:
                    assert life.record.user == "kirby"


def test_a_job_id_without_a_user_is_nothing_we_have_written() -> None:
    """Somebody else's status: admission begins anew, and the marker on the cluster keeps a second job from being made."""
    life = Life(Draft().with_status(JobSubmissionStatus(slurm=SlurmStatus(job_id=JOB))))
    assert life.next_step is Step.ADMIT


def test_a_status_that_was_wiped_out_leads_to_admission() -> None:
    assert Life(Draft().finalized()).next_step is Step.ADMIT


def test_the_reason_is_still_known() -> None:
    life = Life().known().queue(pending("Resources")).restart()
    assert life.shows() == ("Submitted", "PENDING", "QueuedResources")
    writes, events = len(life.writes), len(life.events)
    life.queue(pending("Resources"))
    assert (len(life.writes), len(life.events)) == (writes, events)


def test_a_reason_of_another_version_is_no_obstacle() -> None:
    life = Life().known().queue(pending("Resources"))
    wire = life.status.wire()
    for condition in wire["conditions"]:
        condition["reason"] = "WaitingForGodot"
    life = Life(life.draft.with_status(JobSubmissionStatus.model_validate(wire)))
    assert life.queue(pending("Resources")).shows() == ("Submitted", "PENDING", "QueuedResources")


def test_what_was_edited_while_no_operator_ran_is_answered_at_once() -> None:
    life = Life().known().queue(row("RUNNING"))
    life.draft = life.draft.edited(readyWhen="Running")
    life.restart()
    assert life.status.observed_generation == 2
    ready = life.condition("Ready")
    assert ready
    assert ready.status == "True"


def test_the_paths_of_the_output_are_filled_in_after_a_restart_as_they_would_have_been() -> None:
    life = Life().admit().send().restart().find(Submitted(JOB, directory="/home/kirby/w"))
    slurm = life.status.slurm
    assert slurm
    assert slurm.stdout_path == "/home/kirby/w/slurm-42.out"


def test_how_many_tasks_an_array_has_is_known_after_a_restart() -> None:
    life = Life().admit(admission(array="0-9")).send().restart().find(Submitted(JOB))
    slurm = life.status.slurm
    assert slurm
    assert slurm.array == ArrayStatus(total=10, pending=10)


def test_a_job_submitted_on_hold_is_still_known_to_be_held() -> None:
    life = Life(Draft().with_spec(suspend=True)).admit(admission(held=True)).send().restart()
    assert life.find(Submitted(JOB)).record.held


def test_the_grace_for_accounting_begins_anew() -> None:
    life = Life().known().queue(row("RUNNING")).queue(row("COMPLETED")).account_fails().wait(50).restart()
    life.queue(row("COMPLETED")).account_fails().wait(50)
    assert life.queue(row("COMPLETED")).account_fails().stage is KNOWN
    assert life.wait(10).queue(row("COMPLETED")).account_fails().stage is ENDED
