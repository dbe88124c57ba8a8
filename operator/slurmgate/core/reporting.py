"""What Jobbergate has still to be told of a submission, worked out anew from what it has on record and from how it stands.

Nothing here depends on having seen a change: whatever was lost on the way is due again. The API's rules are those of
jobbergate-api 5.8 to 5.11: which states end a submission, and in which statuses it takes what.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from slurmgate.core.states import Kind, state
from slurmgate.resources.submission import JobSubmissionStatus, Phase, SlurmStatus


class Status(StrEnum):
    """Jobbergate's status of a submission. `CANCELLED` is a wish; it ends as `ABORTED`, or as `DONE` if the job was quicker."""

    CREATED = "CREATED"
    SUBMITTED = "SUBMITTED"
    REJECTED = "REJECTED"
    DONE = "DONE"
    ABORTED = "ABORTED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the API takes nothing more."""
        return self in {Status.REJECTED, Status.DONE, Status.ABORTED}


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A submission as Jobbergate has it."""

    status: Status
    job_id: int | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class TellSubmitted:
    """Slurm has the job."""

    job_id: int
    state: str
    reason: str | None
    info: str


@dataclass(frozen=True, slots=True)
class TellRejected:
    """It was never submitted and never will be."""

    message: str


@dataclass(frozen=True, slots=True)
class TellState:
    """What Slurm says of the job now."""

    job_id: int | None
    """As the API has it: it takes no other. None for what has none there; APIs before 5.8 refuse that, and only those rows of
    theirs are so of which somebody has said by hand that they are submitted."""
    state: str
    reason: str | None
    info: str


Report = TellSubmitted | TellRejected | TellState

_ABORTING: Final = {
    "BOOT_FAIL",
    "CANCELLED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "PREEMPTED",
    "SPECIAL_EXIT",
    "TIMEOUT",
    "UNKNOWN",
}
"""States that end a submission as `ABORTED`, whether or not Slurm will run the job again."""
_HARMLESS: Final = {
    "CONFIGURING",
    "COMPLETING",
    "PENDING",
    "RUNNING",
    "RESV_DEL_HOLD",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "REQUEUED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
}
"""States that it knows and that end nothing."""
_LIVE: Final[Mapping[Kind, str]] = {
    Kind.WAITING: "PENDING",
    Kind.RUNNING: "RUNNING",
    Kind.ENDING: "COMPLETING",
    Kind.ENDED: "REQUEUED",  # it has not ended, so Slurm will run it again
}
_NO_ENDS: Final[Mapping[str, str]] = {"OUT_OF_MEMORY": "FAILED", "REVOKED": "CANCELLED"}
"""Slurm's ends that are none for the API, and what it is told after them."""
_TRUE: Final[Mapping[Phase, tuple[Status, ...]]] = {
    Phase.DONE: (Status.DONE,),
    Phase.ABORTED: (Status.ABORTED,),
    Phase.CANCELLED: (Status.ABORTED, Status.REJECTED),
    Phase.REJECTED: (Status.REJECTED, Status.ABORTED),
}
"""How an end may stand there: what waits can only be rejected, anything else only be done or aborted."""


def due(known: OnRecord, status: JobSubmissionStatus) -> Report | None:
    """What to tell next; None if there is nothing that Jobbergate would want to hear."""
    job_id = _job_id(status)
    if job_id is not None and _waits_for_a_job(known):
        return TellSubmitted(job_id, _before_the_end(status), _reason(status), _info(status))
    if known.status is Status.CREATED:
        return TellRejected(_message(status)) if _over(status) else None
    if known.status.ended or _of_another_job(known, status):
        return None
    return _end(known, status) if _over(status) else _news(known, status)


def _waits_for_a_job(known: OnRecord) -> bool:
    return known.status is Status.CREATED or (known.status is Status.CANCELLED and known.job_id is None)


def _of_another_job(known: OnRecord, status: JobSubmissionStatus) -> bool:
    return None not in (known.job_id, _job_id(status)) and known.job_id != _job_id(status)


def _news(known: OnRecord, status: JobSubmissionStatus) -> TellState | None:
    if status.slurm is None or status.slurm.state is None or known.state == _live_state(status):
        return None
    return TellState(known.job_id, _live_state(status), _reason(status), _info(status))


