"""What is decided about a submission: its next record, and the events to post; and how it may come to stand."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from slurmgate.core.backoff import delay
from slurmgate.core.conditions import phase, submission_conditions
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage, Standing
from slurmgate.resources.submission import Phase

_QUIET = {
    Reason.PREPARING,
    Reason.ACCEPTED,
    Reason.SUBMITTING,
    Reason.QUEUED,
    Reason.QUEUED_PRIORITY,
    Reason.QUEUED_RESOURCES,
    Reason.QUEUED_LIMIT,
    Reason.COMPLETING,
}
_GOOD = {
    Reason.SUBMITTED,
    Reason.RUNNING,
    Reason.COMPLETED,
    Reason.CANCELLED,
    Reason.CANCELLING,
    Reason.HELD,
    Reason.DEPENDENCY,
}


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event to post about the submission."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The next record, and what to tell the person about the change."""

    record: Record
    events: tuple[Event, ...] = ()


def end_unsent(decision: Decision, now: datetime) -> Decision:
    """A submission that is not wanted any more and was certainly never sent simply ends."""
    record = decision.record
    unwanted = record.wishes.cancel or record.wishes.deleted
    if record.stage not in {Stage.PREPARING, Stage.ACCEPTED} or not unwanted or _has_to_be_admitted(record):
        return decision
    return _finished(record, now, Phase.CANCELLED, Reason.CANCELLED, "Cancelled before it was submitted.")


def _has_to_be_admitted(record: Record) -> bool:
    """Before it ends, its user has to be known, who can cancel the job that is there; or whether Jobbergate is to hear of it.

    What is deleted without our finalizer cannot be kept for that.
    """
    unknown = record.follows is not None or (record.submission_id is not None and record.status.jobbergate is None)
    return record.stage is Stage.PREPARING and unknown and (record.finalized or not record.wishes.deleted)


def rejected(record: Record, now: datetime, reason: Reason, message: str) -> Decision:
    """It was never submitted, and will not be."""
    return _finished(record, now, Phase.REJECTED, reason, message)


def _finished(record: Record, now: datetime, phase: Phase, reason: Reason, message: str) -> Decision:
    """It is over, without Slurm having had a say."""
    status = record.status.model_copy(update={"phase": phase})
    return stand(record, now, reason, message, stage=Stage.ENDED, status=status, tries=0, not_before=None)


def later(record: Record, now: datetime, reason: Reason, message: str) -> Decision:
    """It did not work and is tried again, after ever longer pauses."""
    return stand(again_later(record, now), now, reason, message)


def again_later(record: Record, now: datetime) -> Record:
    """The record, to be tried again after a pause that is longer with each try."""
    return replace(record, tries=record.tries + 1, not_before=now + delay(record.tries, seed=record.token))


def stand(record: Record, now: datetime, reason: Reason, message: str, **changes: object) -> Decision:
    """The record with these changes, its status said anew, and an event if the reason is news worth one."""
    after = replace(record, standing=Standing(reason, message), **changes)  # type: ignore[arg-type]
    decision = restated(after, now)
    if reason in _QUIET or reason is record.standing.reason:
        return decision
    kind: Literal["Normal", "Warning"] = "Normal" if reason in _GOOD else "Warning"
    return Decision(decision.record, (Event(kind, reason, message),))


def restated(record: Record, now: datetime) -> Decision:
    """The record with its status said anew."""
    status = record.status.model_copy(
        update={
            "phase": phase(record),
            "conditions": submission_conditions(record, now=now),
            "observed_generation": record.generation,
        }
    )
    return Decision(replace(record, status=status))
