"""The judge: what Slurm's accounting and the jobs' own files say, against what the API says. Pure.

The truth is Slurm's: a submission's jobs are those that carry its token, whatever the operator believes.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

ENDED = {"Done", "Aborted", "Cancelled", "Rejected"}
_DONE = {"COMPLETED"}
_CANCELLED = {"CANCELLED"}
_FINAL = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT"}
_ABORTED = {"FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "PREEMPTED", "DEADLINE", "REVOKED"}
OVER = _DONE | _CANCELLED | _ABORTED


class Verdict(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    TWICE = "submitted twice"
    WRONG_PHASE = "wrong terminal phase"
    NEVER_SETTLED = "never settled"
    LEFT_RUNNING = "running after delete"
    WRONG_USER = "another user's identity"


@dataclass(frozen=True)
class Case:
    """What was asked for."""

    uid: str
    name: str
    user: str
    refused: bool = False
    """sbatch must refuse it."""
    cancelled: bool = False
    """It was cancelled at some time."""
    deleted: bool = False
    orphan: bool = False
    """Deleting it leaves its job alone."""
    forgettable: bool = False
    """Slurmctld was killed in its life, which may have forgotten its job."""
    size: int = 1
    """Tasks of its array."""
    row: bool = False
    """It was made in Jobbergate. Deleting it there after its end leaves what is told of it alone."""
    on_site: bool = False
    """Its owner has submitted the job himself: if Slurm forgets it, there is none, and nobody submits another."""


@dataclass(frozen=True)
class Told:
    """What the API says at the end."""

    phase: str | None = None
    job_id: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Task:
    """The last record of a job, or of one task of an array, in Slurm's accounting."""

    job_id: str
    """Without the index."""
    user: str
    state: str
    """Slurm's word alone."""
    index: str = ""
    queued: bool = False
    """Whether squeue has it alive."""
    before: frozenset[str] = frozenset()
    """How it had ended before, by slurmctld's own log. One that is killed forgets the last seconds, and takes up jobs
    again that were over."""
    same: frozenset[str] = frozenset()
    """How this very run had ended before, by that log."""
    unaccounted: bool = False
    """Accounting does not have it under its id, and the operator cannot find it: slurmctld was killed before it had told
    slurmdbd of the job, or of which array it is a task. That log has it."""

    @property
    def over(self) -> bool:
        """Whether accounting knows its end."""
        return self.state in OVER


@dataclass(frozen=True)
class Run:
    """What a job wrote down when it began."""

    job_id: str
    user: str


@dataclass(frozen=True)
class Wrong:
    """Something is wrong with a submission."""

    verdict: Verdict
    words: str


def judge(case: Case, told: Told | None, tasks: Collection[Task], runs: Collection[Run]) -> tuple[Wrong, ...]:
    """Everything that is wrong with one submission. `told`: None if the object is gone."""
    return tuple(Wrong(verdict, words) for verdict, words in _wrongs(case, told, tasks, runs) if words)


def _wrongs(
    case: Case, told: Told | None, tasks: Collection[Task], runs: Collection[Run]
) -> Iterable[tuple[Verdict, str | None]]:
    forgotten = {job for job in _ids(tasks) if case.forgettable and any(map(_forgotten, _of(tasks, job)))}
    jobs = (_ids(tasks) | {run.job_id for run in runs}) - forgotten
    yield Verdict.WRONG_USER, _strangers(case, tasks, runs)
    yield Verdict.TWICE, f"jobs {', '.join(sorted(jobs))}" if len(jobs) > 1 else None
    yield Verdict.LEFT_RUNNING, _left_running(case, told, tasks)
    yield Verdict.NEVER_SETTLED, _unsettled(case, told, tasks)
    yield Verdict.LOST, "there is no job" if not jobs and _must_run(case) and not _known_lost(case, told) else None
    if told and told.phase in ENDED and len(jobs) <= 1 and not _cancelled_after_a_requeue(case, told, tasks):
        yield Verdict.WRONG_PHASE, _wrong_phase(case, told, [task for task in tasks if task.job_id in jobs])


def _ids(tasks: Iterable[Task]) -> set[str]:
    return {task.job_id for task in tasks}


def _of(tasks: Iterable[Task], job_id: str) -> list[Task]:
    return [task for task in tasks if task.job_id == job_id]


def _forgotten(task: Task) -> bool:
    """Slurm itself lost it: slurmctld was killed before it had saved that there is such a job."""
    return not task.over and not task.queued


