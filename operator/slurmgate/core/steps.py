"""What has to be done for a submission now, and when that may change although nothing happens."""

from datetime import datetime, timedelta

from slurmgate.core.record import Record, Stage, Step
from slurmgate.core.tasks import waiting
from slurmgate.resources.cluster import Limits

CANCEL_AGAIN_AFTER = timedelta(seconds=30)
DELETION_DEADLINE = timedelta(seconds=Limits().deletion_deadline_seconds)
"""How long a deleted submission may stay because its job cannot be cancelled, unless its cluster says otherwise."""

_MAY_BE_STUCK = {Stage.PREPARING, Stage.UNKNOWN, Stage.KNOWN}
"""Where what is deleted may be stuck because somebody else does not answer."""


def next_step(
    record: Record, now: datetime, deadline: timedelta = DELETION_DEADLINE, *, jobbergate: bool = False
) -> Step | None:
    """What has to be done for this record now; None if only time, Slurm, the person or Jobbergate can move it.

    `deadline`: for how long it is tried to cancel the job of what is being deleted. `jobbergate`: there is one to hear of it.
    """
    step = _next_in_time(record, now, deadline, jobbergate=jobbergate)
    return None if step is Step.LET_GO and jobbergate and record.would_run_again else step


def _next_in_time(record: Record, now: datetime, deadline: timedelta, *, jobbergate: bool) -> Step | None:
    waits = jobbergate and record.stage is Stage.ENDED and record.finalized and record.unheard
    overdue = record.deletion_seen is not None and now - record.deletion_seen >= deadline
    if overdue and (waits or record.stage in _MAY_BE_STUCK):
        return Step.LET_GO
    if waits or (record.not_before and now < record.not_before):
        return None
    return _next_in_turn(record, now)


def _next_in_turn(record: Record, now: datetime) -> Step | None:
    match record.stage:
        case Stage.PREPARING:
            return Step.ADMIT
        case Stage.ACCEPTED:
            return Step.SUBMIT
        case Stage.UNKNOWN:
            return Step.FIND
        case Stage.KNOWN:
            return _next_for_known(record, now)
        case Stage.ENDED if record.finalized:
            return Step.TIDY if record.tidy and record.job_id else Step.LET_GO
        case Stage.ENDED | Stage.RELEASED:
            return None


def _next_for_known(record: Record, now: datetime) -> Step | None:
    wishes = record.wishes
    if wishes.deleted and wishes.orphan and not wishes.cancel:
        return Step.LET_GO if record.disowned or record.follows else Step.DISOWN
    if wishes.end:
        return _next_for_unwanted(record, now)
    if wishes.suspend and not record.held and any(map(waiting, record.tasks)):
        return Step.HOLD
    if record.held and not wishes.suspend:
        return Step.RELEASE
    return None


def _next_for_unwanted(record: Record, now: datetime) -> Step | None:
    asked = record.cancelled
    if asked is None or (not record.lost and now - asked >= CANCEL_AGAIN_AFTER):
        return Step.CANCEL
    return Step.LET_GO if record.lost and record.wishes.deleted else None


def wake_at(record: Record, now: datetime, deadline: timedelta = DELETION_DEADLINE) -> datetime | None:
    """When `next_step` may say something else although nothing has happened."""
    times = []
    if record.not_before:
        times.append(record.not_before)
    if record.stage is Stage.KNOWN and record.wishes.end and record.cancelled and not record.lost:
        times.append(record.cancelled + CANCEL_AGAIN_AFTER)
    if record.deletion_seen and (record.unheard or record.stage in _MAY_BE_STUCK):
        times.append(record.deletion_seen + deadline)
    return min((time for time in times if time > now), default=None)
