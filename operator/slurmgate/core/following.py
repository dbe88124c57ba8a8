"""What Slurm says of a job that it has: how the submission follows it, and when it is over."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from slurmgate.core.arrays import MOST_TASKS, bits
from slurmgate.core.decision import Decision, rejected, stand
from slurmgate.core.outcomes import Seen, Task, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage
from slurmgate.core.states import Kind
from slurmgate.core.tasks import (
    latest,
    live,
    merge,
    merge_ended,
    merge_exits,
    of_last_run,
    ours,
    requeued,
    settled,
    slurm_status,
    summarise,
    total,
    usage,
    waiting,
)
from slurmgate.resources.submission import ArrayStatus, SlurmStatus

ACCOUNTING_GRACE = timedelta(minutes=1)
"""How long it is waited for that accounting tells how a job ended that is known to be over; or as long as until one is lost."""
ENDING_UNSAID = timedelta(seconds=30)
"""How long Slurm may clear up after a job before that is worth a word: the end follows within seconds, as a rule."""
FOLLOWED_UNSEEN = timedelta(minutes=1)
"""How long a job that its owner is said to have submitted may be nowhere: slurmdbd hears of jobs late."""
ESTIMATE_STAYS = timedelta(minutes=5)
"""How often it may be said at most that Slurm thinks a job will start at another time: it thinks anew every 30 s."""


def queue_seen(record: Record, seen: Seen, now: datetime) -> Decision:
    """Squeue answered. Only for records in KNOWN."""
    rows = rows_of(record, seen)
    record = _with_parts(record, rows)
    # What was alive and is not listed any more has left the queue: accounting has to say how.
    # What was said of the job as a whole, as by an exit record, is out of date once the queue shows it again.
    tasks = merge((task for task in record.tasks if not live(task) and (task.index is not None or not rows)), rows)
    in_queue = total(filter(live, rows))
    marked = record.marked or (record.follows is None and any(task.token for task in rows))
    unread = in_queue + total(filter(settled, tasks)) < _expected(record)
    after = replace(
        record,
        tasks=tasks,
        requeued=requeued(record.requeued, filter(live, rows)),
        marked=marked,
        unread=unread,
        missing=None if in_queue else record.missing,
        lost=record.lost and not in_queue,
        left_queue=None if in_queue else (record.left_queue or now),
        held=record.held and (not in_queue or any(map(waiting, tasks))),
    )
    return _tracked(after, now) if in_queue else Decision(after)


def steady(record: Record) -> bool:
    """Whether time alone changes nothing about a job that the queue goes on showing as it does.

    Not so of one that is only followed: which of its rows are its own depends on others, too.
    """
    if record.follows or record.unread or record.ending or record.left_queue or record.missing or record.lost:
        return False
    shown = record.status.slurm or SlurmStatus()
    return slurm_status(shown, record.tasks).estimated_start_time == shown.estimated_start_time


def accounting_seen(record: Record, seen: Seen | Unavailable, now: datetime, *, lost_after: timedelta) -> Decision:
    """Sacct answered, or did not. Only for records in KNOWN whose `unread` is set, and right after squeue has answered."""
    rows = rows_of(record, seen) if isinstance(seen, Seen) else ()
    last = of_last_run(rows, record.requeued)
    record = _with_parts(replace(record, tasks=merge_ended(record.tasks, last)), last)
    if any(map(live, record.tasks)):
        return _tracked(record, now)
    if _is_complete(record):
        patient = record.left_queue is None or now - record.left_queue < min(ACCOUNTING_GRACE, lost_after)
        return Decision(record) if patient and not all(map(settled, record.tasks)) else _ended(record, now)
    if isinstance(seen, Unavailable) or record.job_id in seen.unanswered:
        return Decision(replace(record, missing=None))
    if any(map(live, rows)):  # slurmdbd lags behind, or slurmctld has forgotten the job without telling it
        who = "squeue does not have, and sacct takes for alive (see `sacctmgr show runawayjobs`),"
        return _missing(record, now, lost_after, who=who)
    if len(last) < len(rows):
        return _missing(record, now, lost_after, who="squeue does not have, and sacct has only from before it was requeued,")
    return _nowhere(record, now, lost_after, who="Neither squeue nor sacct has")


def without_accounting(record: Record, exits: Seen | Unavailable, now: datetime, *, lost_after: timedelta) -> Decision:
    """The cluster keeps no accounting: squeue's own last word has to do, and what the batch script left. Right after squeue."""
    if isinstance(exits, Seen):
        rows = rows_of(record, exits)
        record = replace(record, tasks=merge_exits(record.tasks, rows, cancelled=record.cancelled is not None))
    if any(map(live, record.tasks)):
        return _tracked(record, now)
    if _is_complete(record):
        return _ended(record, now)
    if isinstance(exits, Unavailable):
        return Decision(replace(record, missing=None))
    return _nowhere(record, now, lost_after, who="There is neither accounting nor an exit record, and squeue does not have")


def _nowhere(record: Record, now: datetime, lost_after: timedelta, *, who: str) -> Decision:
    """Nobody has it, or not all of it. Of a job that was never ours to submit and that nobody has shown, there may be none."""
    shown = record.tasks or (record.status.slurm and record.status.slurm.state)
    if record.follows and not shown and now - (record.missing or now) >= FOLLOWED_UNSEEN:
        return rejected(record, now, Reason.INVALID_SPEC, f"spec.script.slurmJobId: {record.user} has no job {record.job_id}.")
    return _missing(record, now, lost_after, who=who)


