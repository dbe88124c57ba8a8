"""Submissions on their way to the cluster: what is done for one user at the same time is done by one command.

Every one has an answer of its own. A command that breaks off has answered some of them; what has become of the others is not
known, and said so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slurmgate.core.outcomes import ControlOutcome, NotNow, Staged, StageOutcome, SubmitOutcome, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.resources.access import Access
from slurmgate.slurm import person, staging, verdicts
from slurmgate.slurm.gateway import Package
from slurmgate.slurm.login import TRANSFER_SECONDS, LoginNode, NoAnswer, as_lines
from slurmgate.slurm.lookup import what_it_says
from slurmgate.slurm.remote import Answer
from slurmgate.slurm.together import Together

WRITE_DOWN_SECONDS: Final = 15
"""What submit.sh may take longer than sbatch, to write down what came of it."""


@dataclass(frozen=True, slots=True)
class _Route:
    """Who sends, and to which file system: one that hangs keeps only what goes there waiting."""

    user: str
    file_system: str

    @classmethod
    def to(cls, user: str, directory: str) -> "_Route":
        """The first two folders tell file systems apart well enough."""
        return cls(user, "~" if directory.startswith("~") else "/".join(directory.split("/")[:3]))


@dataclass(frozen=True, slots=True)
class _Attempt:
    token: str
    directory: str
    number: int


class Sender:
    """Stages packages on one cluster, runs sbatch for them, and tidies up."""

    def __init__(self, login: LoginNode, *, sbatch: str, access: Access, seconds: int) -> None:
        """`seconds`: how long one sbatch may take."""
        self._login = login
        self._sbatch = sbatch
        self._access = access
        self._seconds = seconds
        self._staging: Together[_Route, Package, StageOutcome] = Together(self._stage, weigh=staging.weight)
        self._submitting: Together[_Route, _Attempt, SubmitOutcome] = Together(self._submit)
        self._tidying: Together[_Route, tuple[str, str], ControlOutcome] = Together(self._tidy)

    async def stage(self, user: str, package: Package) -> StageOutcome:
        """Put the package into its directory. Harmless to repeat."""
        return await self._staging.do(_Route.to(user, package.directory), package)

    async def submit(self, user: str, token: str, directory: str, attempt: int) -> SubmitOutcome:
        """Mark the staged package as sent, atomically, and run sbatch."""
        return await self._submitting.do(_Route.to(user, directory), _Attempt(token, directory, attempt))

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        """Remove the script and the files that only the run needed; the marker stays."""
        return await self._tidying.do(_Route.to(user, directory), (token, directory))

    async def _stage(self, route: _Route, packages: Sequence[Package]) -> list[StageOutcome]:
        stdin = staging.stdin(packages, person=person.lines(self._access, route.user))
        answers = await self._login.ask_for_each(route.user, "stage", stdin=stdin, seconds=TRANSFER_SECONDS)
        return [self._staged(route.user, answers.told.get(number) or answers.rest) for number, _ in enumerate(packages, 1)]

    def _staged(self, user: str, answer: Answer | NoAnswer | None) -> StageOutcome:
        match answer:
            case None:
                return NotNow(Reason.COMMAND_FAILED, "the package did not arrive")
            case NoAnswer():
                return answer.not_now()
            case Answer():
                pass
        if other := person.refusal(self._access, user, answer):
            return other
        if trouble := answer.words("trouble"):
            return verdicts.refusal(trouble, reason=Reason.DIRECTORY_NOT_WRITABLE)
        return Staged(answer.get("directory"), attempt=(answer.number("attempts") or 0) + 1)

    async def _submit(self, route: _Route, attempts: Sequence[_Attempt]) -> list[SubmitOutcome]:
        lines = [str(self._seconds), verdicts.UNCERTAIN]
        for each in attempts:
            lines += (each.token, each.directory, str(each.number))
        # submit.sh begins the last one before the time of one sbatch is over
        seconds = self._seconds * min(2, len(attempts)) + WRITE_DOWN_SECONDS
        answers = await self._login.ask_for_each(route.user, "submit", self._sbatch, stdin=as_lines(lines), seconds=seconds)
        return [_submitted(answers.told.get(number) or answers.rest, each.directory) for number, each in enumerate(attempts, 1)]

    async def _tidy(self, route: _Route, places: Sequence[tuple[str, str]]) -> list[ControlOutcome]:
        stdin = as_lines(line for place in places for line in place)
        answers = await self._login.ask_for_each(route.user, "tidy", stdin=stdin, seconds=TRANSFER_SECONDS)
        rest = answers.rest.not_now() if isinstance(answers.rest, NoAnswer) else None
        return [None if number in answers.told else rest for number, _ in enumerate(places, 1)]


def _submitted(answer: Answer | NoAnswer | None, directory: str) -> SubmitOutcome:
    match answer:
        case None:
            return NotNow(Reason.CONTROLLER_UNAVAILABLE, "sbatch was not run: for others it took too long")
        case NoAnswer():
            return answer.not_now() if answer.not_run else Uncertain(answer.message)
        case Answer():
            pass
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
