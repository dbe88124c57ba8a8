"""A cluster driven by Slurm's own commands over SSH.

Every question is one command with its own time limit on the far side (`timeout -k`) and a longer one here. What cannot be known
is said so: only a command that came to its end, with its closing sentinel, says anything about Slurm.
"""

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, assert_never

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
    Submitted,
    SubmitOutcome,
    Task,
    Unavailable,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import MAX_SCRIPT_BYTES
from slurmgate.slurm import records, remote, staging, verdicts
from slurmgate.slurm.gateway import Package
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Ran, Unknown

TRANSFER_SECONDS = 60
"""For commands that only touch files, a package of 7 MiB among them."""
CONNECT_SECONDS = 30
"""What a command may take longer here than on the far side: connecting, waiting for a session, the way there and back."""
SETTLE_SECONDS = 60
"""How long after sbatch must have ended a job that slurmctld did take shows up in squeue and sacct, at the latest."""
DAY_SECONDS = 86400
MIN_JOB_AGE_SECONDS = 300
"""slurm.conf's default MinJobAge: how long squeue knows a job that has ended."""
JOBS_PER_QUESTION = 1000
"""Job ids in one command: they share 128 KiB, the longest argument Linux takes."""

_REASONS = {
    Cause.HOST_KEY_MISMATCH: Reason.HOST_KEY_MISMATCH,
    Cause.NO_HOST_KEYS: Reason.HOST_KEY_MISMATCH,
    Cause.AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    Cause.KEY_UNAVAILABLE: Reason.KEY_UNAVAILABLE,
}
_PARSABLE = re.compile(r"^([0-9]+)(;\S*)?\n", re.MULTILINE)
_OVER = re.compile(r"Invalid job id|already (completing|completed|finished)|Job/step already", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _NoAnswer:
    """A command of ours did not answer."""

    reason: Reason | None
    """Set if it certainly did not run."""
    message: str

    def unavailable(self, reason: Reason = Reason.CLUSTER_UNREACHABLE) -> Unavailable:
        return Unavailable(self.reason or reason, self.message)

    def not_now(self) -> NotNow:
        """For what is harmless to repeat."""
        return NotNow(self.reason or Reason.CLUSTER_UNREACHABLE, self.message)


class Runner(Protocol):
    """Runs a command on the cluster."""

    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float) -> Outcome:
        """Run `argv` as `user`; `deadline` in seconds for all of it."""


