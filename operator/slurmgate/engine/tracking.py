"""Follows the jobs of one cluster: one look at the queue for all of them, then one at the accounting for those that left."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from slurmgate.core import following, pace
from slurmgate.core.askers import Question
from slurmgate.core.decision import Decision
from slurmgate.core.outcomes import Observation, Seen
from slurmgate.core.record import Record, Stage
from slurmgate.engine.asking import look
from slurmgate.engine.ports import Change
from slurmgate.engine.site import Site
from slurmgate.resources.cluster import Limits
from slurmgate.slurm.gateway import Workplace

_NO_SITE = Limits(poll_interval_seconds=1, idle_poll_interval_seconds=1)
_log = logging.getLogger(__name__)


class Tracker:
    """Asks Slurm, however many jobs there are, at a pace that depends only on when something has changed."""

    def __init__(
        self,
        known: Callable[[], list[Record]],
        claims: Callable[[str], bool],
        change: Change,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """`claims`: whether the job with this token is one of our submissions'."""
        self.site: Site | None = None
        self._known = known
        self._claims = claims
        self._change = change
        self._clock = clock
        self._tasks: asyncio.TaskGroup
        self._asking: set[str] = set()
        self._unmoved: dict[str, Record] = {}
        """Records that a look at the queue has left as they were: the same rows would again."""
        self._moment = 0.0
        """When something has changed, or should have, by the loop's clock."""
        self._news = asyncio.Event()

    def hurry(self) -> None:
        """Something has changed: look often, for more may."""
        self._moment = _now()
        self._news.set()

    async def run(self) -> None:
        """Look again and again until cancelled. Who answers slowly, or never, keeps nobody else's jobs from being looked at."""
        self.hurry()
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                site, looked = self.site, _now()
                if site is not None and not site.controller_down:
                    known = self._known()
                    self._unmoved = {record.token: record for record in known if self._unmoved.get(record.token) is record}
                    for question in site.questions({record.user for record in known}):
                        self._begin(f"look-{question.askers[0]}", partial(self._ask, site, question))
                await self._pause(site.spec.limits if site else _NO_SITE, looked)

    async def _pause(self, limits: Limits, looked: float) -> None:
        """Wait until it is time for another look. Something that changes meanwhile brings it forward."""
        while True:
            least, most = limits.poll_interval_seconds, limits.idle_poll_interval_seconds
            due = looked + pace.pause(looked - self._moment, least=least, most=most)
            self._news.clear()
            try:
                async with asyncio.timeout_at(due):
                    await self._news.wait()
            except TimeoutError:
                return

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
            news = [record for record in asked if not self._repeats(record, answer)]
            await self._tell(news, self._queue_seen, answer)
            await self._account(site, asker, {record.token for record in asked})
        else:
            self.hurry()

    async def _account(self, site: Site, asker: str, tokens: set[str]) -> None:
        unread = [record for record in self._known() if record.token in tokens and record.unread]
        if not unread:
            return
        if not all(record.lost for record in unread):
            self.hurry()
        lost_after = timedelta(seconds=site.spec.limits.lost_after_seconds)
        if not site.keeps_accounting:  # what batch scripts left is read by whoever ran them
            for user in {record.user for record in unread}:
                mine = [record for record in unread if record.user == user]
                self._begin(f"exits-{user}", partial(self._read_exits, site, user, mine, lost_after))
            return
        answer = await site.gateway.account(asker, _ids(unread))
        site.note(asker, answer)
        await self._tell(unread, partial(following.accounting_seen, lost_after=lost_after), answer)

    async def _read_exits(self, site: Site, user: str, records: Sequence[Record], lost_after: timedelta) -> None:
        answer = await site.gateway.exits(user, [_workplace(record) for record in records])
        await self._tell(records, partial(following.without_accounting, lost_after=lost_after), answer)

    async def _tell(self, records: Iterable[Record], decide: Callable[..., Decision], answer: Observation) -> None:
        for record in records:
            await asyncio.sleep(0)  # ten thousand of them must not keep everybody else waiting
            try:
                self._change(record.token, Stage.KNOWN, partial(self._decided, decide, answer))
            except Exception:  # noqa: BLE001 - one job that trips over a mistake of ours must not hide all others
                _log.exception("What Slurm says of %s/%s could not be used", record.namespace, record.name)

    def _decided(self, decide: Callable[..., Decision], answer: Observation, record: Record) -> Decision:
        return decide(record, self._as_concerns(record, answer), now=self._clock())

    def _repeats(self, record: Record, answer: Seen) -> bool:
        """Whether the queue shows of it what it has shown before, to no effect."""
        return self._unmoved.get(record.token) is record and answer.tasks.get(record.job_id or "") == record.tasks

    def _queue_seen(self, record: Record, answer: Seen, now: datetime) -> Decision:
        decision = following.queue_seen(record, answer, now=now)
        if decision.record == record and following.steady(record):
            self._unmoved[record.token] = decision.record
        return decision

    def _as_concerns(self, record: Record, answer: Observation) -> Observation:
        """A followed job is of no other submission: Slurm may have forgotten it, and given its id to one of those."""
        if record.follows is None or not isinstance(answer, Seen):
            return answer
        rows = answer.tasks.get(record.follows, ())
        his = tuple(row for row in rows if row.token in {None, record.token} or not self._claims(row.token or ""))
        return replace(answer, tasks={record.follows: his})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _workplace(record: Record) -> Workplace:
    return Workplace(record.job_id or "", record.job_token, record.status.working_directory or "")


def _ids(records: Iterable[Record]) -> list[str]:
    return [record.job_id for record in records if record.job_id]
