"""What a cluster can be asked, however it is driven."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from slurmgate.core.outcomes import (
    ClusterFacts,
    ControlOutcome,
    FindOutcome,
    NotNow,
    Observation,
    Refused,
    StageOutcome,
    SubmitOutcome,
    Unavailable,
)
from slurmgate.core.strays import Origin


@dataclass(frozen=True, slots=True)
class File:
    """A file that travels to the cluster."""

    name: str
    """Path below the working directory."""
    content: bytes = field(repr=False)
    executable: bool = False
    private: bool = False
    """Only its owner may read it, as what comes from a Secret should be: homes are open to everybody on many clusters."""


@dataclass(frozen=True, slots=True)
class Package:
    """Everything that travels to the cluster for one submission."""

    token: str
    name: str
    directory: str
    """Working directory: absolute, or below `~`."""
    script: bytes = field(repr=False)
    """The person's script, byte for byte."""
    batch: bytes | None = field(repr=False)
    """The batch script that starts it (by srun, or to write down how it ends); None: the script is itself the batch script."""
    arguments: tuple[str, ...]
    """Arguments of sbatch, one word each, without the script's path."""
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    files: tuple[File, ...] = ()
    origin: str = ""
    """The submission, as `Origin` writes it."""
    keep_script: bool = True
    """Leave a copy of the script beside the output, as `<name>.sh`."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a job of ours runs."""

    job_id: str
    token: str
    directory: str
    over: bool = False
    """It has ended."""


class Gateway(Protocol):
    """A cluster. `user` is the Slurm user on whose behalf something is done; nothing raises for what the far side does."""

    async def describe(self, user: str) -> ClusterFacts | Unavailable:
        """Check that all commands are there, and ask for version, partitions and policy."""

    async def read_script(self, user: str, path: str) -> bytes | Refused | NotNow:
        """A script that lies on the cluster already, at most 1 MiB."""

    async def stage(self, user: str, package: Package) -> StageOutcome:
        """Put the package into its directory. Harmless to repeat."""

    async def submit(self, user: str, token: str, directory: str, attempt: int = 1) -> SubmitOutcome:
        """Mark the staged package as sent, atomically, and run sbatch.

        `directory` and `attempt` are what `stage` answered. Where the marker is there already nothing is run and the outcome
        is Uncertain.
        """

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        """Look a submission up: marker, then squeue, then sacct.

        `NeverSent` only if all were asked and a command that is still on its way cannot submit any more; `directory` may be
        as it was given to `stage`.
        """

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        """The queue as `user` sees it (squeue): jobs of these users, or everybody's."""

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        """The accounting records of these jobs (sacct)."""

    async def exits(self, user: str, jobs: Sequence[Workplace]) -> Observation:
        """What these jobs of the user left about how they ended, where there is no accounting."""

    async def workplaces(self, user: str, job_ids: Sequence[str]) -> Sequence[Workplace] | Unavailable:
        """Where these jobs of the user run that are in the queue, with the tokens that they show."""

    async def origins(self, user: str, jobs: Sequence[Workplace]) -> Mapping[str, Origin] | Unavailable:
        """Which submissions these jobs of the user belong to, by job id. Those that say nothing are left out."""

    async def belong(self, user: str, token: str, directory: str, origin: Origin | None) -> ControlOutcome:
        """Write down which submission the job with this token belongs to from now on. None: to nobody."""

    async def cancel(self, user: str, job_ids: Sequence[str]) -> Mapping[str, NotNow | Refused]:
        """Cancel jobs (scancel). Returns why not for those that could not be; one that is over already is none of them."""

    async def hold(self, user: str, job_id: str) -> ControlOutcome:
        """Hold a job in the queue, so that its user may release it, whoever holds it (scontrol uhold)."""

    async def release(self, user: str, job_id: str) -> ControlOutcome:
        """Let a held job go (scontrol release)."""

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        """Remove the script and the files that only the run needed; the marker stays."""