class CliGateway:
    """One cluster."""

    def __init__(self, runner: Runner, cluster: SlurmClusterSpec) -> None:
        self._runner = runner
        self._commands = cluster.commands
        self._seconds = cluster.limits.command_timeout_seconds

    async def describe(self, user: str) -> ClusterFacts | Unavailable:
        """Check that all commands are there, and ask for version, partitions and policy."""
        paths = self._commands
        commands = (paths.sbatch, paths.squeue, paths.sacct, paths.scancel, paths.scontrol, paths.sinfo)
        answer = await self._ask(user, "describe", *commands)
        if isinstance(answer, _NoAnswer):
            return answer.unavailable()
        if missing := answer.get("missing"):
            return Unavailable(
                Reason.COMMAND_FAILED,
                f"not on the login node: {missing.replace(' ', ', ')}. spec.commands has the paths.",
            )
        version = answer.get("SLURM_VERSION")
        if not version:
            return Unavailable(Reason.CONTROLLER_UNAVAILABLE, verdicts.shortened(answer.words("trouble")))
        return ClusterFacts(
            slurm_version=version,
            cluster_name=answer.get("ClusterName"),
            hides_jobs="jobs" in re.split(r"[,\s]+", answer.get("PrivateData")),
            accounting=answer.get("accounting") == "yes",
            partitions=records.partitions(answer.all("partition")),
        )

    async def read_script(self, user: str, path: str) -> bytes | Refused | NotNow:
        """A script that lies on the cluster already, at most 1 MiB."""
        answer = await self._place(user, "read", path, str(MAX_SCRIPT_BYTES))
        if isinstance(answer, _NoAnswer):
            return answer.not_now()
        if trouble := answer.words("trouble"):
            return verdicts.refusal(f"spec.script.remotePath: {trouble}", reason=Reason.SCRIPT_INVALID)
        content = answer.content("content") or b""
        if len(content) > MAX_SCRIPT_BYTES:
            return Refused(Reason.SCRIPT_INVALID, f"spec.script.remotePath: {path} is larger than 1 MiB")
        return content

    async def stage(self, user: str, package: Package) -> StageOutcome:
        """Put the package into its directory. Harmless to repeat."""
        content = staging.stdin(package, sbatch=self._commands.sbatch)
        answer = await self._ask(user, "stage", stdin=content, seconds=TRANSFER_SECONDS)
        if isinstance(answer, _NoAnswer):
            return answer.not_now()
        if trouble := answer.words("trouble"):
            return verdicts.refusal(trouble, reason=Reason.DIRECTORY_NOT_WRITABLE)
        return Staged(answer.get("directory"))

    async def submit(self, user: str, token: str, directory: str) -> SubmitOutcome:
        """Mark the staged package as sent, atomically, and run sbatch."""
        # the program has to outlive sbatch's own limit, to write down what came of it
        answer = await self._place(user, "submit", token, directory, str(self._seconds), seconds=self._seconds + 15)
        if isinstance(answer, _NoAnswer):
            return Uncertain(answer.message) if answer.reason is None else answer.not_now()
        if trouble := answer.words("trouble"):
            return verdicts.refusal(trouble, reason=Reason.DIRECTORY_NOT_WRITABLE)
        match answer.get("verdict"):
            case "ran":
                lost = f"sbatch ended with {answer.get('rc')}: {verdicts.shortened(answer.words('err')) or 'without a word'}"
                return _verdict(answer, directory) or Uncertain(lost)
            case "unstaged":
                return NotNow(Reason.COMMAND_FAILED, f"{directory}: the staged files are not there")
            case _:
                return Uncertain("sbatch has been run for this submission before")

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        """Look a submission up: marker, then squeue, then sacct."""
        marker = await self._place(user, "find", token, directory)
        if isinstance(marker, _NoAnswer):
            return Uncertain(marker.message)
        attempted = marker.number("attempt")
        if attempted is None:
            return Uncertain("the marker could not be read")
        verdict = _verdict(marker, marker.get("directory"))
        if isinstance(verdict, Submitted | Refused):
            return verdict
        safe = attempted == 0 or isinstance(verdict, NotNow)
        return await self._search(user, token, marker, safe=safe)

    async def _search(self, user: str, token: str, marker: remote.Answer, *, safe: bool) -> FindOutcome:
        """Ask Slurm for the token. `safe`: the marker says that no sbatch is under way and none took the job."""
        queue = await self.observe(user, [user])
        if isinstance(queue, Unavailable):
            return Uncertain(queue.message)
        if job_id := _with_token(queue, token):
            return Submitted(job_id, directory=marker.get("directory"))
        started, now = marker.number("started"), marker.number("now") or 0
        age = now - (started or now)
        accounting = await self._accounting(user, "--allocations", f"--starttime=now-{age + DAY_SECONDS}", f"--user={user}")
        if isinstance(accounting, Seen):
            if job_id := _with_token(accounting, token):
                return Submitted(job_id, directory=marker.get("directory"))
        elif accounting.reason is not Reason.NO_ACCOUNTING and not (safe and marker.get("staged")):
            return Uncertain(accounting.message)
        if safe:
            return NeverSent()
        if started is None or age < self._seconds + SETTLE_SECONDS:
            return Uncertain("sbatch may still be under way; neither squeue nor sacct knows the job yet")
        if isinstance(accounting, Unavailable) and age > MIN_JOB_AGE_SECONDS:
            return Uncertain(
                "sbatch's answer is lost, squeue does not know the job (any more), and there is no accounting to ask"
            )
        verdict = verdicts.refusal(marker.words("err"), reason=Reason.SUBMIT_REJECTED)
        return verdict if isinstance(verdict, Refused) and verdict.message else NeverSent()

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        """The queue as `user` sees it (squeue): jobs of these users, or everybody's."""
        whose = [] if users is None else [f"--user={','.join(sorted(users))}"]
        arguments = ("--noheader", "--all", "--states=all", *whose, f"--Format={records.QUEUE_FORMAT}")
        rows = await self._run(user, self._commands.squeue, *arguments, unavailable=Reason.CONTROLLER_UNAVAILABLE)
        return rows if isinstance(rows, Unavailable) else Seen(Source.QUEUE, records.queue(rows).tasks)

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        """The accounting records of these jobs (sacct)."""
        tasks: dict[str, tuple[Task, ...]] = {}
        for start in range(0, len(job_ids), JOBS_PER_QUESTION):
            some = job_ids[start : start + JOBS_PER_QUESTION]
            answer = await self._accounting(user, f"--jobs={','.join(some)}")
            if isinstance(answer, Unavailable):
                return answer
            tasks |= answer.tasks
        return Seen(Source.ACCOUNTING, await self._full_exit_codes(user, tasks))

    async def _accounting(self, user: str, *which: str) -> Seen | Unavailable:
        separator = f"|{secrets.token_hex(8)}|"
        arguments = ("--noheader", "--parsable2", f"--delimiter={separator}", "--duplicates", *which)
        rows = await self._run(
            user,
            self._commands.sacct,
            *arguments,
            f"--format={records.ACCOUNT_FORMAT}",
            unavailable=Reason.ACCOUNTING_UNAVAILABLE,
        )
        if isinstance(rows, Unavailable):
            disabled = "accounting storage is disabled" in rows.message
            return replace(rows, reason=Reason.NO_ACCOUNTING) if disabled else rows
        return Seen(Source.ACCOUNTING, records.account(rows, separator=separator).tasks)

    async def _full_exit_codes(self, user: str, tasks: dict[str, tuple[Task, ...]]) -> dict[str, tuple[Task, ...]]:
        """Up to 25.11 sacct shows 137 as 9. squeue has the whole code for as long as it knows the job."""
        failed = [job for job, rows in tasks.items() if any(0 < (row.exit_code or 0) < 128 for row in rows)]  # noqa: PLR2004
        if not failed:
            return tasks
        rows = await self._run(
            user,
            self._commands.squeue,
            *("--noheader", "--all", "--states=all", f"--jobs={','.join(failed[:JOBS_PER_QUESTION])}"),
            f"--Format={records.EXIT_CODE_FORMAT}",
            unavailable=Reason.CONTROLLER_UNAVAILABLE,
        )
        codes = {} if isinstance(rows, Unavailable) else records.exit_codes(rows)

        def mended(task: Task) -> Task:
            code = codes.get((task.job_id, task.index))
            return replace(task, exit_code=code) if code is not None and code - 128 == task.exit_code else task

        return {job: tuple(map(mended, rows)) for job, rows in tasks.items()}

    async def cancel(self, user: str, job_ids: Sequence[str]) -> ControlOutcome:
        """Cancel jobs (scancel). A job that is over already is no failure."""
        for start in range(0, len(job_ids), JOBS_PER_QUESTION):
            outcome = await self._control(user, self._commands.scancel, *job_ids[start : start + JOBS_PER_QUESTION])
            if outcome is not None:
                return outcome
        return None

    async def hold(self, user: str, job_id: str) -> ControlOutcome:
        """Hold a job in the queue (scontrol hold)."""
        return await self._control(user, self._commands.scontrol, "hold", job_id)

    async def release(self, user: str, job_id: str) -> ControlOutcome:
        """Let a held job go (scontrol release)."""
        return await self._control(user, self._commands.scontrol, "release", job_id)

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        """Remove the script and the files that only the run needed; the marker stays."""
        answer = await self._place(user, "tidy", token, directory)
        return answer.not_now() if isinstance(answer, _NoAnswer) else None

    async def _control(self, user: str, *argv: str) -> ControlOutcome:
        rows = await self._run(user, *argv, unavailable=Reason.COMMAND_FAILED)
        if not isinstance(rows, Unavailable) or _OVER.search(rows.message):
            return None
        if rows.reason is not Reason.COMMAND_FAILED:
            return NotNow(rows.reason, rows.message)
        return verdicts.refusal(rows.message, reason=Reason.COMMAND_FAILED)

    async def _run(self, user: str, *argv: str, unavailable: Reason) -> tuple[str, ...] | Unavailable:
        """The output of one of Slurm's commands, if it ended well."""
        answer = await self._ask(user, "run", *argv)
        if isinstance(answer, _NoAnswer):
            return answer.unavailable(unavailable)
        status = answer.get(remote.RC)
        if status != "0":
            words = answer.words(remote.ERR) or f"exit status {status}"
            return Unavailable(unavailable, f"{argv[0]}: {verdicts.shortened(words)}")
        return answer.rows

    async def _place(self, user: str, program: str, *lines: str, seconds: int = TRANSFER_SECONDS) -> remote.Answer | _NoAnswer:
        """Run a program that reads these lines."""
        if any("\n" in line for line in lines):
            raise ValueError(f"a line end in what {program} reads")
        stdin = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        return await self._ask(user, program, stdin=stdin, seconds=seconds)

    async def _ask(
        self, user: str, program: str, *arguments: str, stdin: bytes = b"", seconds: int | None = None
    ) -> remote.Answer | _NoAnswer:
        seconds = seconds or self._seconds
        argv = remote.command(program, *arguments, seconds=seconds)
        deadline = seconds + remote.KILL_AFTER_SECONDS + CONNECT_SECONDS
        outcome = await self._runner.run(user, argv, stdin=stdin, deadline=deadline)
        match outcome:
            case Ran():
                answer = remote.answer(outcome.stdout)
                return answer if answer is not None else _NoAnswer(None, _unended(outcome, seconds))
            case DidNotRun(cause, message):
                return _NoAnswer(_REASONS.get(cause, Reason.CLUSTER_UNREACHABLE), message)
            case Unknown(message):
                return _NoAnswer(None, message)
            case _:
                assert_never(outcome)


def _verdict(answer: remote.Answer, directory: str) -> Submitted | Refused | NotNow | None:
    """What the files of an attempt say; None if they do not say whether Slurm has the job."""
    words = answer.words("err")
    if answer.get("failed"):
        return verdicts.refusal(words, reason=Reason.SUBMIT_REJECTED)
    match = _PARSABLE.search((answer.content("out") or b"").decode("utf-8", "replace"))
    return Submitted(match[1], warning=verdicts.shortened(words), directory=directory) if match else None


def _with_token(seen: Seen, token: str) -> str | None:
    return next((job for job, tasks in seen.tasks.items() if any(task.token == token for task in tasks)), None)


def _unended(outcome: Ran, seconds: int) -> str:
    if outcome.exit_status in {124, 137}:
        return f"the command did not end within {seconds} s"
    words = verdicts.shortened(outcome.stderr.decode("utf-8", "replace"))
    return f"the command did not come to its end (exit status {outcome.exit_status}): {words}"
