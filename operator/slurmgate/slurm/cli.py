"""A cluster driven by Slurm's own commands over SSH: what is asked of it, and what is done there."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

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
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import MAX_SCRIPT_BYTES
from slurmgate.slurm import person, verdicts
from slurmgate.slurm.gateway import Package, Workplace
from slurmgate.slurm.login import LoginNode, NoAnswer, Runner
from slurmgate.slurm.lookup import LookUp
from slurmgate.slurm.reading import Reader, chunks
from slurmgate.slurm.sending import Sender

_NOT_KILLED = re.compile(r"Kill job error on job id ([0-9]{1,10})\b")
_OVER = re.compile(r"Invalid job id|already (completing|completed|finished)|no longer pending", re.IGNORECASE)


class CliGateway:
    """One cluster."""

    def __init__(self, runner: Runner, cluster: SlurmClusterSpec) -> None:
        self._commands = cluster.commands
        self._access = cluster.access
        seconds = cluster.limits.command_timeout_seconds
        self._login = LoginNode(runner, seconds=seconds)
        self._reader = Reader(self._login, cluster)
        self._sender = Sender(self._login, sbatch=self._commands.sbatch, access=cluster.access, seconds=seconds)
        self._lookup = LookUp(self._login, self._reader, seconds=seconds)

    # Questions -------------------------------------------------------------------------------------------------------

    async def describe(self, user: str) -> ClusterFacts | Unavailable:
        """See Gateway."""
        return await self._reader.describe(user)

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        """See Gateway."""
        return await self._reader.observe(user, users)

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        """See Gateway."""
        return await self._reader.account(user, job_ids)

    async def exits(self, user: str, jobs: Sequence[Workplace]) -> Observation:
        """See Gateway."""
        return await self._reader.exits(user, jobs)

    async def workplaces(self, user: str, job_ids: Sequence[str]) -> Sequence[Workplace] | Unavailable:
        """See Gateway."""
        return await self._reader.workplaces(user, job_ids)

    async def origins(self, user: str, jobs: Sequence[Workplace]) -> Mapping[str, Origin] | Unavailable:
        """See Gateway."""
        return await self._reader.origins(user, jobs)

    # One submission --------------------------------------------------------------------------------------------------

    async def read_script(self, user: str, path: str) -> bytes | Refused | NotNow:
        """A script that lies on the cluster already, at most 1 MiB."""
        answer = await self._login.tell(user, "read", *person.lines(self._access, user), path, str(MAX_SCRIPT_BYTES))
        if isinstance(answer, NoAnswer):
            return answer.not_now()
        if other := person.refusal(self._access, user, answer):
            return other
        if trouble := answer.words("trouble"):
            return verdicts.refusal(f"spec.script.remotePath: {trouble}", reason=Reason.SCRIPT_INVALID)
        content = answer.content("content")
        if len(content) > MAX_SCRIPT_BYTES:
            return Refused(Reason.SCRIPT_INVALID, f"spec.script.remotePath: {path} is larger than 1 MiB")
        return content

    async def stage(self, user: str, package: Package) -> StageOutcome:
        """Put the package into its directory. Harmless to repeat."""
        return await self._sender.stage(user, package)

    async def submit(self, user: str, token: str, directory: str, attempt: int = 1) -> SubmitOutcome:
        """Mark the staged package as sent, atomically, and run sbatch."""
        return await self._sender.submit(user, token, directory, attempt)

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        """Look a submission up: marker, then squeue, then sacct."""
        return await self._lookup.find(user, token, directory)

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        """Remove the script and the files that only the run needed; the marker stays."""
        return await self._sender.tidy(user, token, directory)

    # Jobs ------------------------------------------------------------------------------------------------------------

    async def belong(self, user: str, token: str, directory: str, origin: Origin | None) -> ControlOutcome:
        """Write down which submission the job with this token belongs to from now on. None: to nobody."""
        answer = await self._login.tell(user, "belong", token, directory, str(origin or ""))
        if isinstance(answer, NoAnswer):
            return answer.not_now()
        trouble = answer.words("trouble")
        return NotNow(Reason.COMMAND_FAILED, trouble) if trouble else None

    async def cancel(self, user: str, job_ids: Sequence[str]) -> Mapping[str, NotNow | Refused]:
        """Cancel jobs (scancel). Returns why not for those that could not be; one that is over already is none of them."""
        failures: dict[str, NotNow | Refused] = {}
        for some in chunks(job_ids):
            answer = await self._login.command(user, self._commands.scancel, *some, failed=Reason.COMMAND_FAILED)
            if isinstance(answer, Unavailable):
                failures |= _not_cancelled(answer, some)
        return failures

    async def hold(self, user: str, job_id: str) -> ControlOutcome:
        """Hold a job in the queue, so that its user may release it, whoever holds it (scontrol uhold)."""
        return await self._control(user, self._commands.scontrol, "uhold", job_id)

    async def release(self, user: str, job_id: str) -> ControlOutcome:
        """Let a held job go (scontrol release)."""
        return await self._control(user, self._commands.scontrol, "release", job_id)

    async def _control(self, user: str, *argv: str) -> ControlOutcome:
        answer = await self._login.command(user, *argv, failed=Reason.COMMAND_FAILED)
        if not isinstance(answer, Unavailable) or all(map(_OVER.search, answer.message.splitlines())):
            return None
        return _failure(answer)


def _failure(answer: Unavailable) -> NotNow | Refused:
    if answer.reason is not Reason.COMMAND_FAILED:
        return NotNow(answer.reason, answer.message)
    return verdicts.refusal(answer.message, reason=Reason.COMMAND_FAILED)


def _not_cancelled(answer: Unavailable, job_ids: Sequence[str]) -> dict[str, NotNow | Refused]:
    """Which of these jobs scancel did not cancel: it has a line for each, or else none of them was."""
    lines = [line for line in answer.message.splitlines() if not _OVER.search(line)]
    named = {match[1]: line for line in lines if (match := _NOT_KILLED.search(line))}
    if len(named) == len(lines) and verdicts.CUT not in answer.message:
        return {job_id: _failure(replace(answer, message=line)) for job_id, line in named.items()}
    return dict.fromkeys(job_ids, _failure(answer))
