"""Has jobs cancelled: all of a user's that are asked for while one scancel runs go with the next."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from slurmgate.core import lifecycle
from slurmgate.core.record import Record, Stage, Step
from slurmgate.engine.owning import still_ours, untouched
from slurmgate.engine.ports import Change
from slurmgate.engine.site import Site

_log = logging.getLogger(__name__)


class Canceller:
    """Cancels the jobs of one cluster. A user whose login hangs holds up nobody else."""

    def __init__(self, change: Change, *, clock: Callable[[], datetime]) -> None:
        self.site: Site | None = None
        self._change = change
        self._clock = clock
        self._wanted: dict[str, dict[str, Record]] = {}
        self._asked: set[str] = set()
        self._busy: set[str] = set()
        self._news = asyncio.Event()

    def add(self, record: Record) -> None:
        """Have the job of this record cancelled. What comes of it is given to the record."""
        if record.token not in self._asked:
            self._wanted.setdefault(record.user, {})[record.token] = record
            self._news.set()

    async def run(self) -> None:
        """Cancel what is asked for until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._news.wait()
                self._news.clear()
                site = self.site
                for user in self._wanted.keys() - self._busy if site else ():
                    self._busy.add(user)
                    tasks.create_task(self._cancel_jobs_of(user), name=f"cancel jobs of {user}")

    async def _cancel_jobs_of(self, user: str) -> None:
        records = self._wanted.pop(user)
        self._asked |= records.keys()
        try:
            await self._cancel(user, records)
        except Exception:  # noqa: BLE001 - a mistake of ours must not keep all other jobs from being cancelled
            _log.exception("Jobs of %s could not be cancelled, in a way nobody foresaw", user)
        finally:
            self._asked -= records.keys()
            self._busy.discard(user)
            self._news.set()

    async def _cancel(self, user: str, records: Mapping[str, Record]) -> None:
        site = self.site
        if site is None:
            return
        agent, answers = await still_ours(site, user, records.values())
        ours = [records[token].job_id or "" for token, answer in answers.items() if answer is True]
        failures = await site.gateway.cancel(agent, ours) if ours else {}
        for record in records.values():
            outcome = untouched(answers[record.token]) or failures.get(record.job_id or "")
            decide = partial(lifecycle.controlled, step=Step.CANCEL, outcome=outcome, now=self._clock())
            self._change(record.token, Stage.KNOWN, decide)
