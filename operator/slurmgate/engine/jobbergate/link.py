"""An open connection to Jobbergate, and what is done over it for as long as it lasts.

Every few seconds two questions, however many submissions there are: what has changed lately, and what waits. Now and then all
that has not ended is gone through, for what no list of changes shows: rows that were deleted.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from slurmgate.core.health import JobbergateHealth
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.record import Record
from slurmgate.core.reporting import Status, TellState, unwanted
from slurmgate.engine.jobbergate.credentials import Credentials
from slurmgate.engine.jobbergate.cursor import Cursor
from slurmgate.engine.jobbergate.importer import Importer, is_followed
from slurmgate.engine.jobbergate.manifests import Manifest, NotSubmittableError, followed_here, name_of, submitted_here
from slurmgate.engine.jobbergate.objects import Objects
from slurmgate.engine.jobbergate.registering import Registrar
from slurmgate.engine.jobbergate.reporter import Reporter, on_record, tell
from slurmgate.engine.jobbergate.roster import Roster
from slurmgate.engine.jobbergate.survey import Survey
from slurmgate.engine.site import Site
from slurmgate.http.errors import HttpError, UnusableError
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.errors import NotFoundError
from slurmgate.jobbergate.forwarding import MetricsForwarder
from slurmgate.jobbergate.influx import connected
from slurmgate.jobbergate.wire import Pending, Row
from slurmgate.kube.errors import ApiError
from slurmgate.resources.jobbergate import Jobbergate, JobMetrics

OLDEST_API = (5, 0)
CANCELLED_SINCE = (5, 8)
"""Older APIs do not know this status, and answer 422 to whoever asks for it."""
CLEANS_ITSELF_SINCE = (5, 7)
_HEALTH_PERIODS = 3
"""The API calls a cluster well for as long as it is told: not for one period, or each delay would be an alarm."""
_DAY_SECONDS = 86400.0
_NAMED = 3

_log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class Link:
    """Opened by the bridge."""

    site: Site
    settings: Jobbergate
    credentials: Credentials
    api: JobbergateApi
    roster: Roster
    importer: Importer
    objects: Objects
    reporter: Reporter
    registrar: Registrar
    vanished: Callable[[int], None]
    """Is told of submissions that were deleted in Jobbergate."""
    version: str = ""
    served: bool = False
    """All that it says was read once."""
    _cursor: Cursor = field(default_factory=Cursor)
    _early: dict[int, tuple[Row, float]] = field(default_factory=dict)
    """What was read of submissions that we do not have quite yet, and when it was asked for."""
    _errands: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        metrics = self.settings.metrics
        self._forwarder = metrics and self._forwarding(metrics)
        self._survey = Survey(self.api, self.reporter, self.roster, self._saw, self.vanished)

    def _forwarding(self, metrics: JobMetrics) -> MetricsForwarder:
        authority = self.credentials.influx_authority if metrics.certificate_authority else None
        connect = partial(connected, self.credentials.dsn, authority)
        name, seconds = self.site.name, metrics.interval_seconds
        return MetricsForwarder(connect, self.api, self._jobs, cluster=name, interval_seconds=seconds)

    def _jobs(self) -> dict[int, int]:
        """Slurm's job ids of the submissions that run or wait, by their numbers."""
        records = {number: self.roster.held(number) for number in self.roster}
        return {
            number: int(record.job_id) for number, record in records.items() if record and record.job_id and not record.over
        }

    async def introduce(self) -> None:
        """Find out whom we speak with. Raises HttpError."""
        self.version = await self.api.version()
        if self._since < OLDEST_API:
            raise UnusableError(f"Jobbergate's API is {self.version}; 5.0 is the oldest that works")

    async def serve(self, unchanged: Callable[[float], Awaitable[bool]]) -> None:
        """Keep in step until the SlurmCluster is another one; `unchanged` waits so many seconds for that.

        Raises what keeps it from that.
        """
        beside = {
            "reporter": self.reporter.run(self.api),
            "health": self._again_and_again(self.settings.health_interval_seconds, self._report_health),
            "all": self._again_and_again(self.settings.full_interval_seconds, self._go_through_all),
            "tidy": self._again_and_again(self.settings.full_interval_seconds, self._remove_finished),
            "register": self._again_and_again(self.settings.poll_interval_seconds, self.registrar.register_some),
            "garbage": self._again_and_again(_DAY_SECONDS, self._collect_garbage),
            **({"metrics": self._forwarder.run()} if self._forwarder else {}),
        }
        loops = [asyncio.create_task(loop, name=f"{self.site.name}-jobbergate-{name}") for name, loop in beside.items()]
        try:
            pause = 0.0
            while await unchanged(pause):
                began = time.monotonic()
                await self._read_changes()
                await self.importer.import_pending()
                self.served = True
                self.site.note_jobbergate(JobbergateHealth(self.version, self._trouble))
                pause = max(0.0, began + self.settings.poll_interval_seconds - time.monotonic())
        finally:
            for task in (*loops, *self._errands):
                task.cancel()
            await asyncio.gather(*loops, *self._errands, return_exceptions=True)
            await self.importer.stop()

    async def manifest(self, number: int, *, followed: bool) -> tuple[Manifest, float]:
        """What would be made of a submission now, and since when that is known.

        Raises:
            NotSubmittableError: nothing.
            HttpError: that cannot be said now; NotFoundError: there is no such submission of this cluster.
        """
        since, row = time.monotonic(), await self.api.row(number)
        if row.client_id != self.settings.client_id:
            raise NotFoundError(404, f"Jobbergate's submission {number} is another cluster's")
        namespace = await self.importer.namespace(row.owner_email)
        if isinstance(namespace, Refused):
            raise NotSubmittableError(namespace.message)
        if isinstance(namespace, NotNow):
            raise HttpError(0, namespace.message)
        place = {"cluster": self.site.name, "client_id": self.settings.client_id, "namespace": namespace}
        if followed and row.slurm_job_id is None:
            raise NotSubmittableError(f"Jobbergate's submission {number} has no job to be followed")
        if followed:
            return followed_here(row, **place), since
        if row.status not in {Status.CREATED, Status.SUBMITTED}:
            raise NotSubmittableError(f"Jobbergate has submission {number} as {row.status}")
        if row.job_script_id is None:
            raise NotSubmittableError(f"the job script of Jobbergate's submission {number} was deleted")
        pending = Pending(
            id=row.id,
            name=row.name,
            owner_email=row.owner_email,
            execution_directory=row.execution_directory,
            sbatch_arguments=row.sbatch_arguments,
            job_script=await self.api.script(row.job_script_id),
        )
        return submitted_here(pending, await self.importer.script(pending, since), **place), since

    def remove(self, record: Record, removed: Callable[[], None]) -> None:
        """Delete the JobSubmission of a submission that was deleted in Jobbergate; until `removed` it is asked for again."""
        self._errand(self._remove(record, removed))

    async def _remove(self, record: Record, removed: Callable[[], None]) -> None:
        await self.objects.delete(record.namespace, record.name, record.token)
        removed()

    # Every few seconds -----------------------------------------------------------------------------------------------

    async def _read_changes(self) -> None:
        """Look at what changed last, as far back as was seen before."""
        began, newest, number = time.monotonic(), None, 1
        early, self._early = self._early, {}
        for row, asked in early.values():
            self._saw(row, asked)
        while True:
            asked = time.monotonic()
            page = await self.api.rows(page=number, newest_first=True)
            for row in page.items:
                self._saw(row, asked)
            times = [row.updated_at for row in page.items]
            newest = max(times, default=None) if number == 1 else newest
            if page.last or self._cursor.reached(times):
                break
            number += 1
        self._cursor.advance(newest, began)

    def _saw(self, row: Row, asked: float) -> None:
        """Jobbergate has this on record: take it into account."""
        if row.client_id != self.settings.client_id:
            return
        record = self.roster.held(row.id)
        if row.id in self.importer.under_way or (row.id in self.roster and record is None):
            self._early[row.id] = row, asked
        elif record:
            if unwanted(on_record(row), record.status) and not record.wishes.cancel:
                self._errand(self.objects.cancel(record))
            self.reporter.saw(row, asked)
        elif is_followed(row) and not self.registrar.is_registering(row):
            self.importer.follow(row)
        elif row.status in {Status.SUBMITTED, Status.CANCELLED}:
            self._errand(self._end_without_a_job(row))
        elif row.status == Status.CREATED and row.job_script_id is None:
            self.importer.reject_scriptless(row)

    async def _end_without_a_job(self, row: Row) -> None:
        """It was cancelled before anything was made of it; or it ended long ago, and somebody wrote that it had not."""
        namespace = await self.importer.namespace(row.owner_email)
        name = name_of(self.settings.client_id, row.id)
        there = await self.objects.look(namespace, name) if isinstance(namespace, str) else None
        if there and there.status.jobbergate:
            if there.over:
                await self.importer.end(row.id, there)
            return
        if row.id in self.importer.under_way or row.id in self.roster:  # it was listed before it was cancelled
            return
        if row.status == Status.CANCELLED:
            await tell(self.api, row.id, TellState(None, "CANCELLED", "Cancelled before it was submitted.", "{}"))

    @property
    def _trouble(self) -> str:
        waiting = [f"submission {number} waits: {why}" for number, why in sorted(self.importer.troubles.items())]
        more = [f"and {len(waiting) - _NAMED} more"] if len(waiting) > _NAMED else []
        metrics = [f"job metrics: {self._forwarder.problem}"] if self._forwarder and self._forwarder.problem else []
        doubt = [self._survey.doubt] if self._survey.doubt else []
        return "; ".join([*doubt, *waiting[:_NAMED], *more, *metrics])

    # Now and then ----------------------------------------------------------------------------------------------------

    async def _again_and_again(self, seconds: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await self._tolerant(act())
            await asyncio.sleep(seconds)

    async def _report_health(self) -> None:
        if self.site.healthy:
            await self.api.healthy(self.settings.health_interval_seconds * _HEALTH_PERIODS)

    async def _go_through_all(self) -> None:
        await self._survey.go_through(
            [Status.CREATED, Status.SUBMITTED] + [Status.CANCELLED] * (self._since >= CANCELLED_SINCE)
        )

    async def _remove_finished(self) -> None:
        """Delete what has been over for long enough."""
        oldest = datetime.now(UTC) - timedelta(seconds=self.settings.retention_seconds)
        async for finished in self.objects.finished(self.site.name):
            if finished.since < oldest:  # one that may not be deleted, by us, keeps no other
                await self._tolerant(self.objects.delete(finished.namespace, finished.name, finished.uid))

    async def _collect_garbage(self) -> None:
        if self.settings.collect_garbage and self._since < CLEANS_ITSELF_SINCE:
            await self.api.collect_garbage()

    @property
    def _since(self) -> tuple[int, ...]:
        """The API's version, to be compared."""
        return tuple(int(part) for part in self.version.split(".")[:2] if part.isdecimal())

    def _errand(self, act: Coroutine[Any, Any, None]) -> None:
        """Something that need not be waited for. Whatever comes of it, the next look at Jobbergate asks for it again."""
        task = asyncio.create_task(self._tolerant(act), name=f"{self.site.name}-jobbergate-errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _tolerant(self, act: Coroutine[Any, Any, None]) -> None:
        try:
            await act
        except (HttpError, ApiError) as error:
            _log.warning("Jobbergate: %s", error, extra={"cluster": self.site.name})
        except Exception:  # noqa: BLE001 - a mistake of ours must not end the sync
            _log.exception("Jobbergate: something failed in a way nobody foresaw", extra={"cluster": self.site.name})
