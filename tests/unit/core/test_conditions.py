"""Conditions and phase: what they say at each stage, and when they may change."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from slurmgate.core.conditions import phase, set_conditions, submission_conditions
from slurmgate.core.outcomes import Submitted
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Stage, Standing
from slurmgate.resources.base import Condition
from slurmgate.resources.submission import Phase, ReadyWhen
from tests.unit.core.build import REFUSED, UNCERTAIN, UNREACHABLE, Draft, at, pending, record_of, row
from tests.unit.core.life import Life

Story = Callable[[], Life]


def verdicts(life: Life) -> dict[str, str]:
    return {condition.type: condition.status for condition in life.status.conditions}


def at_the_start() -> Life:
    return Life()


def accepted() -> Life:
    return Life().admit()


def uncertain() -> Life:
    return accepted().submit(UNCERTAIN)


def queued() -> Life:
    return Life().known().queue(pending())


def running() -> Life:
    return queued().queue(row("RUNNING"))


def suspended() -> Life:
    return Life().known(held=True)


def done() -> Life:
    return running().queue().account(record_of("COMPLETED"))


def failed() -> Life:
    return running().queue().account(record_of("FAILED", exit_code=3))


def cancelled() -> Life:
    return running().queue().account(record_of("CANCELLED"))


def rejected_by_us() -> Life:
    return Life().admit(REFUSED)


def rejected_by_sbatch() -> Life:
    return accepted().submit(REFUSED)


NO, YES, PERHAPS = "False", "True", "Unknown"
STANDS = {
    "nothing has been done": (at_the_start, [PERHAPS, NO, NO, NO, NO, NO, "Reconciling"]),
    "accepted": (accepted, [YES, NO, NO, NO, NO, NO, "Reconciling"]),
    "sbatch may have taken it": (uncertain, [YES, PERHAPS, NO, NO, NO, NO, "Reconciling"]),
    "in the queue": (queued, [YES, YES, NO, NO, NO, NO, "Reconciling"]),
    "held as spec asks": (suspended, [YES, YES, NO, NO, NO, NO, "Suspended", "Reconciling"]),
    "running": (running, [YES, YES, YES, NO, NO, NO, "Reconciling"]),
    "completed": (done, [YES, YES, NO, YES, NO, YES]),
    "failed": (failed, [YES, YES, NO, NO, YES, NO, "Stalled"]),
    "cancelled while it ran": (cancelled, [YES, YES, NO, NO, YES, NO, "Stalled"]),
    "rejected before it was accepted": (rejected_by_us, [NO, NO, NO, NO, YES, NO, "Stalled"]),
    "rejected by sbatch": (rejected_by_sbatch, [YES, NO, NO, NO, YES, NO, "Stalled"]),
}
ALWAYS = ("Accepted", "Submitted", "Running", "Complete", "Failed", "Ready")


@pytest.mark.parametrize(("live", "expected"), STANDS.values(), ids=STANDS.keys())
def test_what_conditions_say(live: Story, expected: list[str]) -> None:
    said = verdicts(live())
    assert [said.pop(kind) for kind in ALWAYS] == expected[: len(ALWAYS)]
    # what is abnormal while true is there only while it is true, as kstatus expects
    assert list(said.items()) == [(kind, YES) for kind in expected[len(ALWAYS) :]]


READY = {
    "submitted is enough, and it is not yet": (ReadyWhen.SUBMITTED, accepted, False),
    "submitted is enough, and nobody knows": (ReadyWhen.SUBMITTED, uncertain, False),
    "submitted is enough": (ReadyWhen.SUBMITTED, queued, True),
    "submitted is enough, and it runs": (ReadyWhen.SUBMITTED, running, True),
    "submitted is enough, and it is done": (ReadyWhen.SUBMITTED, done, True),
    "submitted was enough until it failed": (ReadyWhen.SUBMITTED, failed, False),
    "submitted was enough until it was cancelled": (ReadyWhen.SUBMITTED, cancelled, False),
    "it has to run, and waits": (ReadyWhen.RUNNING, queued, False),
    "it has to run": (ReadyWhen.RUNNING, running, True),
    "it had to run, and has": (ReadyWhen.RUNNING, done, True),
    "it had to run, and failed": (ReadyWhen.RUNNING, failed, False),
    "it has to complete, and runs": (ReadyWhen.COMPLETE, running, False),
    "it has to complete": (ReadyWhen.COMPLETE, done, True),
}


@pytest.mark.parametrize(("wish", "live", "ready"), READY.values(), ids=READY.keys())
def test_ready_goes_by_ready_when(wish: ReadyWhen, live: Story, *, ready: bool) -> None:
    record = replace(live().record, ready_when=wish)
    said = {condition.type: condition.status for condition in submission_conditions(record, now=at(99))}
    assert said["Ready"] == (YES if ready else NO)
    assert said.get("Reconciling", NO) == (NO if ready or said["Failed"] == YES else YES)
    assert "Stalled" not in said or said["Failed"] == YES


def test_a_change_of_ready_when_is_followed_at_once() -> None:
    life = queued()
    life.edit(life.draft.edited(readyWhen="Submitted"))
    assert verdicts(life)["Ready"] == YES
    assert verdicts(life).get("Reconciling") is None


def test_transition_times_move_with_the_verdict_and_not_with_the_reason() -> None:
    life = Life().wait(10).known().wait(10).queue(pending("Priority")).wait(10).queue(pending("Resources"))
    accepted, submitted, ready = (life.condition(kind) for kind in ("Accepted", "Submitted", "Ready"))
    assert accepted
    assert submitted
    assert ready
    assert (accepted.last_transition_time, submitted.last_transition_time) == (at(11), at(12))
    assert (ready.last_transition_time, ready.reason) == (at(0), Reason.QUEUED_RESOURCES)


def test_a_verdict_that_goes_and_comes_again_has_a_new_time() -> None:
    life = running().wait(10).queue(row("REQUEUED")).wait(10).queue(row("RUNNING"))
    condition = life.condition("Running")
    assert condition
    assert (condition.status, condition.last_transition_time) == (YES, life.now)


def test_every_condition_says_which_generation_it_speaks_of() -> None:
    life = queued().suspend()
    assert {condition.observed_generation for condition in life.status.conditions} == {2} == {life.status.observed_generation}


def test_a_message_that_would_not_fit_is_cut() -> None:
    record = replace(Life().record, standing=Standing(Reason.SUBMIT_REJECTED, "x" * 100_000))
    assert {len(condition.message) for condition in submission_conditions(record, now=at(0))} == {4096}


def test_messages_of_what_is_true_anyway_are_empty() -> None:
    life = queued()
    for kind in ("Accepted", "Submitted"):
        condition = life.condition(kind)
        assert condition
        assert (condition.reason, condition.message) == (kind, "")


def test_conditions_of_others_are_not_kept() -> None:
    """The status is the operator's alone: what is not derived from the record would stay for ever."""
    foreign = Condition(
        type="Foreign", status="True", reason="X", message="", last_transition_time=at(0), observed_generation=1
    )
    assert not set_conditions([foreign], [], generation=1, now=at(1))


