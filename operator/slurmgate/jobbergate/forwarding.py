"""Hands what jobs use, as Slurm has it in InfluxDB, over to Jobbergate's API.

However many jobs there are, InfluxDB is asked once for a hundred of them what there is, and then only for what the API has not.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from slurmgate.http.errors import HttpError, UnreachableError
from slurmgate.jobbergate import measurements
from slurmgate.jobbergate.errors import NotFoundError, UnauthorizedError
from slurmgate.jobbergate.influx import InfluxError, InfluxUnreachableError, Series
from slurmgate.jobbergate.measurements import Row, Span, Task
from slurmgate.jobbergate.wire import MaxTime

_JOBS_AT_ONCE: Final = 100
_TASKS_AT_ONCE: Final = 200
_ROWS_AT_ONCE: Final = 2000
"""That InfluxDB is asked for in one request: a fraction of a second for it, and for us to read."""

_MOST_ENDED: Final = 10_000
"""Jobs that have ended and are remembered, while InfluxDB or the API does not answer."""

_PROBLEMS_NAMED: Final = 3
_SAME_FOR_ALL: Final = (UnreachableError, UnauthorizedError)

_log = logging.getLogger(__name__)


class Database(Protocol):
    """What of InfluxDB is needed."""

    async def ask(self, statements: Sequence[str], /) -> list[Series]:
        """What SELECT statements find; raises InfluxError."""
        ...


Connect = Callable[[], AbstractAsyncContextManager[Database]]
"""To the InfluxDB that is configured now; raises InfluxError."""


class Api(Protocol):
    """What of Jobbergate's API is needed; all of it raises HttpError."""

    async def max_times(self, number: int, /) -> list[MaxTime]:
        """Up to when the API has rows of a submission, for each task."""
        ...

    async def put_metrics(self, number: int, body: bytes, /) -> None:
        """Hand over rows."""
        ...


@dataclass(slots=True)
class _Followed:
    """A job that may be measured."""

    number: int
    """Of the submission."""
    job: int
    """Slurm's id."""
    had: dict[Task, int] | None = None
    """Up to when the API has rows of each task; None while only the API can say."""
    ended: bool = False
    deleted: bool = False
    """The API has no such submission any more."""
    failed: bool = False
    """Something of it could not be handed over this time."""

    def lacks_after(self, spans: Mapping[Task, Span]) -> int | None:
        """The second after which the API lacks something; None if it has everything."""
        had = self.had or {}
        lacking = (had.get(task, span.first - 1) for task, span in spans.items() if span.last > had.get(task, span.first - 1))
        return min(lacking, default=None)

    def lacking(self, rows: Iterable[Row]) -> list[Row]:
        """Those rows that the API lacks."""
        had = self.had or {}
        return [row for row in rows if row.task not in had or row.time > had[row.task]]

    def note(self, part: Iterable[Row]) -> None:
        """The API has these rows now."""
        self.had = {**(self.had or {}), **{row.task: row.time for row in part}}  # the newest come last