def _strangers(case: Case, tasks: Iterable[Task], runs: Iterable[Run]) -> str | None:
    users = {task.user for task in tasks} | {run.user for run in runs}
    users -= {case.user}
    return f"ran as {', '.join(sorted(users))} instead of {case.user}" if users else None


def _left_running(case: Case, told: Told | None, tasks: Iterable[Task]) -> str | None:
    # what a slurmctld that was killed takes up again after its end is a stray, and told
    alive = sorted({task.job_id for task in tasks if task.queued and not task.before & _FINAL})
    wanted = not case.deleted or case.orphan
    return f"job {', '.join(alive)} lives" if alive and told is None and not wanted else None


def _unsettled(case: Case, told: Told | None, tasks: Collection[Task]) -> str | None:
    if told is None:
        return None
    if case.deleted:
        ended_before = case.row and told.phase in ENDED
        return None if ended_before or _row_was_gone(case, told) else f"is deleted and still there: {told}"
    lost = _known_lost(case, told) or (told.reason == "Lost" and _never_recorded_again(tasks))
    if told.phase in ENDED or (lost and not found_again(case, told, tasks)):
        return None
    return f"still {told}, and Slurm says {[task.state for task in tasks]}"


def _never_recorded_again(tasks: Iterable[Task]) -> bool:
    """What is cancelled while it waits after a requeue has no record of that in accounting."""
    return {task.state for task in tasks if not task.over} == {"REQUEUED"}


def _cancelled_after_a_requeue(case: Case, told: Told, tasks: Collection[Task]) -> bool:
    """It is called so, by squeue, and accounting has only that it was requeued."""
    cancelled = case.cancelled and told.phase == "Cancelled" and {told.job_id} == _ids(tasks)
    return cancelled and not any(task.queued for task in tasks) and _never_recorded_again(tasks)


def found_again(case: Case, told: Told, tasks: Iterable[Task]) -> bool:
    """Whether Slurm knows of a job that is called lost where it is, or how all of it ended.

    An array's record without any index says nothing of its tasks: slurmctld was killed before it had told slurmdbd of them.
    """
    known = [task for task in tasks if task.queued or (task.over and not task.unaccounted)]
    is_whole = len(known) >= case.size or any(task.index and not task.index.isdigit() for task in known)
    return told.reason == "Lost" and is_whole


def _must_run(case: Case) -> bool:
    return not (case.refused or case.cancelled or case.deleted)


def _known_lost(case: Case, told: Told | None) -> bool:
    """It had a job, of which Slurm may know nothing any more, and says so."""
    if told is None or told.job_id is None or not case.forgettable:
        return False
    return told.reason == "Lost" or (case.on_site and told.phase in {"Aborted", "Rejected"})


def _row_was_gone(case: Case, told: Told) -> bool:
    """Its row was deleted before it could be compared with it; that it was deleted here, nobody has asked for."""
    return case.deleted and told.reason == "NotFromJobbergate"


def _wrong_phase(case: Case, told: Told, tasks: list[Task]) -> str | None:
    if tasks:
        right = _worst(task.state for task in tasks)
        if {told.job_id} != _ids(tasks):
            return f"told {told}, but its job is {', '.join(_ids(tasks))}"
    elif told.job_id:
        return None if _known_lost(case, told) else f"told {told}, but there is no such job"
    else:
        right = "Cancelled" if told.phase != "Rejected" and case.cancelled else "Rejected"
        if right == "Rejected" and not case.refused:
            if _row_was_gone(case, told):
                return None
            return None if _must_run(case) else f"told {told} of what was to be cancelled"  # the first is lost, see there
    if told.phase == right or told.phase in _earlier_phases(tasks):
        return None
    return f"told {told}, right is {right}: {[task.state for task in tasks]}"


def _earlier_phases(tasks: list[Task]) -> set[str]:
    """What was right before Slurm took the job up again. Only of ends after which no living slurmctld does that, or did."""
    return {_worst(states) for states in product(*map(_ends, tasks))} if tasks else set()


def _ends(task: Task) -> frozenset[str]:
    """How one task ended, the last time or before."""
    return (task.before & _FINAL) | task.same | ({task.state} & OVER)


def _worst(states: Iterable[str]) -> str:
    """The phase of a submission whose tasks ended so."""
    ends = set(states)
    if ends & _ABORTED:
        return "Aborted"
    return "Cancelled" if ends & _CANCELLED else "Done"
