"""What becomes of a submission's record by what Jobbergate says, has heard, or could not be told."""

from dataclasses import replace
from datetime import datetime

from slurmgate.core.decision import Decision, restated
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Standing
from slurmgate.resources.jobbergate import JobbergateStatus


def recognised(record: Record, origin: JobbergateStatus | None) -> Record:
    """It is what Jobbergate says of its submission; None: it comes from somewhere else."""
    if origin is None or record.status.jobbergate is not None:
        return record
    return replace(record, status=record.status.model_copy(update={"jobbergate": origin}))


def registered(record: Record, row: JobbergateStatus, now: datetime) -> Decision:
    """Jobbergate has a submission of it now, under which it hears of it from here on."""
    status = record.status.model_copy(update={"jobbergate": row})
    return restated(replace(record, untold=None, status=status), now)


def told(record: Record, word: str, now: datetime) -> Decision:
    """Jobbergate has accepted a report; `word` is what it has heard by that."""
    if record.status.jobbergate is None:
        return Decision(record)
    heard = record.status.jobbergate.model_copy(update={"reported": word})
    return restated(replace(record, untold=None, status=record.status.model_copy(update={"jobbergate": heard})), now)


def untold(record: Record, reason: Reason, message: str, now: datetime) -> Decision:
    """Jobbergate could not be told how it stands."""
    standing = Standing(reason, message)
    return Decision(record) if record.untold == standing else restated(replace(record, untold=standing), now)


def in_step(record: Record, now: datetime, *, over: bool, disagreement: str | None = None) -> Decision:
    """There is nothing to tell Jobbergate now; `over`: nor will there be. `disagreement`: what it has there is not so."""
    untold = Standing(Reason.JOBBERGATE_DISAGREES, disagreement) if disagreement else None
    after = replace(_heard_of(record), untold=untold, heard_out=over)
    return Decision(record) if after == record else restated(after, now)


def _heard_of(record: Record) -> Record:
    """With a word for what was told and then forgotten here: Jobbergate has the job, or there would be something to tell."""
    row, slurm = record.status.jobbergate, record.status.slurm
    if row is None or row.reported is not None or slurm is None or slurm.job_id is None:
        return record
    heard = row.model_copy(update={"reported": slurm.state or "PENDING"})
    return replace(record, status=record.status.model_copy(update={"jobbergate": heard}))