class MetricsForwarder:
    """Forwards what the jobs of one cluster use."""

    def __init__(
        self, connect: Connect, api: Api, jobs: Callable[[], Mapping[int, int]], *, cluster: str, interval_seconds: float
    ) -> None:
        """`jobs`: Slurm's job ids by the submissions' numbers, of those that are active or have just ended."""
        self._connect = connect
        self._api = api
        self._jobs = jobs
        self._cluster = cluster
        self._interval = interval_seconds
        self._followed: dict[int, _Followed] = {}
        self._problems: list[str] = []
        self.problem = ""
        """Why not everything was handed over the last time; empty if it was."""

    async def run(self) -> None:
        """Forward again and again, until cancelled."""
        while True:
            try:
                await self.tick(self._jobs())
            except Exception:  # noqa: BLE001 - a mistake of ours must not end this for ever
                _log.exception("What jobs use could not be forwarded, in a way nobody foresaw")
            await asyncio.sleep(self._interval)

    async def tick(self, jobs: Mapping[int, int]) -> None:
        """Forward what is new of these jobs, and once more of those that were among them the last time and are not now."""
        self._follow(jobs)
        self._problems = []
        try:
            async with self._connect() as database:
                for some in _in_turn([each for each in self._followed.values() if not each.deleted]):
                    await self._forward(database, some)
        except (InfluxError, *_SAME_FOR_ALL) as error:  # whoever comes next would hear the same
            self._problems.append(str(error))
        self._say("; ".join(self._problems[:_PROBLEMS_NAMED]))

    def _follow(self, jobs: Mapping[int, int]) -> None:
        for number, job in jobs.items():
            if number not in self._followed or self._followed[number].job != job:
                self._followed[number] = _Followed(number, job)
        for each in self._followed.values():
            each.ended, each.failed = each.number not in jobs, False
        ended = [each for each in self._followed.values() if each.ended]
        self._forget([each for each in ended if each.deleted])
        self._forget(ended[:-_MOST_ENDED])

    def _forget(self, some: Iterable[_Followed]) -> None:
        for each in some:
            self._followed.pop(each.number, None)

    async def _forward(self, database: Database, some: Sequence[_Followed]) -> None:
        """Forward what is new of some jobs. What is raised is everybody's problem."""
        try:
            spans = measurements.spans(await database.ask(measurements.spans_query({each.job for each in some})))
            waiting = deque([each for each in some if each.job in spans and await self._asked(each)])
            while batch := _next(waiting, spans):
                limit = max(1, _ROWS_AT_ONCE // sum(len(spans[each.job]) for each, _ in batch))
                queries = [measurements.rows_query(each.job, after=after, limit=limit) for each, after in batch]
                found = measurements.rows(await database.ask(queries))
                for each, _ in batch:
                    if await self._hand_over(each, found.get(each.job, ())):
                        waiting.append(each)  # there may be more
        except InfluxUnreachableError:
            raise
        except InfluxError as error:
            self._problems.append(str(error))
        else:
            self._forget([each for each in some if each.ended and not each.failed])

    async def _asked(self, each: _Followed) -> bool:
        """Whether it is known what the API has."""
        if each.had is None:
            try:
                times = await self._api.max_times(each.number)
            except HttpError as error:
                self._fails(each, error)
                return False
            each.had = {Task(time.node_host, time.step, time.task): time.max_time for time in times}
        return True

    async def _hand_over(self, each: _Followed, rows: Iterable[Row]) -> bool:
        """Whether there was something, and the API took it."""
        lacking = each.lacking(rows)
        try:
            for part in measurements.parts(lacking):
                await self._api.put_metrics(each.number, measurements.packed(part))
                each.note(part)
        except HttpError as error:
            self._fails(each, error)
            return False
        return bool(lacking)

    def _fails(self, each: _Followed, error: HttpError) -> None:
        each.failed, each.had = True, None
        each.deleted = isinstance(error, NotFoundError)
        if isinstance(error, _SAME_FOR_ALL):
            raise error
        if not each.deleted:
            self._problems.append(f"submission {each.number}: {error}")

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            if problem:
                _log.warning("What jobs use cannot all be forwarded: %s", problem, extra={"cluster": self._cluster})
            else:
                _log.info("What jobs use is forwarded again", extra={"cluster": self._cluster})
        self.problem = problem


def _in_turn(followed: Sequence[_Followed]) -> Iterator[Sequence[_Followed]]:
    for start in range(0, len(followed), _JOBS_AT_ONCE):
        yield followed[start : start + _JOBS_AT_ONCE]


def _next(waiting: deque[_Followed], spans: Mapping[int, Mapping[Task, Span]]) -> list[tuple[_Followed, int]]:
    """Those whose turn it is, each with the second after which the API lacks something."""
    batch: list[tuple[_Followed, int]] = []
    tasks = 0
    while waiting and tasks < _TASKS_AT_ONCE:
        each = waiting.popleft()
        if (after := each.lacks_after(spans[each.job])) is not None:
            batch.append((each, after))
            tasks += len(spans[each.job])
    return batch
