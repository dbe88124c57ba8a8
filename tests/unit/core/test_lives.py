"""Whole lives: every status that is written and every event that is posted, exactly."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from slurmgate.core.lifecycle import ACCOUNTING_GRACE
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Stage, Step
from tests.unit.core.build import (
    NEVER_SENT,
    OTHER_TOKEN,
    REFUSED,
    UNCERTAIN,
    UNREACHABLE,
    Life,
    at,
    pending,
    record_of,
    row,
    shown,
    told,
)

Shown = tuple[str | None, str | None, str]

PREPARING: Shown = ("Created", None, "Preparing")
SUBMITTING: Shown = ("Created", None, "Submitting")
SUBMITTED: Shown = ("Submitted", "PENDING", "Submitted")
PRIORITY: Shown = ("Submitted", "PENDING", "QueuedPriority")
RUNNING: Shown = ("Submitted", "RUNNING", "Running")
BEGUN = [PREPARING, SUBMITTING, SUBMITTED]
RAN = [*BEGUN, PRIORITY, RUNNING]


@dataclass(frozen=True)
class Story:
    """A life, what is written in it, and the events beside `Submitted`."""

    live: Callable[[], Life]
    writes: list[Shown]
    events: list[str]


def ran() -> Life:
    return Life().known().wait(5).queue(pending()).wait(5).queue(row("RUNNING"))


def success() -> Life:
    return ran().wait(10).queue(row("COMPLETED")).account(record_of("COMPLETED"))


def exit_3() -> Life:
    return ran().wait(10).queue(row("FAILED")).account(record_of("FAILED", exit_code=3))


def signal_9() -> Life:
    return ran().wait(10).queue(row("FAILED")).account(record_of("FAILED", signal=9))


def out_of_memory() -> Life:
    return ran().queue(row("OUT_OF_MEMORY")).account(record_of("OUT_OF_MEMORY", signal=125))


def time_limit() -> Life:
    return ran().queue(row("COMPLETING")).wait(5).queue(row("TIMEOUT")).account(record_of("TIMEOUT"))


def cancelled_while_it_ran() -> Life:
    life = ran().cancel()
    assert life.next_step is Step.CANCEL
    return life.control(Step.CANCEL).wait(5).queue(row("CANCELLED")).account(record_of("CANCELLED"))


def cancelled_by_an_admin() -> Life:
    return ran().queue(row("CANCELLED")).account(record_of("CANCELLED"))


def cancelled_before_it_was_sent() -> Life:
    return Life().cancel()


def cancelled_between_acceptance_and_sbatch() -> Life:
    return Life().admit().cancel()


def cancelled_while_nobody_knew() -> Life:
    return Life().admit().submit(UNCERTAIN).cancel().find(NEVER_SENT)


def rejected_by_sbatch() -> Life:
    return Life().admit().submit(REFUSED)


def rejected_by_sbatch_as_a_look_up_says() -> Life:
    return Life().admit().submit(UNCERTAIN).find(REFUSED)


def unmapped() -> Life:
    return Life().admit(Refused(Reason.USER_NOT_MAPPED, "spec.owner: kirby@nintendo.example has no entry"))


def cluster_comes_back() -> Life:
    life = Life().admit(UNREACHABLE).wait(10).admit(UNREACHABLE).wait(10)
    return life.admit().submit(UNREACHABLE).wait(10).admit().submit()


def lost_answer() -> Life:
    life = Life().admit().submit(UNCERTAIN).wait(10).find(UNCERTAIN).wait(10).find(NEVER_SENT)
    assert life.next_step is Step.SUBMIT
    return life.submit()


def requeued_then_success() -> Life:
    life = ran().queue(row("COMPLETING")).wait(5)
    life.queue(pending("BeginTime", restarts=1, submit_time=at(60))).wait(60)
    life.queue(row("RUNNING", restarts=1, submit_time=at(60), start_time=at(70))).wait(10)
    return life.queue(row("COMPLETED", restarts=1, submit_time=at(60))).account(record_of("COMPLETED", submit_time=at(60)))


def node_failure_then_final() -> Life:
    life = ran().queue(pending("BeginTime", restarts=1)).account(record_of("NODE_FAIL"))  # accounting has the first run's end
    life.wait(60).queue(row("RUNNING", restarts=1)).wait(10).queue()
    return life.account(record_of("NODE_FAIL", exit_code=1))


def purged_before_it_was_seen() -> Life:
    return Life().known().wait(400).queue().account(record_of("COMPLETED"))


def accounting_lags() -> Life:
    life = ran().queue(row("COMPLETED"))
    for _ in range(5):
        life.wait(5).account().queue(row("COMPLETED"))
    return life.account(record_of("COMPLETED"))


def accounting_lags_behind_a_purged_job() -> Life:
    life = ran()
    for _ in range(100):
        life.wait(5).queue().account()
    return life.queue().account(record_of("FAILED", exit_code=1))


def accounting_is_down() -> Life:
    life = ran().queue(row("FAILED"))
    for _ in range(20):
        life.account_fails().wait(5).queue(row("FAILED"))
    return life


def accounting_is_down_and_the_job_was_purged_unseen() -> Life:
    life = ran()
    for _ in range(100):
        life.wait(60).queue().account_fails()
    return life


def there_is_no_accounting() -> Life:
    return ran().queue(row("FAILED")).no_accounting()


def there_is_no_accounting_and_the_job_was_purged_unseen() -> Life:
    return ran().wait(400).queue().no_accounting()


def its_id_belongs_to_another_job_now() -> Life:
    life = ran().wait(400)
    for foreign in (
        row("RUNNING", token=OTHER_TOKEN),
        row("FAILED", user="mario", token=None),
        row("FAILED", token=OTHER_TOKEN),
    ):
        life.queue(foreign).account(record_of("TIMEOUT", token=OTHER_TOKEN))
    return life.account(record_of("COMPLETED"), record_of("FAILED", token=OTHER_TOKEN))


def suspended_from_the_start() -> Life:
    life = Life()
    life = Life(life.draft.suspended()).known(held=True)
    life.queue(pending("JobHeldUser")).suspend(wish=False)
    assert life.next_step is Step.RELEASE
    life.control(Step.RELEASE).queue(row("RUNNING"))
    return life.queue(row("COMPLETED")).account(record_of("COMPLETED"))


def held_and_released() -> Life:
    life = Life().known().queue(pending()).suspend()
    assert life.next_step is Step.HOLD
    life.control(Step.HOLD).queue(pending("JobHeldUser")).suspend(wish=False)
    assert life.next_step is Step.RELEASE
    return life.control(Step.RELEASE).queue(pending())


def a_hold_that_does_not_get_through() -> Life:
    life = Life().known().queue(pending()).suspend()
    for _ in range(5):
        life.control(Step.HOLD, NotNow(Reason.COMMAND_FAILED, "scontrol: timed out")).queue(pending()).wait(200)
    return life


def waits_for_another_job() -> Life:
    return Life().known().queue(pending("Dependency")).queue(pending("Priority"))


def suspended_on_its_nodes() -> Life:
    return ran().queue(row("SUSPENDED")).queue(row("RUNNING"))


STORIES = {
    "success": Story(success, [*RAN, ("Done", "COMPLETED", "Completed")], ["Running", "Completed"]),
    "exit code 3": Story(exit_3, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]),
    "signal 9": Story(signal_9, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]),
    "out of memory": Story(out_of_memory, [*RAN, ("Aborted", "OUT_OF_MEMORY", "OutOfMemory")], ["Running", "!OutOfMemory"]),
    "time limit": Story(
        time_limit,
        [*RAN, ("Submitted", "COMPLETING", "Completing"), ("Aborted", "TIMEOUT", "TimeLimit")],
        ["Running", "!TimeLimit"],
    ),
    "cancelled while it ran": Story(
        cancelled_while_it_ran,
        [*RAN, RUNNING, ("Submitted", "RUNNING", "Cancelling"), ("Cancelled", "CANCELLED", "Cancelled")],
        ["Running", "Cancelling", "Cancelled"],
    ),
    "cancelled by an admin": Story(
        cancelled_by_an_admin, [*RAN, ("Cancelled", "CANCELLED", "Cancelled")], ["Running", "Cancelled"]
    ),
    "cancelled before it was sent": Story(
        cancelled_before_it_was_sent, [PREPARING, ("Cancelled", None, "Cancelled")], ["Cancelled"]
    ),
    "cancelled between acceptance and sbatch": Story(
        cancelled_between_acceptance_and_sbatch, [PREPARING, SUBMITTING, ("Cancelled", None, "Cancelled")], ["Cancelled"]
    ),
    "cancelled while nobody knew": Story(
        cancelled_while_nobody_knew,
        [
            PREPARING,
            SUBMITTING,
            ("Created", None, "SubmissionUnknown"),
            ("Created", None, "SubmissionUnknown"),
            ("Cancelled", None, "Cancelled"),
        ],
        ["!SubmissionUnknown", "Cancelled"],
    ),
    "rejected by sbatch": Story(
        rejected_by_sbatch, [PREPARING, SUBMITTING, ("Rejected", None, "SubmitRejected")], ["!SubmitRejected"]
    ),
    "rejected by sbatch as a look-up says": Story(
        rejected_by_sbatch_as_a_look_up_says,
        [PREPARING, SUBMITTING, ("Created", None, "SubmissionUnknown"), ("Rejected", None, "SubmitRejected")],
        ["!SubmissionUnknown", "!SubmitRejected"],
    ),
    "unmapped": Story(unmapped, [PREPARING, ("Rejected", None, "UserNotMapped")], ["!UserNotMapped"]),
    "the cluster comes back": Story(
        cluster_comes_back,
        [PREPARING, ("Created", None, "ClusterUnreachable"), SUBMITTING, ("Created", None, "ClusterUnreachable"), SUBMITTED],
        ["!ClusterUnreachable", "!ClusterUnreachable", "Submitted"],
    ),
    "the answer of sbatch is lost": Story(
        lost_answer,
        [PREPARING, SUBMITTING, ("Created", None, "SubmissionUnknown"), SUBMITTED],
        ["!SubmissionUnknown", "Submitted"],
    ),
    "requeued, then success": Story(
        requeued_then_success,
        [
            *RAN,
            ("Submitted", "COMPLETING", "Completing"),
            ("Submitted", "PENDING", "Requeued"),
            RUNNING,
            ("Done", "COMPLETED", "Completed"),
        ],
        ["Running", "!Requeued", "Running", "Completed"],
    ),
    "a node fails, then again for good": Story(
        node_failure_then_final,
        [*RAN, ("Submitted", "PENDING", "Requeued"), RUNNING, ("Aborted", "NODE_FAIL", "NodeFail")],
        ["Running", "!Requeued", "Running", "!NodeFail"],
    ),
    "purged before it was seen": Story(purged_before_it_was_seen, [*BEGUN, ("Done", "COMPLETED", "Completed")], ["Completed"]),
    "accounting lags": Story(accounting_lags, [*RAN, ("Done", "COMPLETED", "Completed")], ["Running", "Completed"]),
    "accounting lags behind a purged job": Story(
        accounting_lags_behind_a_purged_job, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]
    ),
    "accounting is down": Story(accounting_is_down, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]),
    "accounting is down and the job was purged unseen": Story(
        accounting_is_down_and_the_job_was_purged_unseen, RAN, ["Running"]
    ),
    "there is no accounting": Story(
        there_is_no_accounting, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]
    ),
    "there is no accounting and the job was purged unseen": Story(
        there_is_no_accounting_and_the_job_was_purged_unseen, RAN, ["Running"]
    ),
    "its id belongs to another job now": Story(
        its_id_belongs_to_another_job_now, [*RAN, ("Done", "COMPLETED", "Completed")], ["Running", "Completed"]
    ),
    "suspended from the start": Story(
        suspended_from_the_start,
        [
            *BEGUN,
            ("Submitted", "PENDING", "Held"),
            ("Submitted", "PENDING", "Held"),
            ("Submitted", "PENDING", "Queued"),
            RUNNING,
            ("Done", "COMPLETED", "Completed"),
        ],
        ["Held", "Running", "Completed"],
    ),
    "held and released": Story(
        held_and_released,
        [
            *BEGUN,
            PRIORITY,
            PRIORITY,
            ("Submitted", "PENDING", "Held"),
            ("Submitted", "PENDING", "Held"),
            ("Submitted", "PENDING", "Held"),
            ("Submitted", "PENDING", "Queued"),
            PRIORITY,
        ],
        ["Held"],
    ),
    "a hold that does not get through is said once": Story(
        a_hold_that_does_not_get_through,
        [*BEGUN, PRIORITY, PRIORITY, ("Submitted", "PENDING", "CommandFailed")],
        ["!CommandFailed"],
    ),
    "waits for another job": Story(
        waits_for_another_job, [*BEGUN, ("Submitted", "PENDING", "Dependency"), PRIORITY], ["Dependency"]
    ),
    "suspended on its nodes": Story(
        suspended_on_its_nodes,
        [*RAN, ("Submitted", "SUSPENDED", "Suspended"), RUNNING],
        ["Running", "!Suspended", "Running"],
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_lives(story: Story) -> None:
    life = story.live()
    assert [shown(status) for status in life.writes] == story.writes
    begun = ["Submitted"] if SUBMITTED in story.writes and "Submitted" not in story.events else []
    assert [f"{'!' if kind == 'Warning' else ''}{reason}" for kind, reason in told(life.events)] == [*begun, *story.events]


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_an_ended_life_only_has_its_finalizer_taken_off(story: Story) -> None:
    life = story.live()
    phase = life.status.phase
    if phase is None or not phase.ended:
        assert life.stage in {Stage.PREPARING, Stage.ACCEPTED, Stage.UNKNOWN, Stage.KNOWN}
        return
    assert life.stage is Stage.ENDED
    assert life.next_step is (Step.LET_GO if life.record.finalized else None)
    life.let_go()
    assert life.record.over
    assert life.restart().record.over


def test_a_normal_life_is_six_writes() -> None:
    """Seen, accepted, submitted, why it waits, running, done."""
    assert len(success().writes) == 6


def test_a_life_that_is_looked_at_often_is_not_written_more_often() -> None:
    life = Life().known()
    for _ in range(50):
        life.wait(5).queue(pending())
    for _ in range(50):
        life.wait(5).queue(row("RUNNING"))
    assert len(life.writes) == 5


def test_a_short_job_is_four_writes() -> None:
    assert len(purged_before_it_was_seen().writes) == 4


def test_everything_that_stands_in_the_status_of_a_job_that_failed() -> None:
    conditions = [
        ("Accepted", "True", "Accepted", "", at(1)),
        ("Submitted", "True", "Submitted", "", at(2)),
        ("Running", "False", "JobFailed", "Slurm: FAILED, exit code 3", at(22)),
        ("Complete", "False", "JobFailed", "Slurm: FAILED, exit code 3", at(0)),
        ("Failed", "True", "JobFailed", "Slurm: FAILED, exit code 3", at(22)),
        ("Ready", "False", "JobFailed", "Slurm: FAILED, exit code 3", at(0)),
        ("Stalled", "True", "JobFailed", "Slurm: FAILED, exit code 3", at(22)),
    ]
    assert exit_3().status.wire() == {
        "phase": "Aborted",
        "user": "kirby",
        "cluster": "valhalla",
        "slurm": {
            "jobId": "42",
            "state": "FAILED",
            "exitCode": 3,
            "submitTime": "2026-11-22T12:00:02Z",
            "startTime": "2026-11-22T12:00:03Z",
            "endTime": "2026-11-22T12:00:13Z",
            "partition": "batch",
            "nodes": "node1",
            "stdoutPath": "/home/kirby/w/slurm-42.out",
            "stderrPath": "/home/kirby/w/slurm-42.out",
        },
        "scriptSha256": "5" * 64,
        "sbatchArguments": ["--parsable", "--comment=slurmgate:6c1f8c1e-1d65-4d4f-9d4c-0a3c5d1f0a01"],
        "workingDirectory": "/home/kirby/w",
        "launch": {"mode": "Srun", "why": "Auto: the script starts no steps of its own"},
        "usage": {"elapsedSeconds": 10, "cpuSeconds": 9.5, "maxRssBytes": 1024},
        "conditions": [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": time.isoformat().replace("+00:00", "Z"),
                "observedGeneration": 1,
            }
            for kind, status, reason, message, time in conditions
        ],
        "observedGeneration": 1,
    }


def test_signal_and_exit_code_are_slurms() -> None:
    slurm = signal_9().status.slurm
    assert slurm
    assert (slurm.exit_code, slurm.signal) == (0, 9)


def test_a_requeued_job_keeps_how_often_it_was_requeued() -> None:
    slurm = requeued_then_success().status.slurm
    assert slurm
    assert slurm.restarts == 1


def test_the_end_that_accounting_never_told_comes_from_squeue_without_exit_code() -> None:
    life = accounting_is_down()
    assert life.status.slurm
    assert (life.status.slurm.exit_code, life.status.usage) == (None, None)
    assert life.now - at(12) >= ACCOUNTING_GRACE