def _end(known: OnRecord, status: JobSubmissionStatus) -> TellState:
    word = _last_state(status)
    if word == known.state:
        word = _NO_ENDS.get(word, word)
    return TellState(known.job_id, word, _message(status), _info(status))


def after(known: OnRecord, report: Report) -> OnRecord:
    """What Jobbergate has on record once it has accepted a report."""
    match report:
        case TellSubmitted(job_id, word):
            status = Status.CANCELLED if known.status is Status.CANCELLED else Status.SUBMITTED
            return OnRecord(status, job_id, word)
        case TellRejected():
            return replace(known, status=Status.REJECTED)
        case TellState(_, word):
            if word == "COMPLETED":
                return replace(known, status=Status.DONE, state=word)
            return replace(known, status=Status.ABORTED if word in _ABORTING else known.status, state=word)


def heard(report: Report) -> str:
    """In one word what Jobbergate has heard by a report."""
    return "REJECTED" if isinstance(report, TellRejected) else report.state


def unwanted(known: OnRecord, status: JobSubmissionStatus) -> bool:
    """Whether somebody in Jobbergate wants it to stop, or ended it there before there was a job.

    One that is rejected there, as all are whose script is deleted, was never to run: nobody there would know of its job.
    """
    never = known.status.ended and known.job_id is None and (known.status is Status.REJECTED or _job_id(status) is None)
    return (known.status is Status.CANCELLED or never) and not _over(status)


def heard_out(known: OnRecord, status: JobSubmissionStatus) -> bool:
    """Whether there is nothing more to tell, now or later."""
    return _over(status) and due(known, status) is None


def disagreement(known: OnRecord, status: JobSubmissionStatus) -> str | None:
    """What Jobbergate has on record that is not so, and that it does not let us put right; in words."""
    if known.status.ended and known.status not in _truth(status) and not unwanted(known, status):
        return f"Jobbergate has it as {known.status}, which somebody said there; it is not told anything more."
    if _of_another_job(known, status):
        return f"Jobbergate has Slurm job {known.job_id} for it, and not {_job_id(status)}."
    return None


def _truth(status: JobSubmissionStatus) -> tuple[Status, ...]:
    return _TRUE.get(status.phase, ()) if status.phase else ()


def _over(status: JobSubmissionStatus) -> bool:
    return bool(status.phase and status.phase.ended)


def _job_id(status: JobSubmissionStatus) -> int | None:
    return int(status.slurm.job_id) if status.slurm and status.slurm.job_id else None


def _live_state(status: JobSubmissionStatus) -> str:
    word = (status.slurm and status.slurm.state) or "PENDING"
    return word if word in _HARMLESS else _LIVE[state(word).kind]


def _before_the_end(status: JobSubmissionStatus) -> str:
    """That the job is over does not end a submission that is only just told to be submitted: the end is told by itself."""
    if not _over(status):
        return _live_state(status)
    return "RUNNING" if status.slurm and status.slurm.start_time else "PENDING"


def _last_state(status: JobSubmissionStatus) -> str:
    match status.phase:
        case Phase.DONE:
            return "COMPLETED"
        case Phase.CANCELLED:
            return "CANCELLED"
        case Phase.REJECTED:
            return "UNKNOWN"
        case _:
            word = (status.slurm and status.slurm.state) or ""
            return word if word in _ABORTING or word in _NO_ENDS else "FAILED"


def _reason(status: JobSubmissionStatus) -> str | None:
    return status.slurm.reason if status.slurm else None


def _message(status: JobSubmissionStatus) -> str:
    """For the person, as condition Ready has it."""
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    return f"{ready.reason}: {ready.message}" if ready else "It has ended."


def _info(status: JobSubmissionStatus) -> str:
    """What Jobbergate shows as it is: what Slurm says of the job, without what changes all the time."""
    slurm = status.slurm or SlurmStatus()
    shown = slurm.model_dump(mode="json", by_alias=False, exclude_none=True, exclude={"token", "estimated_start_time"})
    return json.dumps({"user": status.user, "working_directory": status.working_directory, **shown})
