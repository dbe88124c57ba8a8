"""What a cluster is asked by Slurm's own commands over SSH; nothing here changes anything.

What cannot be known is said so: only a program that came to its end, with its closing sentinel, says anything about Slurm.
"""

import asyncio
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from slurmgate.core.outcomes import (
    ClusterFacts,
    Observation,
    Seen,
    Source,
    Task,
    Unavailable,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.slurm import records, verdicts
from slurmgate.slurm.gateway import Workplace
from slurmgate.slurm.login import LoginNode, NoAnswer, TooMuch
from slurmgate.slurm.remote import Answer

T = TypeVar("T")

JOBS_AT_ONCE: Final = 1000
"""Jobs in one command: their ids share 128 KiB, the longest word that Linux takes."""


class Reader:
    """Asks one cluster."""

    def __init__(self, login: LoginNode, cluster: SlurmClusterSpec) -> None:
        self._login = login
        self._commands = cluster.commands
        self._seconds = cluster.limits.command_timeout_seconds

    async def describe(self, user: str) -> ClusterFacts | Unavailable:
        """Check that all commands are there, and ask for version, partitions and policy."""
        paths = self._commands
        commands = (paths.sbatch, paths.squeue, paths.sacct, paths.scancel, paths.scontrol, paths.sinfo)
        answer = await self._login.ask(user, "describe", *commands)
        if isinstance(answer, NoAnswer):
            return answer.unavailable(Reason.CONTROLLER_UNAVAILABLE)
        if missing := answer.get("missing"):
            where = "not on the login node, or not executable (spec.commands has the paths)"
            return Unavailable(Reason.COMMAND_FAILED, f"{where}: {missing.replace(' ', ', ')}")
        if trouble := answer.words("trouble"):
            return Unavailable(Reason.CONTROLLER_UNAVAILABLE, verdicts.shortened(trouble))
        return ClusterFacts(
            slurm_version=answer.get("SLURM_VERSION"),
            cluster_name=answer.get("ClusterName"),
            hides_jobs="jobs" in re.split(r"[,\s]+", answer.get("PrivateData")),
            accounting=not answer.get("AccountingStorageType").endswith("/none"),
            partitions=records.partitions(answer.all("partition")),
        )

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        """The queue as `user` sees it (squeue): jobs of these users, or everybody's."""
        # slurmctld itself picks out the jobs of one user; of several squeue would, after it has fetched everybody's
        whose = [f"--user={name}" for name in users] if users is not None and len(users) == 1 else []
        mark = secrets.token_hex(4)
        rows = await self._squeue(user, *whose, f"--Format={records.queue_format(mark)}", mark=mark)
        if isinstance(rows, Unavailable):
            return rows
        queue = await asyncio.to_thread(records.queue, rows, mark=mark, users=users)  # an array can have many thousand rows
        return Seen(Source.QUEUE, queue.tasks)

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        """The accounting records of these jobs (sacct)."""
        tasks: dict[str, tuple[Task, ...]] = {}
        for some in chunks(job_ids):
            answer = await self._account(user, some)
            if isinstance(answer, Unavailable):
                return answer
            tasks |= await self._with_full_exit_codes(user, answer.tasks)
        return Seen(Source.ACCOUNTING, tasks)

    async def _account(self, user: str, job_ids: Sequence[str]) -> Seen | Unavailable:
        """The records of as many jobs at once as there is room for. The tasks of an array may be too many even alone."""
        jobs = f"--jobs={','.join(job_ids)}"
        answer = await self._sacct(user, jobs)
        if not isinstance(answer, TooMuch):
            return answer
        if len(job_ids) == 1:
            return await self._sacct(user, jobs, "--allocations")  # lacks what steps alone know: about memory
        tasks: dict[str, tuple[Task, ...]] = {}
        for half in (job_ids[: len(job_ids) // 2], job_ids[len(job_ids) // 2 :]):
            answer = await self._account(user, half)
            if isinstance(answer, Unavailable):
                return answer
            tasks |= answer.tasks
        return Seen(Source.ACCOUNTING, tasks)

    async def exits(self, user: str, jobs: Sequence[Workplace]) -> Observation:
        """What these jobs of the user left about how they ended, where there is no accounting."""
        tasks: dict[str, tuple[Task, ...]] = {}
        for some in chunks(jobs):
            answer = await self._read_beside(user, "exits", some)
            if isinstance(answer, Unavailable):
                return answer
            tasks |= records.exits(answer.all("exit"), job_ids={job.token: job.job_id for job in some}).tasks
        return Seen(Source.EXIT_RECORDS, tasks)

    async def workplaces(self, user: str, job_ids: Sequence[str]) -> Sequence[Workplace] | Unavailable:
        """Where these jobs of the user run that are in the queue, with the tokens that they show."""
        places: list[Workplace] = []
        for some in chunks(job_ids):
            mark = secrets.token_hex(4)
            rows = await self._squeue(user, f"--jobs={','.join(some)}", f"--Format={records.workplace_format(mark)}", mark=mark)
            if isinstance(rows, Unavailable):
                return rows
            places += records.workplaces(rows, mark=mark)
        return places

    async def origins(self, user: str, jobs: Sequence[Workplace]) -> Mapping[str, Origin] | Unavailable:
        """Which submissions these jobs of the user belong to, by job id. Those that say nothing are left out."""
        found: dict[str, Origin] = {}
        for some in chunks(jobs):
            answer = await self._read_beside(user, "origins", some)
            if isinstance(answer, Unavailable):
                return answer
            told = dict(line.partition(" ")[::2] for line in answer.all("origin"))
            found |= {job.job_id: origin for job in some if (origin := Origin.parse(told.get(job.token, "")))}
        return found

    async def _read_beside(self, user: str, program: str, jobs: Sequence[Workplace]) -> Answer | Unavailable:
        """What a program finds beside the markers of these jobs."""
        places = (line for job in jobs for line in (job.token, job.directory))
        answer = await self._login.tell(user, program, str(len(jobs)), *places, seconds=self._seconds)
        if isinstance(answer, NoAnswer):
            return answer.unavailable(Reason.COMMAND_FAILED)
        trouble = answer.words("trouble")
        return Unavailable(Reason.COMMAND_FAILED, trouble) if trouble else answer

    async def accounted(self, user: str, token: str, *, seconds: int) -> Seen | Unavailable:
        """The accounting records of the user's jobs with this token, among those of the last so many seconds."""
        return await self._sacct(user, "--allocations", f"--user={user}", f"--starttime=now-{seconds}", having=token)

    async def _squeue(self, user: str, *arguments: str, mark: str) -> Iterator[str] | Unavailable:
        squeue = (self._commands.squeue, "--noheader", "--all", "--states=all")
        answer = await self._login.command(user, *squeue, *arguments, failed=Reason.CONTROLLER_UNAVAILABLE)
        return answer if isinstance(answer, Unavailable) else answer.rows(mark)

    async def _sacct(self, user: str, *arguments: str, having: str = "") -> Seen | Unavailable:
        mark = f"|{secrets.token_hex(4)}"
        sacct = (self._commands.sacct, "--noheader", "--parsable2", f"--delimiter={mark}", "--duplicates")
        layout = f"--format={records.ACCOUNT_FORMAT}"
        words = (*sacct, *arguments, layout)
        answer = await self._login.command(user, *words, failed=Reason.ACCOUNTING_UNAVAILABLE, having=having)
        if not isinstance(answer, Unavailable):
            told = await asyncio.to_thread(records.account, answer.rows(mark), mark=mark)
            return Seen(Source.ACCOUNTING, told.tasks)
        return replace(answer, reason=Reason.NO_ACCOUNTING) if "storage is disabled" in answer.message else answer

    async def _with_full_exit_codes(self, user: str, tasks: dict[str, tuple[Task, ...]]) -> dict[str, tuple[Task, ...]]:
        """Up to 25.11 sacct shows exit code 137 as 9. squeue has all of it for as long as it knows the job."""
        doubtful = [job for job, rows in tasks.items() if any(0 < (row.exit_code or 0) < records.CUT_OFF for row in rows)]
        if not doubtful:
            return tasks
        mark = secrets.token_hex(4)
        rows = await self._squeue(user, f"--jobs={','.join(doubtful)}", f"--Format={records.exit_code_format(mark)}", mark=mark)
        codes = {} if isinstance(rows, Unavailable) else records.exit_codes(rows, mark=mark)
        return {job: tuple(records.with_full_exit_code(row, codes) for row in rows) for job, rows in tasks.items()}


def chunks(jobs: Sequence[T]) -> list[Sequence[T]]:
    """The jobs in as many parts as commands can take."""
    return [jobs[start : start + JOBS_AT_ONCE] for start in range(0, len(jobs), JOBS_AT_ONCE)]
