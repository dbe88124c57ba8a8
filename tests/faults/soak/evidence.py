"""What Slurm's accounting, its queue and the jobs' own files say: gathered for the judge."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.faults.soak.ground import Ground
from tests.faults.soak.judge import OVER, Run, Task
from tests.faults.soak.kinds import RUNS

_FIELDS = "jobid,user,state,submit,start,comment,submitline"
"""The comment is there once the job has ended; the line is not if slurmctld was killed before slurmdbd had heard of the job."""
_TOKEN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ENDS = "/run/bed/state/jobcomp.log"
_END = re.compile(
    r"JobId=(?P<number>\d+) UserId=(?P<user>\w+)\(.* JobState=(?P<state>\w+) .* StartTime=(?P<start>\S+) "
    r".* WorkDir=\S*-(?P<mark>[0-9a-f]{8}) (?:.* ArrayJobId=(?P<array>\d+) ArrayTaskId=(?P<index>\d+))?"
)
_AT_ONCE = 1000


class Unheard(Exception):  # noqa: N818 - a state of the world
    """One of Slurm's daemons does not answer; the text says what the command said."""


@dataclass(frozen=True)
class _End:
    """One line of slurmctld's own log of how jobs ended, or were requeued."""

    mark: str
    """The part of the token that is in the working directory."""
    number: str
    """The job's own id, also if it is a task of an array."""
    job: str
    index: str
    user: str
    state: str
    start: str

    @classmethod
    def parse(cls, line: str) -> "_End | None":
        """None for what is no job of ours."""
        if not (match := _END.match(line)):
            return None
        number, job, index = match["number"], match["array"] or match["number"], match["index"] or ""
        return cls(match["mark"], number, job, index, match["user"], match["state"], match["start"])

    @property
    def key(self) -> "_Key":
        """Whose end it is."""
        return self.mark, self.job, self.index


_Key = tuple[str, str, str]
"""Mark, job id, index."""


@dataclass(frozen=True)
class Evidence:
    """All of it."""

    by_mark: dict[str, list[Task]]
    """By the part of the token that is in the working directory: slurmctld's own log shows no more of it."""
    runs: dict[str, list[Run]]
    """By the label of the submission."""
    text: str
    """What sacct and squeue printed."""

    @property
    def jobs(self) -> set[str]:
        """The ids of all jobs that Slurm tells of."""
        return {task.job_id for tasks in self.by_mark.values() for task in tasks}

    @property
    def complete(self) -> bool:
        """Whether accounting has caught up with the queue, as far as one can see."""
        return all(task.over or task.queued for tasks in self.by_mark.values() for task in tasks)

    def tasks(self, token: str) -> list[Task]:
        """Those of one submission."""
        return self.by_mark.get(_mark(token), [])


def gather(ground: Ground) -> Evidence:
    """Ask and read."""
    queue = _lines(ground, "squeue", "--noheader", "--all", "--array", "--format=%F|%K|%u|%T|%k")
    number = re.search(r"NEXT_JOB_ID\s*=\s*(\d+)", ground.shell("scontrol show config"))
    next_id = int(number[1]) if number else 1
    records = [
        line
        for first in range(1, next_id, _AT_ONCE)
        for line in _sacct(ground, map(str, range(first, min(first + _AT_ONCE, next_id))))
    ]
    files = ground.shell(f'cd {RUNS} && grep --with-filename --no-messages "^begin" * || true').splitlines()
    ends = ground.shell(f"cat {_ENDS}").splitlines()
    return Evidence(tasks(records, queue, ends), runs(files), "\n".join((*records, *queue, *ends)))


def _sacct(ground: Ground, ids: Iterable[str]) -> list[str]:
    """By number: jobs that never became eligible are found in no other way."""
    options = ("--noheader", "--allocations", "--parsable2", "--allusers", "--duplicates", f"--format={_FIELDS}")
    return _lines(ground, "sacct", *options, f"--jobs={','.join(ids)}")


def _lines(ground: Ground, *command: str) -> list[str]:
    done = ground.slurm.inside(command)
    if done.returncode:
        raise Unheard(f"{command[0]}: {done.stderr}")
    return done.stdout.splitlines()


def tasks(records: Iterable[str], queue: Iterable[str], log: Iterable[str] = ()) -> dict[str, list[Task]]:
    """The last record of each job and task that has a token, by mark."""
    ends = [end for end in map(_End.parse, log) if end]
    arrays = {(end.mark, end.number): end for end in ends if end.index}
    ends_of: dict[_Key, list[_End]] = {}
    for end in ends:
        ends_of.setdefault(end.key, []).append(end)
    alive = [(_mark(token), *values) for *values, token in _rows(queue, 4, _TOKEN.search)]
    living = {job for _, job, *_ in alive}
    latest: dict[_Key, tuple[tuple[str, str], Task]] = {}
    for job_id, user, state, submit, start, token in _rows(records, 5, _TOKEN.search):
        mark = _mark(token)
        job, _, index = job_id.partition("_")
        if misfiled := arrays.get((mark, job_id)):
            job, index = misfiled.job, misfiled.index
        key, age = (mark, job, index), (submit, start)
        before = ends_of.get(key, [])
        task = Task(
            job,
            user,
            state.split()[0],
            index,
            queued=job in living and state.split()[0] not in OVER,
            before=frozenset(end.state for end in before),
            same=frozenset(end.state for end in before if end.start == start),
            unaccounted=misfiled is not None,
        )
        if key not in latest or age >= latest[key][0]:
            latest[key] = age, task
    for end in ends:
        if end.state in OVER and end.key not in latest:
            latest[end.key] = ("", end.start), Task(end.job, end.user, end.state, end.index, unaccounted=True)
    found: dict[str, list[Task]] = {}
    for (mark, *_), (_, task) in latest.items():
        found.setdefault(mark, []).append(task)
    for mark, job, index, user, state in alive:
        if all(task.job_id != job for task in found.get(mark, [])):
            found.setdefault(mark, []).append(Task(job, user, state, "" if index == "N/A" else index, queued=True))
    return found


def _mark(token: str) -> str:
    return token.partition("-")[0]


def _rows(lines: Iterable[str], fields: int, token: Callable[[str], re.Match[str] | None]) -> Iterable[tuple[str, ...]]:
    """The fields of each line in whose last one there is a token, and the token."""
    for line in lines:
        *values, text = line.split("|", fields)
        if match := token(text):
            yield (*values, match[0])


def runs(lines: Iterable[str]) -> dict[str, list[Run]]:
    """`LABEL.USER:begin JOB USER` by label."""
    found: dict[str, list[Run]] = {}
    for line in lines:
        file, _, words = line.partition(":")
        _, job, user = words.split()
        found.setdefault(file.rpartition(".")[0], []).append(Run(job, user))
    return found
