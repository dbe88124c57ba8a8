"""What a cluster is asked by Slurm's own commands over SSH; nothing here changes anything.

What cannot be known is said so: only a program that came to its end, with its closing sentinel, says anything about Slurm.
"""

import asyncio
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
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

_NO_ACCOUNTING: Final = ("/none", "(null)")
"""What AccountingStorageType ends with where there is none: up to 23.02, and since."""
JOBS_AT_ONCE: Final = 1000
"""Jobs in one command: their ids share 128 KiB, the longest word that Linux takes."""


class Reader:
    """Asks one cluster."""

    def __init__(self, login: LoginNode, cluster: SlurmClusterSpec) -> None:
        self._login = login
        self._commands = cluster.commands
        self._seconds = cluster.limits.command_timeout_seconds
        self._large: set[str] = set()
        """Arrays that were too much to be told in full."""

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
            slurm_version=answer.get("SLURM_VERSION")[: records.MOST_WORD],
            cluster_name=answer.get("ClusterName")[: records.MOST_WORD],
            hides_jobs="jobs" in re.split(r"[,\s]+", answer.get("PrivateData")),
            accounting=not answer.get("AccountingStorageType").endswith(_NO_ACCOUNTING),
            partitions=records.partitions(answer.all("partition")),
        )

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        """The queue as `user` sees it (squeue): jobs of these users, or everybody's."""
        # slurmctld itself picks out the jobs of one user; of several squeue would, after it has fetched everybody's
        whose = [f"--user={name}" for name in users] if users is not None and len(users) == 1 else []
        mark = secrets.token_hex(4)
        rows = await self._squeue(user, *whose, f"--Format={records.queue_format(mark)}", mark=mark, users=users or ())
        if isinstance(rows, Unavailable):
            return rows
        queue = await asyncio.to_thread(records.queue, rows, mark=mark, users=users)  # an array can have many thousand rows
        return Seen(Source.QUEUE, queue.tasks)

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        """The accounting records of these jobs (sacct)."""
        seen = Seen(Source.ACCOUNTING)
        for some in chunks([job for job in job_ids if job not in self._large]):
            answer = await self._account(user, some)
            if isinstance(answer, Unavailable):
                return answer
            seen = _both(seen, answer)
        for job in self._large.intersection(job_ids):
            answer = await self._array(user, job)
            alone = Seen(Source.ACCOUNTING, unanswered={job: answer}) if isinstance(answer, Unavailable) else answer
            seen = _both(seen, alone)
        if seen.unanswered and seen.unanswered.keys() >= set(job_ids):
            return next(iter(seen.unanswered.values()))
        return replace(seen, tasks=await self._with_full_exit_codes(user, seen.tasks))

    async def _account(self, user: str, job_ids: Sequence[str]) -> Seen | Unavailable:
        """The records of as many jobs at once as there is room for; those that are too much even alone are left for later."""
        jobs = f"--jobs={','.join(job_ids)}"
        answer = await self._sacct(user, jobs)
        if isinstance(answer, TooMuch) and len(job_ids) == 1:
            answer = await self._sacct(user, jobs, "--allocations")  # lacks what steps alone know: about memory
            if isinstance(answer, TooMuch):
                self._large.add(job_ids[0])
                return Seen(Source.ACCOUNTING)
        if not isinstance(answer, TooMuch):
            return answer
        seen = Seen(Source.ACCOUNTING)
        for half in (job_ids[: len(job_ids) // 2], job_ids[len(job_ids) // 2 :]):
            answer = await self._account(user, half)
            if isinstance(answer, Unavailable):
                return answer
            seen = _both(seen, answer)
        return seen

    async def _array(self, user: str, job_id: str) -> Seen | Unavailable:
        """An array of so many tasks that there is no room for all their submit lines: a few of them tell the tokens of all."""
        rows = await self._sacct_rows(user, f"--jobs={job_id}", "--allocations", layout=records.ARRAY_FORMAT, mark="|")
        if isinstance(rows, Unavailable):
            return rows
        told = await asyncio.to_thread(records.account, rows, mark="|", layout=records.ARRAY_FORMAT)
        tasks, tokens = told.tasks.get(job_id, ()), dict[records.Identity, str]()
        for some in chunks(records.examples(tasks)):
            mark = f"|{secrets.token_hex(4)}"
            jobs = f"--jobs={','.join(some)}"
            rows = await self._sacct_rows(user, jobs, "--allocations", layout=records.SUBMIT_LINES_FORMAT, mark=mark)
            if isinstance(rows, Unavailable):
                return rows
            tokens |= records.tokens(rows, mark=mark)
        return Seen(Source.ACCOUNTING, {job_id: await asyncio.to_thread(records.with_tokens, tasks, tokens)})

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
        seen = await self._sacct(user, "--allocations", f"--user={user}", f"--starttime=now-{seconds}", having=token)
        if isinstance(seen, Seen) and any(records.half_known(row) for rows in seen.tasks.values() for row in rows):
            # a task of an array has an id of its own there for as long
            return Unavailable(Reason.ACCOUNTING_UNAVAILABLE, "slurmdbd has not yet been told all about the job")
        return seen

    async def _squeue(self, user: str, *arguments: str, mark: str, users: Collection[str] = ()) -> Iterator[str] | Unavailable:
        """Rows of squeue. If they are too many, those of each of these users are asked for by themselves."""
        squeue = (self._commands.squeue, "--noheader", "--all", "--states=all")
        answer = await self._login.command(user, *squeue, *arguments, failed=Reason.CONTROLLER_UNAVAILABLE)
        if not isinstance(answer, Unavailable):
            return answer.rows(mark)
        if not isinstance(answer, TooMuch) or len(users) < 2:  # noqa: PLR2004 - of one alone there is nothing smaller to ask
            return answer
        rows: list[Iterator[str]] = []
        for name in users:
            part = await self._squeue(user, *arguments, f"--user={name}", mark=mark)
            if isinstance(part, Unavailable):
                return part
            rows.append(part)
        return chain(*rows)

    async def _sacct(self, user: str, *arguments: str, having: str = "") -> Seen | Unavailable:
        mark = f"|{secrets.token_hex(4)}"
        rows = await self._sacct_rows(user, *arguments, layout=records.ACCOUNT_FORMAT, mark=mark, having=having)
        if isinstance(rows, Unavailable):
            return rows
        told = await asyncio.to_thread(records.account, rows, mark=mark)
        return Seen(Source.ACCOUNTING, told.tasks)

    async def _sacct_rows(
        self, user: str, *arguments: str, layout: str, mark: str, having: str = ""
    ) -> Iterator[str] | Unavailable:
        sacct = (self._commands.sacct, "--noheader", "--parsable2", f"--delimiter={mark}", "--duplicates")
        words = (*sacct, *arguments, f"--format={layout}")
        answer = await self._login.command(user, *words, failed=Reason.ACCOUNTING_UNAVAILABLE, having=having)
        if not isinstance(answer, Unavailable):
            return answer.rows(mark)
        return replace(answer, reason=Reason.NO_ACCOUNTING) if "storage is disabled" in answer.message else answer

    async def _with_full_exit_codes(self, user: str, tasks: dict[str, tuple[Task, ...]]) -> dict[str, tuple[Task, ...]]:
        """Up to 25.11 sacct shows exit code 137 as 9. squeue has all of it for as long as it knows the job."""
        doubtful = [job for job, rows in tasks.items() if any(0 < (row.exit_code or 0) < records.CUT_OFF for row in rows)]
        users = {row.user for job in doubtful for row in tasks[job] if row.user}
        codes: dict[records.Key, int] = {}
        for some in chunks(doubtful):
            mark = secrets.token_hex(4)
            layout = f"--Format={records.exit_code_format(mark)}"
            rows = await self._squeue(user, f"--jobs={','.join(some)}", layout, mark=mark, users=users)
            if not isinstance(rows, Unavailable):
                codes |= records.exit_codes(rows, mark=mark)
        return {job: tuple(records.with_full_exit_code(row, codes) for row in rows) for job, rows in tasks.items()}


def _both(one: Seen, other: Seen) -> Seen:
    """The answers about different jobs as one."""
    return Seen(one.source, one.tasks | other.tasks, one.unanswered | other.unanswered)


def chunks(jobs: Sequence[T]) -> list[Sequence[T]]:
    """The jobs in as many parts as commands can take."""
    return [jobs[start : start + JOBS_AT_ONCE] for start in range(0, len(jobs), JOBS_AT_ONCE)]
