"""Looking up a submission of which nobody knows whether sbatch took it: marker, then squeue, then sacct."""

import asyncio
import re
from functools import partial
from typing import Final

from slurmgate.core.outcomes import (
    FindOutcome,
    NeverSent,
    NotNow,
    Refused,
    Seen,
    Submitted,
    Unavailable,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.slurm import verdicts
from slurmgate.slurm.login import KILLED, TIMED_OUT, LoginNode, NoAnswer
from slurmgate.slurm.reading import Reader
from slurmgate.slurm.remote import Answer

SETTLE_SECONDS: Final = 60
"""How long after sbatch must have ended a job that slurmctld took shows up in squeue and sacct, at the latest."""
LOOK_AGAIN_SECONDS: Final = 5
"""Between the two looks after which a job that sbatch was run for counts as one that does not exist."""
MIN_JOB_AGE_SECONDS: Final = 300
"""slurm.conf's default MinJobAge: how long squeue knows a job that has ended."""
DAY_SECONDS: Final = 86400

_JOB_ID = re.compile(r"^([1-9][0-9]{0,9})(;\S*)?\n", re.MULTILINE)


class LookUp:
    """Looks submissions of one cluster up."""

    def __init__(self, login: LoginNode, reader: Reader, *, seconds: float) -> None:
        self._login = login
        self._reader = reader
        self._seconds = seconds

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        """Look a submission up: marker, then squeue, then sacct."""
        marker = await self._login.tell(user, "find", token, directory)
        if isinstance(marker, NoAnswer):
            return Uncertain(marker.message)
        if trouble := marker.words("trouble"):
            return Uncertain(trouble)
        told = what_it_says(marker, marker.get("directory"))
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
        since = (_age(marker) or 0) + DAY_SECONDS
        for ask in (partial(self._reader.observe, user, [user]), partial(self._reader.accounted, user, token, seconds=since)):
            match await ask():
                case Seen() as source:
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
        places = await self._reader.workplaces(user, [job_id])
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


def what_it_says(answer: Answer, directory: str) -> Submitted | Refused | NotNow | None:
    """What the files of an attempt say; None if they do not say whether Slurm has the job."""
    words = answer.words("err")
    if job_id := answer.number("job"):  # it has begun, and said so
        return Submitted(str(job_id), directory=directory)
    if match := _JOB_ID.search(answer.content("out").decode("utf-8", "replace")):  # also if a wrapper of sbatch failed after it
        return Submitted(match[1], warning=verdicts.shortened(words), directory=directory)
    if answer.get("failed") and not words:
        return NotNow(Reason.SUBMITTING, "no attempt was made since the last look-up")  # it was close.sh that made the folder
    return verdicts.refusal(words, reason=Reason.SUBMIT_REJECTED) if answer.get("failed") else None


def _age(marker: Answer) -> int | None:
    """Seconds since the last attempt began, by the login nodes' clocks."""
    now, started = marker.number("now"), marker.number("started")
    return None if now is None or started is None else max(0, now - started)


def _with_token(seen: Seen, token: str) -> str | None:
    return next((job for job, tasks in seen.tasks.items() if any(task.token == token for task in tasks)), None)
