"""What Slurm writes into InfluxDB about jobs, how it is asked for, and what Jobbergate wants of it. Pure.

Slurm (src/plugins/acct_gather_profile/influxdb) writes a sample of a task as one point for each measurement, all of the same
second: `CPUTime,job=42,step=0,task=1,host=node1 value=2.00 1796084666`. It keeps samples back until it has 16 kB of them, or
until the step ends, so points of one task arrive long after later ones of another.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from slurmgate.jobbergate.influx import Series

MOST_ROWS: Final = 2047
"""In one request; for one more the API has no room in its statement, and fails."""

_KINDS: Final[Mapping[str, type[int] | type[float]]] = {
    "CPUFrequency": float,
    "CPUTime": float,
    "CPUUtilization": float,
    "GPUMemMB": int,
    "GPUUtilization": float,
    "Pages": int,
    "RSS": int,
    "ReadMB": int,
    "VMSize": int,
    "WriteMB": int,
}
"""The measurements, in the order in which the API wants them, and as what (jobbergate_agent/jobbergate/constants.py)."""

_COLUMNS: Final = {name: column for column, name in enumerate(_KINDS)}
_ALWAYS: Final = "CPUTime"
"""In every sample, and written at once with the others."""

_TAGS: Final = "job, host, step, task"
_UNKNOWN: Final = 2**44 - 1
"""What Slurm's INFINITE64 is in MB. A node without GPUs has that much memory in them, and even more per cent of use."""

_INT32: Final = 2**31
_UINT32: Final = 2**32


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """One task of a step of a job, on its node."""

    host: str
    step: int
    """Negative for those that Slurm has no number for: the batch script is -5."""
    task: int


@dataclass(frozen=True, slots=True)
class Span:
    """When a task was measured first and last, in seconds since 1970."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Row:
    """What a task used at a time."""

    time: int
    task: Task
    values: tuple[float, ...]
    """In the order of the API; 0 where there was no such measurement."""


def spans_query(jobs: Iterable[int]) -> list[str]:
    """Statements for `spans`."""
    these = f"{_ALWAYS} WHERE " + " OR ".join(f"job = '{job}'" for job in sorted(jobs))
    return [f"SELECT {which}(value) FROM {these} GROUP BY {_TAGS}" for which in ("first", "last")]  # noqa: S608  # of numbers


def spans(answer: Iterable[Series]) -> dict[int, dict[Task, Span]]:
    """Since and until when there are points, by Slurm's job id."""
    found: dict[int, dict[Task, Span]] = defaultdict(dict)
    for series in answer:
        if (whose := _whose(series.tags)) and series.values:
            job, task = whose
            times = [time for time, _ in series.values]
            if known := found[job].get(task):
                times += [known.first, known.last]
            found[job][task] = Span(min(times), max(times))
    return dict(found)


def rows_query(job: int, *, after: int, limit: int) -> str:
    """A statement for `rows`: of each task of a job the first `limit` ones after a second."""
    these = f"{', '.join(_KINDS)} WHERE job = '{job}' AND time > {after}s"
    return f"SELECT value FROM {these} GROUP BY {_TAGS} LIMIT {limit}"  # noqa: S608  # of numbers


def rows(answer: Iterable[Series]) -> dict[int, list[Row]]:
    """Rows by Slurm's job id, the oldest first, no two of the same task and time: the API would refuse all of them.

    A time at which only other measurements are there is left for the next answer: a measurement that InfluxDB did not take
    once (Slurm writes `nan`) is ahead of the others at the limit.
    """
    cells: dict[tuple[int, int, Task], list[float]] = {}
    whole: set[tuple[int, int, Task]] = set()
    for series in answer:
        column, whose = _COLUMNS.get(series.name), _whose(series.tags)
        if column is None or whose is None:
            continue
        job, task = whose
        for time, value in series.values:
            cells.setdefault((job, time, task), [0.0] * len(_KINDS))[column] = _known(value)
        if series.name == _ALWAYS:
            whole.update((job, time, task) for time, _ in series.values)
    found: dict[int, list[Row]] = defaultdict(list)
    for job, time, task in sorted(whole):
        found[job].append(Row(time, task, tuple(cells[job, time, task])))
    return dict(found)


def parts(found: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in such numbers as the API takes at once."""
    for start in range(0, len(found), MOST_ROWS):
        yield found[start : start + MOST_ROWS]


def packed(part: Iterable[Row]) -> bytes:
    """Rows as the API reads them."""
    return bytes(msgpack.packb([_packed(row) for row in part]))


def _packed(row: Row) -> tuple[int | float | str, ...]:
    values = (kind(value) for kind, value in zip(_KINDS.values(), row.values, strict=True))
    return (row.time, row.task.host, row.task.step, row.task.task, *values)


def _whose(tags: Mapping[str, str]) -> tuple[int, Task] | None:
    """The job and the task of a series; None if it is of no task: a file system's `ReadMB` has its name there."""
    try:
        job, host, step, task = int(tags["job"]), tags["host"], _signed(tags["step"]), _signed(tags["task"])
    except (KeyError, ValueError):
        return None
    return (job, Task(host, step, task)) if host else None


def _signed(number: str) -> int:
    """A number of 32 bits, which Slurm writes with a sign or, since 26.05, without; the API's database has one."""
    value = int(number)
    if not -_INT32 <= value < _UINT32:
        raise ValueError(number)
    return value - _UINT32 if value >= _INT32 else value


def _known(value: Any) -> float:
    """A value; 0 for none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if abs(value) < _UNKNOWN else 0.0
