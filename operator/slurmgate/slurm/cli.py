"""A cluster driven by Slurm's own commands over SSH.

What cannot be known is said so: only a program that came to its end, with its closing sentinel, says anything about Slurm.
"""

import asyncio
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from slurmgate.core.outcomes import (
    ClusterFacts,
    ControlOutcome,
    FindOutcome,
    NeverSent,
    NotNow,
    Observation,
    Refused,
    Seen,
    Source,
    Staged,
    StageOutcome,
    SubmitOutcome,
    Submitted,
    Task,
    Unavailable,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import MAX_SCRIPT_BYTES
from slurmgate.slurm import records, staging, verdicts
from slurmgate.slurm.gateway import Package, Workplace
from slurmgate.slurm.login import KILLED, TIMED_OUT, TRANSFER_SECONDS, LoginNode, NoAnswer, Runner
from slurmgate.slurm.remote import Answer

T = TypeVar("T")

WRITE_DOWN_SECONDS: Final = 15
"""What submit.sh may take longer than sbatch, to write down what came of it."""
SETTLE_SECONDS: Final = 60
"""How long after sbatch must have ended a job that slurmctld took shows up in squeue and sacct, at the latest."""
LOOK_AGAIN_SECONDS: Final = 5
"""Between the two looks after which a job that sbatch was run for counts as one that does not exist."""
MIN_JOB_AGE_SECONDS: Final = 300
"""slurm.conf's default MinJobAge: how long squeue knows a job that has ended."""
DAY_SECONDS: Final = 86400
JOBS_AT_ONCE: Final = 1000
"""Jobs in one command: their ids share 128 KiB, the longest word that Linux takes."""

_JOB_ID = re.compile(r"^([1-9][0-9]{0,9})(;\S*)?\n", re.MULTILINE)
_NOT_KILLED = re.compile(r"Kill job error on job id ([0-9]{1,10})\b")
_OVER = re.compile(r"Invalid job id|already (completing|completed|finished)|no longer pending", re.IGNORECASE)


class CliGateway:
    """One cluster."""

    def __init__(self, runner: Runner, cluster: SlurmClusterSpec) -> None:
        self._commands = cluster.commands
        self._seconds = cluster.limits.command_timeout_seconds
        self._login = LoginNode(runner, seconds=self._seconds)

    # The cluster -----------------------------------------------------------------------------------------------------

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
                return _attempt(answer, directory) or Uncertain(f"{words} (exit status {answer.get('rc')})")
            case "unstaged":
                return NotNow(Reason.COMMAND_FAILED, f"{directory}: the staged files are not there")
            case _:
                return Uncertain("sbatch has been run for this submission before")

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        """Look a submission up: marker, then squeue, then sacct."""
        marker = await self._login.tell(user, "find", token, directory)
        if isinstance(marker, NoAnswer):
            return Uncertain(marker.message)
        if trouble := marker.words("trouble"):
            return Uncertain(trouble)
        told = _attempt(marker, marker.get("directory"))
        if isinstance(told, Submitted | Refused):
            return told
        sure = marker.get("attempt") == "0" or isinstance(told, NotNow)
        found = await self._known_to_slurm(user, token, marker, sure=sure)
        if found is None and not sure:
            if doubt := self._doubt(marker):
                return doubt
            # a slurmctld that was frozen may answer us before it has worked off the sbatch that waited for it
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            found = await self._known_to_slurm(user, token, marker, sure=sure)
        return found or await self._close(user, token, directory, marker)

    async def _known_to_slurm(self, user: str, token: str, marker: Answer, *, sure: bool) -> Submitted | Uncertain | None:
        """The job with this token; None if squeue and sacct do not know it. `sure`: the marker says that there is none."""
        for source in (await self.observe(user, [user]), await self._accounted_since(user, marker)):
            match source:
                case Seen():
                    if job_id := _with_token(source, token):
                        return await self._placed(user, job_id, marker)
                case Unavailable(Reason.NO_ACCOUNTING) if not sure and (_age(marker) or 0) > MIN_JOB_AGE_SECONDS:
                    return Uncertain(
                        "sbatch's answer is lost, squeue does not know the job (any more), and there is no accounting"
                    )
                case Unavailable(Reason.NO_ACCOUNTING):
                    pass
                case Unavailable(Reason.ACCOUNTING_UNAVAILABLE) if sure and marker.get("staged"):
                    pass  # the marker is to be seen, so nothing was sent
                case Unavailable(_, message):
                    return Uncertain(message)
        return None

    async def _placed(self, user: str, job_id: str, marker: Answer) -> Submitted | Uncertain:
        """The job with its working directory: where its marker is, or where Slurm says if that is somewhere else."""
        if marker.get("attempt") != "0":
            return Submitted(job_id, directory=marker.get("directory"))
        places = await self.workplaces(user, [job_id])
        if isinstance(places, Unavailable):
            return Uncertain(places.message)
        return Submitted(job_id, directory=places[0].directory if places else "")

    def _doubt(self, marker: Answer) -> Refused | Uncertain | None:
        """What still speaks against a new attempt after one of which Slurm knows nothing."""
        age = _age(marker)
        if age is None or age < self._seconds + SETTLE_SECONDS:
            return Uncertain("sbatch may still be under way; squeue and sacct do not know the job (yet)")
        status, words = marker.number("rc"), marker.words("err")
        if words and status is not None and status not in TIMED_OUT and status < KILLED:
            refusal = verdicts.refusal(words, reason=Reason.SUBMIT_REJECTED)
            return refusal if isinstance(refusal, Refused) else None
        return None

    async def _close(self, user: str, token: str, directory: str, marker: Answer) -> NeverSent | Uncertain:
        """Shut the door behind what may still be on its way, and only then say that nothing was sent."""
        answer = await self._login.tell(user, "close", token, directory, marker.get("attempt"))
        if isinstance(answer, NoAnswer):
            return Uncertain(answer.message)
        if answer.get("closed") == "yes":
            return NeverSent()
        return Uncertain(answer.words("trouble") or "another attempt has begun meanwhile")

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        """Remove the script and the files that only the run needed; the marker stays."""
        answer = await self._login.tell(user, "tidy", token, directory)
        return answer.not_now() if isinstance(answer, NoAnswer) else None

    # Jobs ------------------------------------------------------------------------------------------------------------

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        """The queue as `user` sees it (squeue): jobs of these users, or everybody's."""
        # slurmctld itself picks out the jobs of one user; of several squeue would, after it has fetched everybody's
        whose = [f"--user={name}" for name in users] if users is not None and len(users) == 1 else []
        mark = secrets.token_hex(4)
        rows = await self._squeue(user, *whose, f"--Format={records.queue_format(mark)}")
        if isinstance(rows, Unavailable):
            return rows
        return Seen(Source.QUEUE, records.queue(rows, mark=mark, users=users).tasks)

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        """The accounting records of these jobs (sacct)."""
        tasks: dict[str, tuple[Task, ...]] = {}
        for some in _chunks(job_ids):
            answer = await self._sacct(user, f"--jobs={','.join(some)}")
            if isinstance(answer, Unavailable):
                return answer
            tasks |= await self._with_full_exit_codes(user, answer.tasks)
        return Seen(Source.ACCOUNTING, tasks)

    async def exits(self, user: str, jobs: Sequence[Workplace]) -> Observation:
        """What these jobs of the user left about how they ended, where there is no accounting."""
        tasks: dict[str, tuple[Task, ...]] = {}
        for some in _chunks(jobs):
            answer = await self._read_beside(user, "exits", some)
            if isinstance(answer, Unavailable):
                return answer
            tasks |= records.exits(answer.all("exit"), job_ids={job.token: job.job_id for job in some}).tasks
        return Seen(Source.EXIT_RECORDS, tasks)

    async def workplaces(self, user: str, job_ids: Sequence[str]) -> Sequence[Workplace] | Unavailable:
        """Where these jobs of the user run that are in the queue, with the tokens that they show."""
        places: list[Workplace] = []
        for some in _chunks(job_ids):
            mark = secrets.token_hex(4)
            rows = await self._squeue(user, f"--jobs={','.join(some)}", f"--Format={records.workplace_format(mark)}")
            if isinstance(rows, Unavailable):
                return rows
            places += records.workplaces(rows, mark=mark)
        return places

    async def origins(self, user: str, jobs: Sequence[Workplace]) -> Mapping[str, Origin] | Unavailable:
        """Which submissions these jobs of the user belong to, by job id. Those that say nothing are left out."""
        found: dict[str, Origin] = {}
        for some in _chunks(jobs):
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
        for some in _chunks(job_ids):
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

    async def _squeue(self, user: str, *arguments: str) -> tuple[str, ...] | Unavailable:
        squeue = (self._commands.squeue, "--noheader", "--all", "--states=all")
        return await self._login.command(user, *squeue, *arguments, failed=Reason.CONTROLLER_UNAVAILABLE)

    async def _sacct(self, user: str, *arguments: str) -> Seen | Unavailable:
        mark = f"|{secrets.token_hex(8)}|"
        sacct = (self._commands.sacct, "--noheader", "--parsable2", f"--delimiter={mark}", "--duplicates")
        layout = f"--format={records.ACCOUNT_FORMAT}"
        rows = await self._login.command(user, *sacct, *arguments, layout, failed=Reason.ACCOUNTING_UNAVAILABLE)
        if not isinstance(rows, Unavailable):
            return Seen(Source.ACCOUNTING, records.account(rows, mark=mark).tasks)
        return replace(rows, reason=Reason.NO_ACCOUNTING) if "storage is disabled" in rows.message else rows

    async def _accounted_since(self, user: str, marker: Answer) -> Seen | Unavailable:
        """All jobs of the user since the day before the last attempt."""
        seconds = (_age(marker) or 0) + DAY_SECONDS
        return await self._sacct(user, "--allocations", f"--user={user}", f"--starttime=now-{seconds}")

    async def _with_full_exit_codes(self, user: str, tasks: dict[str, tuple[Task, ...]]) -> dict[str, tuple[Task, ...]]:
        """Up to 25.11 sacct shows exit code 137 as 9. squeue has all of it for as long as it knows the job."""
        doubtful = [job for job, rows in tasks.items() if any(0 < (row.exit_code or 0) < records.CUT_OFF for row in rows)]
        if not doubtful:
            return tasks
        mark = secrets.token_hex(4)
        rows = await self._squeue(user, f"--jobs={','.join(doubtful)}", f"--Format={records.exit_code_format(mark)}")
        codes = {} if isinstance(rows, Unavailable) else records.exit_codes(rows, mark=mark)
        return {job: tuple(records.with_full_exit_code(row, codes) for row in rows) for job, rows in tasks.items()}


def _failure(answer: Unavailable) -> NotNow | Refused:
    if answer.reason is not Reason.COMMAND_FAILED:
        return NotNow(answer.reason, answer.message)
    return verdicts.refusal(answer.message, reason=Reason.COMMAND_FAILED)


def _not_cancelled(answer: Unavailable, job_ids: Sequence[str]) -> dict[str, NotNow | Refused]:
    """Which of these jobs scancel did not cancel: it has a line for each, or else none of them was."""
    lines = [line for line in answer.message.splitlines() if not _OVER.search(line)]
    named = {match[1]: line for line in lines if (match := _NOT_KILLED.search(line))}
    if len(named) == len(lines):
        return {job_id: _failure(replace(answer, message=line)) for job_id, line in named.items()}
    return dict.fromkeys(job_ids, _failure(answer))


def _attempt(answer: Answer, directory: str) -> Submitted | Refused | NotNow | None:
    """What the files of an attempt say; None if they do not say whether Slurm has the job."""
    words = answer.words("err")
    if answer.get("failed") and not words:
        return NotNow(Reason.SUBMITTING, "no attempt was made since the last look-up")  # it was close.sh that made the folder
    if answer.get("failed"):
        return verdicts.refusal(words, reason=Reason.SUBMIT_REJECTED)
    if job_id := answer.number("job"):  # it has begun, and said so
        return Submitted(str(job_id), directory=directory)
    match = _JOB_ID.search(answer.content("out").decode("utf-8", "replace"))
    return Submitted(match[1], warning=verdicts.shortened(words), directory=directory) if match else None


def _age(marker: Answer) -> int | None:
    """Seconds since the last attempt began, by the login nodes' clocks."""
    now, started = marker.number("now"), marker.number("started")
    return None if now is None or started is None else max(0, now - started)


def _with_token(seen: Seen, token: str) -> str | None:
    return next((job for job, tasks in seen.tasks.items() if any(task.token == token for task in tasks)), None)


def _chunks(jobs: Sequence[T]) -> list[Sequence[T]]:
    return [jobs[start : start + JOBS_AT_ONCE] for start in range(0, len(jobs), JOBS_AT_ONCE)]
