"""Submissions, rows of Slurm and whole lives, in the words that the tests are told in."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from slurmgate.core.arrays import bits, several, singly
from slurmgate.core.outcomes import (
    Admission,
    NeverSent,
    NotNow,
    Refused,
    Seen,
    Source,
    Task,
    Unavailable,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import JobSubmission, JobSubmissionStatus, LaunchMode, LaunchStatus

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TOKEN = "6c1f8c1e-1d65-4d4f-9d4c-0a3c5d1f0a01"
OTHER_TOKEN = "11111111-2222-3333-4444-555555555555"
JOB = "42"

UNREACHABLE = NotNow(Reason.CLUSTER_UNREACHABLE, "login1: no route to host")
REFUSED = Refused(Reason.SUBMIT_REJECTED, "sbatch: error: invalid partition specified: nope")
UNCERTAIN = Uncertain("the connection broke while sbatch ran")
NEVER_SENT = NeverSent()
SQUEUE_DOWN = Unavailable(Reason.CONTROLLER_UNAVAILABLE, "slurm_load_jobs error: Unable to contact slurm controller")
SACCT_DOWN = Unavailable(Reason.ACCOUNTING_UNAVAILABLE, "sacct: error: Connection refused")


def at(seconds: float) -> datetime:
    """So many seconds after the tests began."""
    return NOW + timedelta(seconds=seconds)


def admission(*, array: str | None = None, held: bool = False, user: str = "kirby") -> Admission:
    return Admission(
        user=user,
        directory="~/slurmgate/lab/hello-6c1f8c1e",
        script_sha256="5" * 64,
        arguments=("--parsable", f"--comment=slurmgate:{TOKEN}"),
        launch=LaunchStatus(mode=LaunchMode.SRUN, why="Auto: the script starts no steps of its own"),
        stdout="slurm-%A_%a.out" if array else "slurm-%j.out",
        stderr="slurm-%A_%a.out" if array else "slurm-%j.out",
        array=array,
        held=held,
    )


def row(state: str, index: str | None = None, **changes: Any) -> Task:
    """A row of squeue that is of our job, unless `changes` say otherwise."""
    task = Task(
        job_id=JOB,
        state=state,
        index=index,
        user="kirby",
        token=TOKEN,
        submit_time=at(2),
        partition="batch",
        nodes=None if state == "PENDING" else "node1",
        start_time=None if state == "PENDING" else at(3),
    )
    return replace(task, **changes)


def pending(reason: str | None = "Priority", index: str | None = None, **changes: Any) -> Task:
    return row("PENDING", index, reason=reason, **changes)


def record_of(state: str, index: str | None = None, **changes: Any) -> Task:
    """An ended record of sacct: with exit code, times and usage."""
    details = {"exit_code": 0, "signal": None, "end_time": at(13), "elapsed_seconds": 10, "cpu_seconds": 9.5}
    return row(state, index, **{**details, "max_rss_bytes": 1024, **changes})


def each_task(*rows: Task) -> list[Task]:
    """A row for each task that these stand for."""
    return [
        replace(task, index=str(index)) if task.index and several(task.index) else task
        for task in rows
        for index in (singly(bits([task.index])) if task.index and several(task.index) else [0])
    ]


def squeue(*rows: Task) -> Seen:
    return _seen(Source.QUEUE, rows)


def sacct(*rows: Task) -> Seen:
    return _seen(Source.ACCOUNTING, rows)


def exit_records(*rows: Task) -> Seen:
    return _seen(Source.EXIT_RECORDS, rows)


def _seen(source: Source, rows: Iterable[Task]) -> Seen:
    tasks: dict[str, tuple[Task, ...]] = {}
    for each in rows:
        tasks[each.job_id] = (*tasks.get(each.job_id, ()), each)
    return Seen(source, tasks)


@dataclass(frozen=True)
class Draft:
    """A JobSubmission being written: every word answers with another draft."""

    spec: dict[str, Any] = field(
        default_factory=lambda: {
            "clusterRef": {"name": "valhalla"},
            "owner": "kirby@nintendo.example",
            "script": {"inline": "#!/bin/sh\nhostname\n"},
        }
    )
    metadata: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "hello",
            "namespace": "lab",
            "uid": TOKEN,
            "generation": 1,
            "resourceVersion": "100",
            "creationTimestamp": NOW.isoformat(),
        }
    )
    status: dict[str, Any] | None = None

    def with_spec(self, **fields: Any) -> Self:
        return replace(self, spec=self.spec | fields)

    def following(self, job_id: str = JOB) -> Self:
        """The owner has submitted the job himself."""
        return self.with_spec(script={"slurmJobId": job_id})

    def from_jobbergate(self, submission_id: int = 7) -> Self:
        return self.with_spec(jobbergate={"submissionId": submission_id})

    def registering(self) -> Self:
        """Jobbergate is to hear of it although it does not come from there."""
        return self.with_spec(jobbergate={"register": True})

    def with_metadata(self, **fields: Any) -> Self:
        return replace(self, metadata=self.metadata | fields)

    def with_status(self, status: JobSubmissionStatus) -> Self:
        return replace(self, status=status.wire())

    def edited(self, **fields: Any) -> Self:
        """The person changes spec: the API server counts the generation up."""
        return self.with_spec(**fields)._changed()

    def cancelled(self) -> Self:
        return self.edited(cancel=True)

    def suspended(self, wish: bool = True) -> Self:  # noqa: FBT002 - reads as a word
        return self.edited(suspend=wish)

    def orphaning(self) -> Self:
        return self.edited(deletionPolicy="Orphan")

    def deleted(self, when: datetime) -> Self:
        return self.with_metadata(deletionTimestamp=when.isoformat())._changed()

    def finalized(self) -> Self:
        return self.with_metadata(finalizers=[FINALIZER])

    def released(self) -> Self:
        return self.with_metadata(finalizers=[])

    def echoed(self) -> Self:
        """The object comes back after a write of ours: only its resourceVersion is another."""
        return self.with_metadata(resourceVersion=str(int(self.metadata["resourceVersion"]) + 1))

    def _changed(self) -> Self:
        return self.with_metadata(generation=self.metadata["generation"] + 1).echoed()

    def body(self) -> dict[str, Any]:
        return {"metadata": self.metadata, "spec": self.spec} | ({"status": self.status} if self.status else {})

    def build(self) -> JobSubmission:
        return JobSubmission.model_validate(self.body())