@pytest.mark.parametrize("stage", Stage)
def test_an_ended_phase_stays_whatever_the_stage(stage: Stage) -> None:
    for ended in (each for each in Phase if each.ended):
        record = Life().record
        record = replace(record, stage=stage, status=record.status.model_copy(update={"phase": ended}))
        assert phase(record) is ended


def test_running_is_known_from_status_alone_after_a_restart() -> None:
    life = running().restart()
    life.edit(life.draft.edited(readyWhen="Running"))
    assert verdicts(life)["Running"] == YES
    assert verdicts(life)["Ready"] == YES


def test_the_warning_of_sbatch_is_told() -> None:
    life = Life().admit().submit(Submitted("42", warning="partition is going down"))
    ready = life.condition("Ready")
    assert ready
    assert ready.message == "Slurm job 42. sbatch warned: partition is going down"


def test_an_error_of_the_cluster_does_not_change_what_is_known_of_the_job() -> None:
    life = accepted().submit(UNREACHABLE)
    assert life.shows() == (Phase.CREATED, None, Reason.CLUSTER_UNREACHABLE)
    assert verdicts(life)["Accepted"] == YES


def test_a_draft_with_status_is_read_back_as_it_was_written() -> None:
    status = failed().status
    assert Draft().with_status(status).build().status == status
