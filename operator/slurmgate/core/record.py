"""What the operator keeps in memory of one submission."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from slurmgate.core.outcomes import Task
from slurmgate.core.reasons import Reason
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import JobSubmissionStatus, ReadyWhen


class Stage(Enum):
    """How far the submission has come. It only ever moves down this list, but for UNKNOWN -> ACCEPTED."""

    PREPARING = auto()
    """Nothing has been done for it."""
    ACCEPTED = auto()
    """Its Slurm user is fixed in status; sbatch has certainly not taken it."""
    UNKNOWN = auto()
    """sbatch may have taken it."""
    KNOWN = auto()
    """Slurm has it under a job id that we know."""
    ENDED = auto()
    """Nothing more will happen."""
    RELEASED = auto()
    """Its finalizer is gone: we have nothing more to do with it."""


class Step(Enum):
    """Something to do for a submission."""

    ADMIT = auto()
    """Check it and find its Slurm user; then put the finalizer on it and fix that user in its status."""
    SUBMIT = auto()
    FIND = auto()
    """Look its token up."""
    CANCEL = auto()
    HOLD = auto()
    RELEASE = auto()
    DISOWN = auto()
    """Write down on the cluster that its job belongs to nobody any more."""
    TIDY = auto()
    """Remove from the cluster what only the run needed."""
    LET_GO = auto()
    """Take the finalizer off."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person wants now: the part of the resource that may change."""

    cancel: bool = False
    suspend: bool = False
    deleted: bool = False
    orphan: bool = False

    @property
    def end(self) -> bool:
        """Whether a job that runs should stop."""
        return self.cancel or (self.deleted and not self.orphan)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a submission stands, in the words of its conditions."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """One submission. Replaced as a whole, never changed."""

    namespace: str
    name: str
    token: str
    cluster: str
    owner: str
    created: datetime
    generation: int
    ready_when: ReadyWhen
    tidy: bool
    """Whether script and files are removed once it has ended (writeSubmissionFiles: false)."""
    wishes: Wishes
    stage: Stage
    standing: Standing
    status: JobSubmissionStatus
    finalizers: tuple[str, ...] = ()
    tries: int = 0
    """How often in a row the present step did not get through."""
    not_before: datetime | None = None
    """When the present step may be tried again."""
    deletion_seen: datetime | None = None
    """When we first saw that it is being deleted: nobody may have been here to do anything about it before that."""
    held: bool = False
    """Slurm holds the job because spec.suspend asked for it."""
    cancelled: datetime | None = None
    """When Slurm was last asked to cancel the job."""
    tasks: tuple[Task, ...] = ()
    """The latest known row of the job, or of each task of an array."""
    requeued: tuple[tuple[str | None, datetime], ...] = ()
    """When Slurm last took up again the job, or tasks of an array by index, that it had requeued."""
    components: int = 1
    """How many parts Slurm has shown at once of a heterogeneous job."""
    marked: bool = False
    """The queue has shown the job with its token."""
    left_queue: datetime | None = None
    """Since when squeue shows the job as over, or no longer at all."""
    ending: datetime | None = None
    """Since when Slurm clears up after the job."""
    missing: datetime | None = None
    """Since when queue and accounting answer and neither has the job, or a part of it."""
    lost: bool = False
    """That has been so for so long that it will hardly come back."""
    disowned: bool = False
    """The cluster has it in writing that the job belongs to nobody."""
    submission_id: int | None = None
    """The submission in Jobbergate that it is said to come from. `status.jobbergate` says whether that is so."""
    registers: bool = False
    """Jobbergate is to be told of it although it does not come from there."""
    untold: Standing | None = None
    """Why Jobbergate has not heard how it stands."""
    heard_out: bool = False
    """Jobbergate has heard how it ended, or does not want to."""
    follows: str | None = None
    """The id of a job that its owner has submitted himself."""
    adopts: str | None = None
    """The token of another submission, whose job this one takes over instead of submitting one."""
    estimated: datetime | None = None
    """When it was last said when it may start."""
    unread: bool = False
    """Whether Slurm's accounting has still to be asked for what has ended."""

    @property
    def finalized(self) -> bool:
        """Whether our finalizer keeps the object in the API."""
        return FINALIZER in self.finalizers

    @property
    def over(self) -> bool:
        """Whether there is nothing left to do for it."""
        return self.stage is Stage.RELEASED or (self.stage is Stage.ENDED and not self.finalized)

    @property
    def unregistered(self) -> bool:
        """Whether Jobbergate is to be told of it, and has not been."""
        shown = self.status.slurm is not None and (self.follows is None or self.status.slurm.state is not None)
        return self.registers and self.job_id is not None and shown and self.status.jobbergate is None and not self.over

    @property
    def unheard(self) -> bool:
        """Whether Jobbergate has still to be told something of it. What goes does not wait until it is registered."""
        concerned = self.status.jobbergate is not None or (self.unregistered and not self.wishes.deleted)
        return concerned and not self.heard_out

    @property
    def would_run_again(self) -> bool:
        """Whether another job would be made of its submission in Jobbergate if this went: nobody there knows of it yet."""
        row = self.status.jobbergate
        if row is None or row.reported is not None or self.heard_out:
            return False
        may_have_run = self.stage in {Stage.UNKNOWN, Stage.KNOWN} or self.job_id is not None
        return may_have_run and self.submission_id is not None and self.follows is None

    @property
    def user(self) -> str:
        """The Slurm user. Only from ACCEPTED on."""
        if self.status.user is None:
            raise ValueError(f"{self.namespace}/{self.name} has no user yet")
        return self.status.user

    @property
    def job_token(self) -> str:
        """The token that the job in Slurm carries."""
        return self.adopts or self.token

    @property
    def job_id(self) -> str | None:
        """Slurm's job id, once known."""
        return self.status.slurm.job_id if self.status.slurm else None