def _missing(record: Record, now: datetime, lost_after: timedelta, *, who: str) -> Decision:
    """Everybody has answered and the job, or a part of it, is nowhere: for a moment that is usual."""
    since = record.missing or now
    if record.lost or now - since < lost_after:
        return Decision(replace(record, missing=since))
    what = f"{_expected(record) - total(record.tasks)} tasks of Slurm job" if _is_array(record) else "Slurm job"
    message = f"{who} {what} {record.job_id}, since {since:%Y-%m-%dT%H:%M:%SZ}. How it ended nobody knows; it is looked for on."
    return stand(record, now, Reason.LOST, message, missing=since, lost=True)


def rows_of(record: Record, seen: Seen) -> tuple[Task, ...]:
    """The rows of an answer that are of the record's very job."""
    rows = seen.tasks.get(record.job_id or "", ())
    slurm = record.status.slurm
    submitted_at = (slurm.submit_time if slurm else None) or next((task.submit_time for task in record.tasks), None)
    most = slurm.array.total if slurm and slurm.array and not record.follows else MOST_TASKS
    mine = ours(
        rows,
        token=None if record.follows else record.job_token,
        user=record.user,
        submitted=submitted_at,
        directory=record.status.working_directory,
        marked=record.marked,
        most=most,
    )
    if record.follows and submitted_at is None:
        mine = latest(mine)
    if _is_array(record):  # for a moment slurmdbd knows an array as a job without tasks
        return tuple(task for task in mine if task.index and task.index[0] != "+")
    return mine


def _is_array(record: Record) -> bool:
    return bool(record.status.slurm and record.status.slurm.array)


def _expected(record: Record) -> int:
    slurm = record.status.slurm
    return slurm.array.total if slurm and slurm.array else record.components


def _with_parts(record: Record, rows: Sequence[Task]) -> Record:
    """With what these rows say about how many parts the job has. Nobody has told us that of one that we only follow."""
    record = replace(record, components=_components(record, rows))
    if record.follows is None:
        return record
    slurm = record.status.slurm or SlurmStatus()
    known = slurm.array or ArrayStatus(total=0)
    tasks = bits(task.index for task in (*record.tasks, *rows) if task.index and task.index[0] != "+").bit_count()
    if tasks <= known.total:
        return record
    array = known.model_copy(update={"total": tasks, "pending": known.pending + tasks - known.total})
    slurm = slurm.model_copy(update={"array": array})
    return replace(record, status=record.status.model_copy(update={"slurm": slurm}))


def _components(record: Record, rows: Sequence[Task]) -> int:
    """How many parts the job has at least. A heterogeneous job has two, even if one alone is shown."""
    parts = {task.index for task in rows if task.index and task.index[0] == "+"}
    return max(record.components, len(parts), 2 if parts else 1)


def _is_complete(record: Record) -> bool:
    """Whether each part of the job has a row, or one row stands for all of it."""
    return total(record.tasks) >= _expected(record) or any(task.index is None for task in record.tasks)


def _tracked(record: Record, now: datetime) -> Decision:
    """Show what Slurm says, if it says anything new: times alone are no reason to write."""
    before = record.status.slurm or SlurmStatus()
    after = slurm_status(before, record.tasks)
    summary = summarise(record.tasks)
    ending = (record.ending or now) if summary.state.kind is Kind.ENDING else None
    record = replace(record, ending=ending)
    if ending and now - ending < ENDING_UNSAID and record.standing.reason is Reason.RUNNING and not _is_array(record):
        return Decision(record)
    reason, message = summary.reason, summary.message
    if record.wishes.end and record.cancelled:
        reason, message = record.standing.reason, record.standing.message
    visible = ("state", "reason", "nodes", "restarts", "array")
    same = all(getattr(before, name) == getattr(after, name) for name in visible)
    just_submitted = summary.state.kind is Kind.WAITING and after.reason is None
    same = same and before.partition in {None, after.partition} and not _estimate_is_news(record, before, after, now)
    # while a control step does not get through, why it does not is what the person has to know
    if same and (reason is record.standing.reason or just_submitted or record.tries):
        return Decision(record)
    estimated = now if before.estimated_start_time != after.estimated_start_time else record.estimated
    return stand(record, now, reason, message, estimated=estimated, status=record.status.model_copy(update={"slurm": after}))


def _estimate_is_news(record: Record, before: SlurmStatus, after: SlurmStatus, now: datetime) -> bool:
    """Whether Slurm thinks that it starts at quite another time than is shown, and that has not just been said."""
    old, new = before.estimated_start_time, after.estimated_start_time
    if old == new or (record.estimated is not None and now - record.estimated < ESTIMATE_STAYS):
        return False
    return old is None or new is None or abs(new - old) > max(timedelta(minutes=1), abs(old - now) / 10)


def _ended(record: Record, now: datetime) -> Decision:
    summary = summarise(record.tasks)
    status = record.status.model_copy(
        update={
            "phase": summary.state.phase,
            "slurm": slurm_status(record.status.slurm or SlurmStatus(), record.tasks),
            "usage": usage(record.tasks),
        }
    )
    return stand(
        record,
        now,
        summary.reason,
        summary.message,
        stage=Stage.ENDED,
        status=status,
        held=False,
        lost=False,
        unread=False,
        tries=0,
        not_before=None,
    )
