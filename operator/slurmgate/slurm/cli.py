"""A cluster driven by Slurm's own commands over SSH: what is asked of it, and what is done there."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from slurmgate.core.outcomes import (
    ClusterFacts,
    ControlOutcome,
    FindOutcome,
    NotNow,
    Observation,
    Refused,
    Staged,
    StageOutcome,
    SubmitOutcome,
    Unavailable,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import MAX_SCRIPT_BYTES
from slurmgate.slurm import staging, verdicts
from slurmgate.slurm.gateway import Package, Workplace
from slurmgate.slurm.login import TRANSFER_SECONDS, LoginNode, NoAnswer, Runner
from slurmgate.slurm.lookup import LookUp, what_it_says
from slurmgate.slurm.reading import Reader, chunks

WRITE_DOWN_SECONDS: Final = 15
"""What submit.sh may take longer than sbatch, to write down what came of it."""

_NOT_KILLED = re.compile(r"Kill job error on job id ([0-9]{1,10})\b")
_OVER = re.compile(r"Invalid job id|already (completing|completed|finished)|no longer pending", re.IGNORECASE)


class CliGateway:
    """One cluster."""

    def __init__(self, runner: Runner, cluster: SlurmClusterSpec) -> None:
        self._commands = cluster.commands
        self._seconds = cluster.limits.command_timeout_seconds
        self._login = LoginNode(runner, seconds=self._seconds)
        self._reader = Reader(self._login, cluster)
        self._lookup = LookUp(self._login, self._reader, seconds=self._seconds)

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
        answer = await self._login.tell(user, "read", path, str(MAX_SCRIPT_BYTES))
        if isinstance(answer, NoAnswer):
            return answer.not_now()
        if trouble := answer.words("trouble"):
            return verdicts.refusal(f"spec.script.remotePath: {trouble}", reason=Reason.SCRIPT_INVALID)
        content = answer.content("content")
        if len(content) > MAX_SCRIPT_BYTES:
            return Refused(Reason.SCRIPT_INVALID, f"spec.script.remotePath: {path} is larger than 1 MiB")
        return content

    async def stage(self, user: str, package: Package) -> StageOutcome:
        """Put the package into its directory. Harmless to repeat."""
        stdin = staging.stdin(package, sbatch=self._commands.sbatch)
        answer = await self._login.ask(user, "stage", stdin=stdin, seconds=TRANSFER_SECONDS)
        if isinstance(answer, NoAnswer):
            return answer.not_now()
        if trouble := answer.words("trouble"):
            return verdicts.refusal(trouble, reason=Reason.DIRECTORY_NOT_WRITABLE)
        return Staged(answer.get("directory"), attempt=(answer.number("attempts") or 0) + 1)

    async def submit(self, user: str, token: str, directory: str, attempt: int = 1) -> SubmitOutcome:
        """Mark the staged package as sent, atomically, and run sbatch."""
        lines = (token, directory, str(attempt), str(self._seconds), verdicts.UNCERTAIN)
        answer = await self._login.tell(user, "submit", *lines, seconds=self._seconds + WRITE_DOWN_SECONDS)
        if isinstance(answer, NoAnswer):
            return answer.not_now() if answer.not_run else Uncertain(answer.message)
        if trouble := answer.words("trouble"):  # it was staged a moment ago: if it is for good, staging will say so
            return NotNow(verdicts.later(trouble) or Reason.COMMAND_FAILED, verdicts.shortened(trouble))
        match answer.get("verdict"):
            case "ran":
                words = verdicts.shortened(answer.words("err")) or "sbatch said nothing"
                return what_it_says(answer, directory) or Uncertain(f"{words} (exit status {answer.get('rc')})")
            case "unstaged":
                return NotNow(Reason.COMMAND_FAILED, f"{directory}: the staged files are not there")
            case _:
                return Uncertain("sbatch has been run for this submission before")

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        """Look a submission up: marker, then squeue, then sacct."""
        return await self._lookup.find(user, token, directory)

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        """Remove the script and the files that only the run needed; the marker stays."""
        answer = await self._login.tell(user, "tidy", token, directory)
        return answer.not_now() if isinstance(answer, NoAnswer) else None

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
        """Hold a job in the queue (scontrol hold)."""
        return await self._control(user, self._commands.scontrol, "hold", job_id)

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
