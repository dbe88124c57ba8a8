"""What the rows of squeue and sacct together say about one job.

squeue knows what is alive, sacct what has ended and how. A row of sacct never overrules a live row of squeue: a requeued job
has ended records in sacct while it waits to run again.

A row may stand for very many tasks of an array. It is counted for as many, and taken apart only as far as other rows are about
some of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from slurmgate.core.arrays import MOST_TASKS, bits, count, ranges, several
from slurmgate.core.outcomes import Task
from slurmgate.core.overlaps import apart
from slurmgate.core.pending import why
from slurmgate.core.reasons import Reason
from slurmgate.core.states import Kind, State, state
from slurmgate.resources.submission import ArrayStatus, Phase, SlurmStatus, Usage

MOST_INDEXES: Final = 32 * 1024
"""Characters of a list of indexes. Of a large array whose tasks end by turns well and badly it would not fit into etcd."""

_LIVELIEST_FIRST = (Kind.RUNNING, Kind.ENDING, Kind.WAITING, Kind.ENDED)


def ours(
    rows: Iterable[Task],
    *,
    token: str | None,
    user: str,
    submitted: datetime | None,
    directory: str | None = None,
    marked: bool = False,
    most: int = MOST_TASKS,
) -> tuple[Task, ...]:
    """The rows that are of this very job: ids are reused, so the id alone proves nothing.

    A row that shows another submission's token is not ours. One that shows none (its owner, or the site's job_submit plugin,
    may write another comment) is ours if it was submitted when ours was, and nowhere else than in our `directory`. Slurm takes
    a requeued job for submitted anew, so that one is taken for ours, too, unless ours is `marked`: known to show its token.
    Nor is one for more tasks than the `most` that ours has. `token` None: its owner has submitted it himself, with whatever
    comment, and only its user makes it his.
    """

    def is_ours(task: Task) -> bool:
        if task.user != user and (task.user is not None or token is None):
            return False
        if task.token is None or token is None:
            if directory and task.directory and task.directory != directory:
                return False
            return submitted == task.submit_time or (not marked and (submitted is None or bool(task.restarts)))
        return task.token == token

    return tuple(row for row in rows if is_ours(row) and _possible(row.index, most))


def latest(rows: Iterable[Task]) -> tuple[Task, ...]:
    """Of several rows about one task the one that was submitted last: it was requeued, or its id was given before."""
    newest = {row.index: row for row in sorted(rows, key=lambda row: row.submit_time.timestamp() if row.submit_time else 0.0)}
    return tuple(newest.values())


Requeued = tuple[tuple[str | None, datetime], ...]
"""By index, when Slurm last took up again what it had requeued: requeued jobs are submitted anew."""


def requeued(known: Requeued, rows: Iterable[Task]) -> Requeued:
    """With what these rows of squeue say of that."""
    news = {row.index: row.submit_time for row in rows if row.restarts and row.submit_time}
    return tuple((dict(known) | news).items()) if news else known


def of_last_run(rows: Iterable[Task], since: Requeued) -> tuple[Task, ...]:
    """The rows without those of earlier runs: while slurmdbd lags behind it has the end of such a run alone."""
    began = dict(since)
    return tuple(row for row in rows if not (row.submit_time and row.index in began and row.submit_time < began[row.index]))


def _possible(index: str | None, most: int = MOST_TASKS) -> bool:
    try:
        return not several(index) or count(index or "") <= most
    except ValueError:
        return False


def total(rows: Iterable[Task]) -> int:
    """How many tasks these rows stand for, if none stands for one that another does, too."""
    return sum(count(row.index) if row.index and several(row.index) else 1 for row in rows)


def remembered(slurm: SlurmStatus | None) -> tuple[Task, ...]:
    """The tasks of an array that its status says are over, for an operator that has just started.

    How they ended is still to be read; until then they are not counted as waiting again.
    """
    if slurm is None or slurm.job_id is None or slurm.array is None:
        return ()
    ended = (("COMPLETED", slurm.array.succeeded_indexes), ("FAILED", slurm.array.failed_indexes))
    return tuple(Task(slurm.job_id, word, expression) for word, expression in ended if expression and _possible(expression))


def remembered_requeue(slurm: SlurmStatus | None) -> Requeued:
    """What its status says of that, for an operator that has just started; of single tasks of an array it says nothing."""
    if slurm is None or slurm.array or not slurm.restarts or not slurm.submit_time:
        return ()
    return ((None, slurm.submit_time),)


def live(task: Task) -> bool:
    """Whether Slurm may still run it."""
    return state(task.state).kind is not Kind.ENDED


def waiting(task: Task) -> bool:
    """Whether it is in the queue and does not run."""
    return state(task.state).kind is Kind.WAITING


def settled(task: Task) -> bool:
    """Whether it ended and accounting has said how."""
    return not live(task) and task.exit_code is not None


def merge(known: Iterable[Task], news: Iterable[Task]) -> tuple[Task, ...]:
    """The latest row for each index. A settled row is replaced only by a live one: then the job was requeued."""
    return _merged(*apart(known, news))


def merge_ended(known: Iterable[Task], records: Iterable[Task]) -> tuple[Task, ...]:
    """The known rows with what accounting says of those that are not alive in the queue."""
    rows, ended = apart(known, (record for record in records if not live(record)))
    alive = {task.index for task in rows if live(task)}
    return _merged(rows, (record for record in ended if record.index not in alive))


def merge_exits(known: Iterable[Task], left: Iterable[Task], *, cancelled: bool) -> tuple[Task, ...]:
    """The known rows with what batch scripts left about their ends.

    squeue knows better how a job ended for as long as it knows the job: only what agrees with it is added. Of others, whoever
    asked Slurm to cancel it takes a bad end for that.
    """
    known, left = apart(known, left)
    rows = {task.index: task for task in known}
    for record in left:
        row = rows.get(record.index)
        if row is None:
            rows[record.index] = replace(record, state="CANCELLED") if cancelled and record.state == "FAILED" else record
        elif row.state == record.state:
            rows[record.index] = replace(
                row, exit_code=record.exit_code, signal=record.signal, elapsed_seconds=record.elapsed_seconds
            )
    return tuple(rows.values())


def _merged(known: Iterable[Task], news: Iterable[Task]) -> tuple[Task, ...]:
    rows = {task.index: task for task in known}
    for task in news:
        old = rows.get(task.index)
        if old is None or not settled(old) or live(task):
            # slurmdbd may know the end of a short job before it knows the partition
            unsaid = old and old.partition and not task.partition
            rows[task.index] = replace(task, partition=old.partition) if old and unsaid else task
    return tuple(rows.values())


@dataclass(frozen=True, slots=True)
class Summary:
    """One job in one line: the state of its liveliest task, or the worst end."""

    task: Task
    state: State
    reason: Reason
    message: str


def summarise(tasks: tuple[Task, ...]) -> Summary:
    """What to say of a job with these tasks (at least one)."""
    liveliest = min(tasks, key=_liveliness)
    if live(liveliest):
        row = state(liveliest.state)
        return Summary(liveliest, row, _reason(liveliest, row), _in_slurms_words(liveliest))
    worst = min(tasks, key=_badness)
    row = state(worst.state)
    return Summary(worst, row, row.reason, _ending(worst, tasks))


def _reason(task: Task, row: State) -> Reason:
    if row.reason is not Reason.QUEUED:
        return row.reason
    reason, _ = why(task.reason)
    return Reason.REQUEUED if reason is Reason.QUEUED and task.restarts else reason


def _liveliness(task: Task) -> int:
    return _LIVELIEST_FIRST.index(state(task.state).kind)


def _badness(task: Task) -> int:
    return (Phase.ABORTED, Phase.CANCELLED, Phase.DONE).index(state(task.state).phase or Phase.DONE)


def _in_slurms_words(task: Task) -> str:
    word = _word(task.reason)
    meaning = why(word)[1] if waiting(task) else ""
    return f"Slurm: {task.state}" + (f" ({word})" if word else "") + (f": {meaning}" if meaning else "")


def _word(reason: str | None) -> str | None:
    return None if reason in {None, "", "None"} else reason


def _ending(task: Task, tasks: tuple[Task, ...]) -> str:
    words = f"Slurm: {task.state}"
    if task.signal:
        words += f", signal {task.signal}"
    elif task.exit_code:
        words += f", exit code {task.exit_code}"
    if (every := total(tasks)) > 1:
        done = total(each for each in tasks if state(each.state).phase is Phase.DONE)
        words = f"{done} of {every} tasks completed" + ("" if done == every else f"; {words}")
    return words


def slurm_status(before: SlurmStatus, tasks: tuple[Task, ...]) -> SlurmStatus:
    """`status.slurm` for these tasks."""
    task = summarise(tasks).task
    return before.model_copy(
        update={
            "state": task.state,
            "reason": _word(task.reason),
            "exit_code": task.exit_code if settled(task) else None,
            "signal": task.signal if settled(task) else None,
            "submit_time": _earliest(each.submit_time for each in tasks) or before.submit_time,
            "estimated_start_time": _earliest(each.expected_start for each in tasks) if waiting(task) else None,
            "start_time": _earliest(each.start_time for each in tasks if state(each.state).kind is not Kind.WAITING),
            "end_time": None if any(map(live, tasks)) else _latest(each.end_time for each in tasks),
            "partition": task.partition or before.partition,
            "nodes": task.nodes,
            "restarts": max(before.restarts or 0, *(each.restarts or 0 for each in tasks)) or None,
            "array": _array_status(before.array, tasks) if before.array else None,
        }
    )


def _array_status(before: ArrayStatus, tasks: tuple[Task, ...]) -> ArrayStatus:
    kinds = [(task, state(task.state)) for task in tasks]
    done = [task for task, row in kinds if row.phase is Phase.DONE]
    failed = [task for task, row in kinds if row.kind is Kind.ENDED and row.phase is not Phase.DONE]
    running = total(task for task, row in kinds if row.kind in {Kind.RUNNING, Kind.ENDING})
    succeeded, bad = total(done), total(failed)
    return ArrayStatus(
        total=before.total,
        pending=max(0, before.total - running - succeeded - bad),
        running=running,
        succeeded=succeeded,
        failed=bad,
        succeeded_indexes=_indexes(done),
        failed_indexes=_indexes(failed),
    )


def _indexes(tasks: list[Task]) -> str | None:
    expression = ranges(bits(task.index for task in tasks if task.index))
    return expression if 0 < len(expression) <= MOST_INDEXES else None


def usage(tasks: tuple[Task, ...]) -> Usage | None:
    """What all tasks together used: the longest time, all CPU time, the largest memory."""
    elapsed = [task.elapsed_seconds for task in tasks if task.elapsed_seconds is not None]
    if not elapsed:
        return None
    cpu = [task.cpu_seconds for task in tasks if task.cpu_seconds is not None]
    memory = [task.max_rss_bytes for task in tasks if task.max_rss_bytes is not None]
    return Usage(
        elapsed_seconds=max(elapsed),
        cpu_seconds=round(sum(cpu), 3) if cpu else None,
        max_rss_bytes=max(memory, default=None),
    )


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time), default=None)


def _latest(times: Iterable[datetime | None]) -> datetime | None:
    return max((time for time in times if time), default=None)
