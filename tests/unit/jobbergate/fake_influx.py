"""InfluxDB and the API's metrics in this process, as the real ones behave where the forwarder depends on it."""

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgpack

from slurmgate.http.errors import HttpError, UnreachableError
from slurmgate.jobbergate.errors import MovedOnError
from slurmgate.jobbergate.influx import InfluxError, InfluxUnreachableError, Series
from slurmgate.jobbergate.measurements import Task
from slurmgate.jobbergate.wire import MaxTime

_SPANS = re.compile(r"SELECT (first|last)\(value\) FROM CPUTime WHERE (.*) GROUP BY job, host, step, task")
_ROWS = re.compile(r"SELECT value FROM .* WHERE job = '(\d+)' AND time > (-?\d+)s GROUP BY job, host, step, task LIMIT (\d+)")
_JOB = re.compile(r"job = '(\d+)'")


@dataclass
class FakeInflux:
    """Knows the measurement CPUTime, whose value is its time."""

    points: dict[tuple[int, Task], set[int]] = field(default_factory=lambda: defaultdict(set))
    asked: list[list[str]] = field(default_factory=list)
    most_values: int = 0
    """In one answer so far."""
    troubles: deque[InfluxError] = field(default_factory=deque)

    def write(self, job: int, task: Task, times: Iterable[int]) -> None:
        self.points[job, task].update(times)

    async def ask(self, statements: Sequence[str], /) -> list[Series]:
        self.asked.append(list(statements))
        if self.troubles:
            raise self.troubles.popleft()
        found = [series for statement in statements for series in self._select(statement)]
        self.most_values = max(self.most_values, sum(len(series.values) for series in found))
        return found

    def _select(self, statement: str) -> list[Series]:
        if match := _SPANS.fullmatch(statement):
            jobs = {int(job) for job in _JOB.findall(match[2])}
            pick = min if match[1] == "first" else max
            return [_series(job, task, [pick(times)]) for (job, task), times in self.points.items() if job in jobs and times]
        match = _ROWS.fullmatch(statement)
        assert match, statement
        job, after, limit = (int(number) for number in match.groups())
        chosen = {
            task: sorted(time for time in times if time > after)[:limit]
            for (of, task), times in self.points.items()
            if of == job
        }
        return [_series(job, task, times) for task, times in chosen.items() if times]


def _series(job: int, task: Task, times: Sequence[int]) -> Series:
    tags = {"job": str(job), "host": task.host, "step": str(task.step), "task": str(task.task)}
    return Series(name="CPUTime", tags=tags, values=tuple((time, time) for time in times))


def silent() -> InfluxError:
    return InfluxUnreachableError("InfluxDB at http://influx:8086 gave no answer within 15 s")


@dataclass
class FakeMetrics:
    """The API: rows by submission; one that it has already costs all that came with it."""

    rows: dict[int, set[tuple[int, Task]]] = field(default_factory=lambda: defaultdict(set))
    sizes: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    refused: int = 0
    """For the sake of one row."""
    refuses: dict[int, HttpError] = field(default_factory=dict)
    """Rows of these submissions."""
    down: HttpError | None = None
    lose_answers: int = 0
    """Of the next requests that write."""

    async def max_times(self, number: int, /) -> list[MaxTime]:
        self.asked.append(number)
        if self.down:
            raise self.down
        newest = {task: time for time, task in sorted(self.rows[number])}
        return [MaxTime(max_time=time, node_host=task.host, step=task.step, task=task.task) for task, time in newest.items()]

    async def put_metrics(self, number: int, body: bytes, /) -> None:
        if self.down:
            raise self.down
        if number in self.refuses:
            raise self.refuses[number]
        new = [(time, Task(host, step, task)) for time, host, step, task, *_ in msgpack.unpackb(body)]
        self.sizes.append(len(new))
        if len(new) != len(set(new)) or self.rows[number] & set(new):
            self.refused += 1
            raise MovedOnError(400, "Failed to insert metrics (HTTP 400)")
        self.rows[number].update(new)
        if self.lose_answers:
            self.lose_answers -= 1
            raise UnreachableError("http://api gave no answer within 15 s")
