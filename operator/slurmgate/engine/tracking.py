"""Follows the jobs of one cluster: one look at the queue for all of them, then one at the accounting for those that left."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from slurmgate.core import following
from slurmgate.core.askers import Question
from slurmgate.core.decision import Decision
from slurmgate.core.outcomes import Seen
from slurmgate.core.record import Record, Stage
from slurmgate.engine.asking import look
from slurmgate.engine.ports import Change
from slurmgate.engine.site import Site
from slurmgate.slurm.gateway import Workplace

_IDLE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Tracker:
    """Asks Slurm at a steady pace, however many jobs there are."""

    def __init__(self, known: Callable[[], list[Record]], change: Change, *, clock: Callable[[], datetime]) -> None:
        self.site: Site | None = None
        self._known = known
        self._change = change
        self._clock = clock
        self._tasks: asyncio.TaskGroup
        self._asking: set[str] = set()

    async def run(self) -> None:
        """Look again and again until cancelled. Who answers slowly, or never, keeps nobody else's jobs from being looked at."""
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                site = self.site
                if site is not None and not site.controller_down:
                    for question in site.questions({record.user for record in self._known()}):
                        self._begin(f"look-{question.askers[0]}", partial(self._ask, site, question))
                await asyncio.sleep(site.spec.limits.poll_interval_seconds if site else _IDLE_SECONDS)

    def _begin(self, name: str, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Ask, unless the same is still being asked."""
        if name not in self._asking:
            self._asking.add(name)
            self._tasks.create_task(self._alone(name, ask), name=name)

    async def _alone(self, name: str, ask: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await ask()
        except Exception:  # noqa: BLE001 - see below
            # A mistake of ours must not leave all jobs of the cluster unwatched for ever.
            _log.exception("A look at the queue failed in a way nobody foresaw")
        finally:
            self._asking.discard(name)

    async def _ask(self, site: Site, question: Question) -> None:
        asked = [record for record in self._known() if record.user in question.users]  # what comes meanwhile is in no answer
        asker, answer = await look(site, question)
        if isinstance(answer, Seen):
            await self._tell(asked, partial(following.queue_seen, seen=answer))
            await self._account(site, asker, {record.token for record in asked})

    async def _account(self, site: Site, asker: str, tokens: set[str]) -> None:
        unread = [record for record in self._known() if record.token in tokens and record.unread]
        if not unread:
            return
        lost_after = timedelta(seconds=site.spec.limits.lost_after_seconds)
        if not site.keeps_accounting:  # what batch scripts left is read by whoever ran them
            for user in {record.user for record in unread}:
                mine = [record for record in unread if record.user == user]
                self._begin(f"exits-{user}", partial(self._read_exits, site, user, mine, lost_after))
            return
        answer = await site.gateway.account(asker, _ids(unread))
        site.note(asker, answer)
        await self._tell(unread, partial(following.accounting_seen, seen=answer, lost_after=lost_after))

    async def _read_exits(self, site: Site, user: str, records: Sequence[Record], lost_after: timedelta) -> None:
        answer = await site.gateway.exits(user, [_workplace(record) for record in records])
        await self._tell(records, partial(following.without_accounting, exits=answer, lost_after=lost_after))

    async def _tell(self, records: Iterable[Record], decide: Callable[..., Decision]) -> None:
        for record in records:
            await asyncio.sleep(0)  # ten thousand of them must not keep everybody else waiting
            try:
                self._change(record.token, Stage.KNOWN, lambda current: decide(current, now=self._clock()))
            except Exception:  # noqa: BLE001 - one job that trips over a mistake of ours must not hide all others
                _log.exception("What Slurm says of %s/%s could not be used", record.namespace, record.name)


def _workplace(record: Record) -> Workplace:
    return Workplace(record.job_id or "", record.job_token, record.status.working_directory or "")


def _ids(records: Iterable[Record]) -> list[str]:
    return [record.job_id for record in records if record.job_id]
