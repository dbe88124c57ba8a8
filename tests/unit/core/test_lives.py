"""Whole lives: every status that is written and every event that is posted, exactly."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from slurmgate.core.following import ACCOUNTING_GRACE
from slurmgate.core.record import Stage, Step
from tests.unit.core import stories
from tests.unit.core.build import (
    at,
    pending,
    row,
)
from tests.unit.core.life import (
    Life,
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


STORIES = {
    "success": Story(stories.success, [*RAN, ("Done", "COMPLETED", "Completed")], ["Running", "Completed"]),
    "exit code 3": Story(stories.exit_3, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]),
    "signal 9": Story(stories.signal_9, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]),
    "out of memory": Story(
        stories.out_of_memory, [*RAN, ("Aborted", "OUT_OF_MEMORY", "OutOfMemory")], ["Running", "!OutOfMemory"]
    ),
    "time limit": Story(
        stories.time_limit,
        [*RAN, ("Aborted", "TIMEOUT", "TimeLimit")],
        ["Running", "!TimeLimit"],
    ),
    "Slurm does not get done with clearing up": Story(
        stories.long_epilog,
        [*RAN, ("Submitted", "COMPLETING", "Completing"), ("Done", "COMPLETED", "Completed")],
        ["Running", "Completed"],
    ),
    "cancelled while it ran": Story(
        stories.cancelled_while_it_ran,
        [*RAN, RUNNING, ("Submitted", "RUNNING", "Cancelling"), ("Cancelled", "CANCELLED", "Cancelled")],
        ["Running", "Cancelling", "Cancelled"],
    ),
    "cancelled by an admin": Story(
        stories.cancelled_by_an_admin, [*RAN, ("Cancelled", "CANCELLED", "Cancelled")], ["Running", "Cancelled"]
    ),
    "cancelled before it was sent": Story(
        stories.cancelled_before_it_was_sent, [PREPARING, ("Cancelled", None, "Cancelled")], ["Cancelled"]
    ),
    "cancelled between acceptance and sbatch": Story(
        stories.cancelled_between_acceptance_and_sbatch,
        [PREPARING, SUBMITTING, ("Cancelled", None, "Cancelled")],
        ["Cancelled"],
    ),
    "cancelled while nobody knew": Story(
        stories.cancelled_while_nobody_knew,
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
        stories.rejected_by_sbatch, [PREPARING, SUBMITTING, ("Rejected", None, "SubmitRejected")], ["!SubmitRejected"]
    ),
    "rejected by sbatch as a look-up says": Story(
        stories.rejected_by_sbatch_as_a_look_up_says,
        [PREPARING, SUBMITTING, ("Created", None, "SubmissionUnknown"), ("Rejected", None, "SubmitRejected")],
        ["!SubmissionUnknown", "!SubmitRejected"],
    ),
    "unmapped": Story(
        stories.unmapped,
        [PREPARING, PREPARING, ("Rejected", None, "UserNotMapped")],
        ["!UserNotMapped"],
    ),
    "the cluster comes back": Story(
        stories.cluster_comes_back,
        [PREPARING, ("Created", None, "ClusterUnreachable"), SUBMITTING, ("Created", None, "ClusterUnreachable"), SUBMITTED],
        ["!ClusterUnreachable", "!ClusterUnreachable", "Submitted"],
    ),
    "the answer of sbatch is lost": Story(
        stories.lost_answer,
        [PREPARING, SUBMITTING, ("Created", None, "SubmissionUnknown"), SUBMITTED],
        ["!SubmissionUnknown", "Submitted"],
    ),
    "requeued, then success": Story(
        stories.requeued_then_success,
        [
            *RAN,
            ("Submitted", "PENDING", "Requeued"),
            RUNNING,
            ("Done", "COMPLETED", "Completed"),
        ],
        ["Running", "!Requeued", "Running", "Completed"],
    ),
    "a node fails, then again for good": Story(
        stories.node_failure_then_final,
        [*RAN, ("Submitted", "PENDING", "Requeued"), RUNNING, ("Aborted", "NODE_FAIL", "NodeFail")],
        ["Running", "!Requeued", "Running", "!NodeFail"],
    ),
    "accounting has only the end of the run before": Story(
        stories.accounting_lags_behind_a_requeued_job,
        [*RAN, ("Submitted", "PENDING", "Requeued"), RUNNING, ("Done", "COMPLETED", "Completed")],
        ["Running", "!Requeued", "Running", "Completed"],
    ),
    "accounting has only the end of the run before of a task": Story(
        stories.accounting_lags_behind_a_requeued_task,
        [*BEGUN, ("Submitted", "PENDING", "Requeued"), ("Done", "COMPLETED", "Completed")],
        ["!Requeued", "Completed"],
    ),
    "purged before it was seen": Story(
        stories.purged_before_it_was_seen, [*BEGUN, ("Done", "COMPLETED", "Completed")], ["Completed"]
    ),
    "accounting lags": Story(stories.accounting_lags, [*RAN, ("Done", "COMPLETED", "Completed")], ["Running", "Completed"]),
    "accounting lags behind a purged job": Story(
        stories.accounting_lags_behind_a_purged_job, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]
    ),
    "accounting is down": Story(
        stories.accounting_is_down, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]
    ),
    "accounting knows half of the end": Story(
        stories.accounting_knows_half_of_the_end, [*RAN, ("Done", "COMPLETED", "Completed")], ["Running", "Completed"]
    ),
    "accounting is down and the job was purged unseen": Story(
        stories.accounting_is_down_and_the_job_was_purged_unseen, RAN, ["Running"]
    ),
    "there is no accounting": Story(
        stories.there_is_no_accounting, [*RAN, ("Aborted", "FAILED", "JobFailed")], ["Running", "!JobFailed"]
    ),
    "there is no accounting and the job was purged unseen": Story(
        stories.there_is_no_accounting_and_the_job_was_purged_unseen, RAN, ["Running"]
    ),
    "its id belongs to another job now": Story(
        stories.its_id_belongs_to_another_job_now, [*RAN, ("Done", "COMPLETED", "Completed")], ["Running", "Completed"]
    ),
    "suspended from the start": Story(
        stories.suspended_from_the_start,
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
        stories.held_and_released,
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
        stories.a_hold_that_does_not_get_through,
        [*BEGUN, PRIORITY, PRIORITY, ("Submitted", "PENDING", "CommandFailed")],
        ["!CommandFailed"],
    ),
    "waits for another job": Story(
        stories.waits_for_another_job, [*BEGUN, ("Submitted", "PENDING", "Dependency"), PRIORITY], ["Dependency"]
    ),
    "suspended on its nodes": Story(
        stories.suspended_on_its_nodes,
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
    assert len(stories.success().writes) == 6


def test_a_life_that_is_looked_at_often_is_not_written_more_often() -> None:
    life = Life().known()
    for _ in range(50):
        life.wait(5).queue(pending())
    for _ in range(50):
        life.wait(5).queue(row("RUNNING"))
    assert len(life.writes) == 5


def test_a_short_job_is_four_writes() -> None:
    assert len(stories.purged_before_it_was_seen().writes) == 4


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
    assert stories.exit_3().status.wire() == {
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
    slurm = stories.signal_9().status.slurm
    assert slurm
    assert (slurm.exit_code, slurm.signal) == (0, 9)


def test_a_requeued_job_keeps_how_often_it_was_requeued() -> None:
    slurm = stories.requeued_then_success().status.slurm
    assert slurm
    assert slurm.restarts == 1


@pytest.mark.parametrize("story", [stories.accounting_is_down, stories.accounting_knows_half_of_the_end])
def test_how_it_ended_is_told_without_exit_code_if_accounting_never_tells_that(story: Callable[[], Life]) -> None:
    life = story()
    assert life.status.slurm
    assert (life.status.slurm.exit_code, life.status.usage) == (None, None)
    assert life.now - at(12) >= ACCOUNTING_GRACE
