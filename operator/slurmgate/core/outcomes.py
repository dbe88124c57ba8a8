"""What came of asking a cluster something.

A network call has three outcomes: it was done, it was certainly not done, or nobody can say. Each has its own type here, so
that none of them can be taken for another by accident. Only a look-up (`Submitted`, `NeverSent`) ends an `Uncertain`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import LaunchStatus


@dataclass(frozen=True, slots=True)
class Staged:
    """Everything the job needs is on the cluster."""

    directory: str
    """Absolute working directory, symbolic links resolved."""
    attempt: int = 1
    """Number of the attempt that may come next."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Slurm has the job."""

    job_id: str
    warning: str = ""
    """What sbatch said on stderr although it succeeded."""
    directory: str = ""
    """Absolute working directory, symbolic links resolved; empty where it was not learnt."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The job can never be submitted like this: the person has to change something."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """Certainly not done, and worth trying again later."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Uncertain:
    """It may have been done. Look before doing anything again."""

    message: str


@dataclass(frozen=True, slots=True)
class NeverSent:
    """Every source was asked and none knows the token: sbatch has never taken this submission."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A submission may be sent: everything about it that is decided before Slurm hears of it."""

    user: str
    directory: str
    """Working directory with its template filled, possibly below `~`."""
    script_sha256: str
    arguments: tuple[str, ...]
    launch: LaunchStatus
    stdout: str
    """Path of the standard output, relative to the directory or absolute; `%j` and `%A` still to be filled in."""
    stderr: str
    array: str | None = None
    """The array expression, if it is a job array."""
    held: bool = False
    """Whether it is submitted on hold."""


@dataclass(frozen=True, slots=True)
class Followed:
    """There is nothing to send: the owner has submitted the job himself, and it may be followed."""

    user: str
    job_id: str


AdmissionOutcome = Admission | Followed | Refused | NotNow
StageOutcome = Staged | Refused | NotNow
SubmitOutcome = Submitted | Refused | NotNow | Uncertain
FindOutcome = Submitted | Refused | NeverSent | Uncertain


@dataclass(frozen=True, slots=True)
class Absent:
    """The queue does not have the job now, so nothing was asked of Slurm."""


ControlOutcome = None | NotNow | Refused
"""`None`: Slurm did it, or there was nothing left to do."""


class Source(StrEnum):
    """Who told us about a job."""

    QUEUE = "squeue"
    ACCOUNTING = "sacct"
    EXIT_RECORDS = "exit records"
    """What batch scripts leave beside their output where there is no accounting."""


@dataclass(frozen=True, slots=True)
class Task:
    """One row of squeue or sacct: a job, or one task of an array.

    `state` is Slurm's word without decoration (`CANCELLED by 7001` is `CANCELLED`). Times are None where Slurm has none yet.
    """

    job_id: str
    """The id sbatch returned: without `_index` or `+offset`."""
    state: str
    index: str | None = None
    """Array index; a range such as `4-9` for tasks that Slurm has not split off yet; het offset as `+1`."""
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    user: str | None = None
    token: str | None = None
    """The token in the job's comment or submit line, where this source shows it."""
    directory: str | None = None
    """Its working directory, where this source shows it."""
    submit_time: datetime | None = None
    start_time: datetime | None = None
    expected_start: datetime | None = None
    """When the scheduler thinks that a job that waits will start."""
    end_time: datetime | None = None
    partition: str | None = None
    nodes: str | None = None
    restarts: int | None = None
    elapsed_seconds: int | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The source did not answer. Says nothing about any job."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer of one source: its tasks by job id. A job that was asked for and is nowhere in it is absent."""

    source: Source
    tasks: dict[str, tuple[Task, ...]] = field(default_factory=dict)
    unanswered: dict[str, Unavailable] = field(default_factory=dict)
    """Jobs of which it says nothing, neither that they are there nor that they are absent, and why."""


Observation = Seen | Unavailable


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as sinfo shows it."""

    name: str
    state: str
    nodes: int
    cpus: int
    gpus: int


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a healthy cluster says about itself."""

    slurm_version: str
    cluster_name: str
    hides_jobs: bool
    """PrivateData=jobs: a user sees only his own."""
    accounting: bool
    """slurmdbd answers."""
    partitions: tuple[Partition, ...]
