"""A conversation with a login node: programs of remote/*.sh run as a user, and whether they answered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

from slurmgate.core.outcomes import NotNow, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.slurm import remote, verdicts
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Ran, Unknown

TRANSFER_SECONDS: Final = 120
"""For programs that only touch files, a package of 7 MiB among them."""
CONNECT_SECONDS: Final = 30
"""What a program may take longer here than there: connecting, waiting for a session, the way there and back."""

_ANSWER_BYTES = 256 * 1024
"""Of a program, with what start files print around it. Whoever has an account chooses how much that is."""
_MIB = 1024 * 1024
_LONG_ANSWERS = {
    "describe": _MIB,  # partitions
    "exits": 16 * _MIB,  # of 100,000 jobs
    "origins": 2 * _MIB,  # of 1,000
    "read": 2 * _MIB,  # a script of 1 MiB in base64
    "run": 16 * _MIB,  # squeue's rows of 100,000 jobs
    "submit": 2 * _MIB,  # the last 16 KiB of what sbatch says, of all that travel together
}

_REASONS = {
    Cause.HOST_KEY_MISMATCH: Reason.HOST_KEY_MISMATCH,
    Cause.NO_HOST_KEYS: Reason.HOST_KEY_MISMATCH,
    Cause.AUTHENTICATION_FAILED: Reason.AUTHENTICATION_FAILED,
    Cause.NO_LOGIN: Reason.LOGIN_SHELL_FAILED,
    Cause.KEY_UNAVAILABLE: Reason.KEY_UNAVAILABLE,
}
TIMED_OUT: Final = {124, 137}
"""Exit statuses of timeout(1)."""
KILLED: Final = 128
"""Exit statuses from here on are signals."""


class Runner(Protocol):
    """Runs a command on the cluster."""

    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float, output_limit: int) -> Outcome:
        """Run `argv` as `user`; `deadline` in seconds for all of it, `output_limit` in bytes."""
        ...


class TooMuch(Unavailable):
    """The answer is longer than what is taken at once: less has to be asked for."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A program did not come to its end, or was never started."""

    not_run: Reason | None
    """Why it certainly was not started; None if it may have run."""
    message: str
    blame: Reason | None = Reason.CLUSTER_UNREACHABLE
    """Why nothing was heard of its end; None if it is for what it was asked."""
    too_much: bool = False
    """It was answering, and stopped for the length of its answer."""

    def unavailable(self, failed: Reason) -> Unavailable:
        """For a question; `failed` is the reason if it was asked and found no end."""
        kind = TooMuch if self.too_much else Unavailable
        return kind(self.not_run or self.blame or failed, self.message)

    def not_now(self) -> NotNow:
        """For what is harmless to repeat."""
        return NotNow(self.not_run or self.blame or Reason.COMMAND_FAILED, self.message)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a program said to each of several things that it was asked."""

    told: Mapping[int, remote.Answer]
    """By number: the first one is 1."""
    rest: remote.Answer | NoAnswer | None
    """Why there are no more of them: what it said of all, or how it ended; None if it has begun no others, and said so."""


class LoginNode:
    """Runs programs. Every one has a time limit on the far side, and a longer one here."""

    def __init__(self, runner: Runner, *, seconds: int) -> None:
        self._runner = runner
        self._seconds = seconds

    async def ask(
        self, user: str, program: str, *arguments: str, stdin: bytes = b"", seconds: int | None = None
    ) -> remote.Answer | NoAnswer:
        """Run remote/<program>.sh for at most `seconds` (else as long as one of Slurm's commands may take)."""
        limit = seconds or self._seconds
        outcome = await self._run(user, program, *arguments, stdin=stdin, limit=limit)
        answer = remote.answer(outcome.stdout) if isinstance(outcome, Ran) else None
        return answer or _no_answer(outcome, limit)

    async def ask_for_each(self, user: str, program: str, *arguments: str, stdin: bytes, seconds: int) -> Answers:
        """Run a program that answers several questions, one after the other, for at most `seconds`."""
        outcome = await self._run(user, program, *arguments, stdin=stdin, limit=seconds)
        told, last = ({}, None) if isinstance(outcome, DidNotRun) else remote.answers(outcome.stdout)
        if last and last.get("over") == "yes":
            return Answers(told, None)
        return Answers(told, last or _no_answer(outcome, seconds))

    async def _run(self, user: str, program: str, *arguments: str, stdin: bytes, limit: int) -> Outcome:
        argv = remote.command(program, *arguments, seconds=limit)
        deadline = limit + remote.KILL_AFTER_SECONDS + CONNECT_SECONDS
        output_limit = _LONG_ANSWERS.get(program, _ANSWER_BYTES)
        return await self._runner.run(user, argv, stdin=stdin, deadline=deadline, output_limit=output_limit)

    async def tell(self, user: str, program: str, *lines: str, seconds: int = TRANSFER_SECONDS) -> remote.Answer | NoAnswer:
        """Run a program that reads these lines: text of people, which is never part of a command.

        Raises:
            ValueError: a line end in a line. The schema refuses them.
        """
        return await self.ask(user, program, stdin=as_lines(lines), seconds=seconds)

    async def command(self, user: str, *argv: str, failed: Reason, having: str = "") -> remote.Answer | Unavailable:
        """What one of Slurm's commands prints, if it ends well; `failed` is the reason if it does not.

        Lines without the text `having` stay on the cluster.
        """
        answer = await self.ask(user, "run", *argv, stdin=f"{having}\n".encode())
        if isinstance(answer, NoAnswer):
            return answer.unavailable(failed)
        status = answer.get(remote.STATUS)
        if status == "0":
            return answer
        words = verdicts.shortened(answer.words(remote.ERROR)) or f"exit status {status}"
        return Unavailable(failed, f"{argv[0].rpartition('/')[2]}: {words}")


def as_lines(lines: Iterable[str]) -> bytes:
    """Lines as programs read them.

    Raises:
        ValueError: a line end in a line. The schema refuses them.
    """
    found = tuple(lines)
    if any("\n" in line for line in found):
        raise ValueError("a line end in what a program reads")
    return "".join(f"{line}\n" for line in found).encode("utf-8", "surrogateescape")


def _no_answer(outcome: Outcome, seconds: int) -> NoAnswer:
    """What a program that did not answer to the end came to."""
    match outcome:
        case Ran():
            blame = None if outcome.exit_status in TIMED_OUT else Reason.LOGIN_SHELL_FAILED
            return NoAnswer(None, _unended(outcome, seconds), blame)
        case DidNotRun(cause, message):
            return NoAnswer(_REASONS.get(cause, Reason.CLUSTER_UNREACHABLE), message)
        case Unknown(message, too_much=True, stdout=stdout) if remote.begun(stdout[:_ANSWER_BYTES]):
            return NoAnswer(None, message, blame=None, too_much=True)
        case Unknown(message, connected):
            return NoAnswer(None, message, Reason.LOGIN_SHELL_FAILED if connected else Reason.CLUSTER_UNREACHABLE)
        case _:
            assert_never(outcome)


def _unended(outcome: Ran, seconds: int) -> str:
    if outcome.exit_status in TIMED_OUT:
        return f"the command did not end within {seconds} s"
    words = verdicts.shortened(outcome.stderr.decode("utf-8", "replace"))
    return f"the command did not come to its end (exit status {outcome.exit_status}): {words}"
