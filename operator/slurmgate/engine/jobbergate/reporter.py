"""Tells Jobbergate what it has not heard yet: in order for each submission, some at once, new jobs before news of old ones.

What is due is worked out anew each time a row or a record changes (`core.reporting`), so nothing is lost by a restart, by an
answer that never came, or by somebody who changes the row meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import assert_never

from slurmgate.core import hearing, reporting
from slurmgate.core.backoff import delay
from slurmgate.core.decision import Decision
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.core.reporting import OnRecord, Report, Status, TellRejected, TellState, TellSubmitted
from slurmgate.http.errors import HttpError
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.errors import ForbiddenError, NotFoundError, RefusedError
from slurmgate.jobbergate.wire import Row

AT_ONCE = 4
"""Reports under way. The API needs 30 to 70 ms of CPU for each, whoever asks."""

_log = logging.getLogger(__name__)

Amend = Callable[[str, Callable[[Record], Decision]], None]
"""Gives what came of something to the record with this token, if it is still there."""


class Reporter:
    """Knows what Jobbergate has on record, and brings it into step with how submissions stand."""

    def __init__(
        self,
        record_of: Callable[[int], Record | None],
        amend: Amend,
        vanished: Callable[[int], None],
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """`vanished` is told of submissions that Jobbergate does not have any more."""
        self._record_of = record_of
        self._amend = amend
        self._vanished = vanished
        self._clock = clock
        self._known: dict[int, OnRecord] = {}
        self._told: dict[int, float] = {}
        """When it was last told something, by `time.monotonic`."""
        self._queue: asyncio.PriorityQueue[tuple[int, int]] = asyncio.PriorityQueue()
        self._waiting: set[int] = set()
        self._busy: set[int] = set()
        self._tries: dict[int, int] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def saw(self, row: Row, asked: float) -> None:
        """Jobbergate had this on record when it was asked, by `time.monotonic`; since then we may have told it more."""
        known = on_record(row)
        told_since = row.id in self._busy or self._told.get(row.id, 0.0) >= asked
        if self._known.get(row.id) != known and not told_since:
            self._known[row.id] = known
            self._forgive(row.id)
            self.consider(row.id)

    def expect(self, number: int) -> None:
        """It has just been seen there as one that waits."""
        self._known.setdefault(number, OnRecord(Status.CREATED))

    def consider(self, number: int) -> None:
        """Something about it has changed: have it told if that is due."""
        record = self._record_of(number)
        if record is None or number in self._waiting or number in self._timers:
            return
        known = self._known.get(number)
        if known is None or reporting.due(known, record.status):
            self._enqueue(number, urgent=known is not None and known.job_id is None)
        else:
            self._in_step(record, known)

    def forget(self, number: int) -> None:
        """There is no such submission any more, here or there."""
        self._known.pop(number, None)
        self._told.pop(number, None)
        self._forgive(number)

    async def run(self, api: JobbergateApi) -> None:
        """Tell what is due until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for place in range(AT_ONCE):
                tasks.create_task(self._work(api), name=f"jobbergate-reporter-{place}")

    def _enqueue(self, number: int, *, urgent: bool) -> None:
        self._waiting.add(number)
        self._queue.put_nowait((0 if urgent else 1, number))

    async def _work(self, api: JobbergateApi) -> None:
        while True:
            _, number = await self._queue.get()
            self._waiting.discard(number)
            if number in self._busy:  # one at a time of each; whoever has it looks again
                continue
            self._busy.add(number)
            try:
                await self._bring_into_step(api, number)
            except HttpError as error:
                self._later(number, error)
            except Exception:  # noqa: BLE001 - a mistake of ours about one submission must not silence all others
                _log.exception("Jobbergate's submission %s could not be told, in a way nobody foresaw", number)
                self._later(number, HttpError(0, "a mistake of Slurmgate's, see its log"))
            finally:
                self._busy.discard(number)

    async def _bring_into_step(self, api: JobbergateApi, number: int) -> None:
        refused: Report | None = None
        while (record := self._record_of(number)) is not None:
            known = self._known.get(number)
            if known is None:
                if await self._read(api, number) is None:
                    return
                continue  # the record may be another one by now, and nobody else would look again
            report = reporting.due(known, record.status)
            if report is None:
                self._in_step(record, known)
                return
            try:
                await tell(api, number, report)
            except HttpError as error:
                self._known.pop(number, None)  # it may have been done, or the row is not as we thought: look first
                if error.retryable or report == refused:
                    raise
                refused = report  # only what is still due then is tried again
                continue
            self._known[number], self._told[number] = reporting.after(known, report), time.monotonic()
            self._forgive(number)
            self._amend(record.token, partial(hearing.told, word=reporting.heard(report), now=self._clock()))

    async def _read(self, api: JobbergateApi, number: int) -> OnRecord | None:
        try:
            known = self._known[number] = on_record(await api.row(number))
        except NotFoundError:
            self._vanished(number)
            return None
        return known

    def _in_step(self, record: Record, known: OnRecord) -> None:
        """There is nothing to tell now."""
        over, words = reporting.heard_out(known, record.status), reporting.disagreement(known, record.status)
        self._amend(record.token, partial(hearing.in_step, now=self._clock(), over=over, disagreement=words))

    def _later(self, number: int, error: HttpError) -> None:
        """It could not be told: say so, and try again after ever longer pauses."""
        tries = self._tries[number] = self._tries.get(number, 0) + 1
        _log.warning("Jobbergate could not be told of its submission %s: %s", number, error.message)
        if record := self._record_of(number):
            meant = isinstance(error, ForbiddenError | RefusedError) or not error.retryable
            reason = Reason.JOBBERGATE_REFUSED if meant else Reason.JOBBERGATE_UNAVAILABLE
            self._amend(record.token, partial(hearing.untold, reason=reason, message=error.message, now=self._clock()))
        pause = delay(tries, seed=str(number)).total_seconds()
        self._timers[number] = asyncio.get_running_loop().call_later(pause, self._again, number)

    def _again(self, number: int) -> None:
        self._timers.pop(number, None)
        self.consider(number)

    def _forgive(self, number: int) -> None:
        """Whatever stood in the way may not do so any more."""
        self._tries.pop(number, None)
        if timer := self._timers.pop(number, None):
            timer.cancel()


def on_record(row: Row) -> OnRecord:
    """What Jobbergate has. A status that no version we know has counts as an end: nothing is told about it."""
    status = Status(row.status) if row.status in set(Status) else Status.DONE
    return OnRecord(status, row.slurm_job_id, row.slurm_job_state)


async def tell(api: JobbergateApi, number: int, report: Report) -> None:
    """Make one report. Raises HttpError."""
    match report:
        case TellSubmitted(job_id, state, reason, info):
            await api.submitted(number, slurm_job_id=job_id, state=state, reason=reason, info=info)
        case TellState(job_id, state, reason, info):
            await api.update(number, slurm_job_id=job_id, state=state, reason=reason, info=info)
        case TellRejected(message):
            await api.rejected(number, message)
        case _:
            assert_never(report)
