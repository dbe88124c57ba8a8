"""What Slurm's accounting, its queue and the jobs' own files say: gathered for the judge."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.faults.soak.ground import Ground
from tests.faults.soak.judge import Run, Task
from tests.faults.soak.kinds import RUNS

_FIELDS = "jobid,user,state,submit,start,comment,submitline"
"""The comment is there once the job has ended; the line is not if slurmctld was killed before slurmdbd had heard of the job."""
_TOKEN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "PREEMPTED", "DEADLINE"}
_ENDS = "/run/bed/state/jobcomp.log"
_END = re.compile(r"JobId=(?P<job>\d+) .* JobState=(?P<state>\w+) .* StartTime=(?P<start>\S+) .* WorkDir=\S*(?P<uid>\S{8}) ")
_AT_ONCE = 1000


class Unheard(Exception):  # noqa: N818 - a state of the world
    """One of Slurm's daemons does not answer; the text says what the command said."""


@dataclass(frozen=True)
class Evidence:
    """All of it."""

    tasks: dict[str, list[Task]]
    """By token."""
    runs: dict[str, list[Run]]
    """By the label of the submission."""
    text: str
    """What sacct and squeue printed."""

    @property
    def jobs(self) -> set[str]:
        """The ids of all jobs that Slurm tells of."""
        return {task.job_id for tasks in self.tasks.values() for task in tasks}

    @property
    def complete(self) -> bool:
        """Whether accounting has caught up with the queue, as far as one can see."""
        return all(task.over or task.queued for tasks in self.tasks.values() for task in tasks)


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


def tasks(records: Iterable[str], queue: Iterable[str], ends: Iterable[str] = ()) -> dict[str, list[Task]]:
    """The last record of each job and task that has a token, by token."""
    ended: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for match in filter(None, map(_END.match, ends)):
        ended.setdefault((match["job"], match["uid"]), set()).add((match["state"], match["start"]))
    alive = {(token, job, index, user, state) for job, index, user, state, token in _rows(queue, 4, _TOKEN.search)}
    living = {job for _, job, *_ in alive}
    latest: dict[tuple[str, str, str], tuple[tuple[str, str], Task]] = {}
    for job_id, user, state, submit, start, token in _rows(records, 5, _TOKEN.search):
        job, _, index = job_id.partition("_")
        key, age = (token, job, index), (submit, start)
        ends_before = ended.get((job_id, token[:8]), set())
        task = Task(
            job,
            user,
            state.split()[0],
            index,
            queued=job in living and state.split()[0] not in _OVER,
            before=frozenset(end for end, _ in ends_before),
            same=frozenset(end for end, began in ends_before if began == start),
        )
        if key not in latest or age >= latest[key][0]:
            latest[key] = age, task
    found: dict[str, list[Task]] = {}
    for (token, *_), (_, task) in latest.items():
        found.setdefault(token, []).append(task)
    for token, job, index, user, state in alive:
        if all(task.job_id != job for task in found.get(token, [])):
            found.setdefault(token, []).append(Task(job, user, state, "" if index == "N/A" else index, queued=True))
    return found


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
