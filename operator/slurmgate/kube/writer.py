"""Brings the latest status of every object into the API, once, whatever happens on the way.

`put` says what an object's status is to be and returns at once. If it says so again before the write was sent, only the last
word is sent; what the API has already is not sent at all; what fails is sent again, with growing pauses, until it is accepted
or the object is gone. `confirm` does the same and waits.

A status is written whole, so nothing of an older one stays behind, and nothing has to be known about what is there.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from slurmgate.kube.addresses import Target
from slurmgate.kube.backoff import delays
from slurmgate.kube.errors import ApiError
from slurmgate.kube.patch import Conflict, Gone, Written, encode, replace
from slurmgate.kube.session import ApiSession

_AT_ONCE = 16
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_REFUSED_PAUSE = 60.0
"""For what the API server has looked at and does not take."""

Status = Mapping[str, Any]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Superseded:
    """Not confirmed: a later status of the same object took its place."""


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """Not accepted so far, and perhaps never: nobody can say."""

    message: str


Confirmation = Written | Conflict | Gone | Superseded | Unconfirmed


def _pauses() -> Iterator[float]:
    return delays(first=_FIRST_PAUSE, most=_LONGEST_PAUSE)


@dataclass(slots=True)
class _Wish:
    """A status that is to be written."""

    status: Status = field(repr=False)
    encoded: bytes = field(repr=False)
    digest: bytes
    expected: Mapping[str, str]
    answer: asyncio.Future[Confirmation] | None

    def resolve(self, answer: Confirmation) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_result(answer)


@dataclass(slots=True)
class _Entry:
    """What we know of one object's status."""

    target: Target
    accepted: bytes | None = None
    """Digest of the status that the API has; None: not known."""
    resource_version: str = ""
    """As of the last write."""
    wish: _Wish | None = None
    """What is to be sent next."""
    queued: bool = False
    """In the queue, being sent, or waiting for its pause to end."""
    refused: asyncio.TimerHandle | None = None
    """The end of the pause for what the API server does not take. Another status need not wait for it."""
    pauses: Iterator[float] = field(default_factory=_pauses)


class StatusWriter:
    """Writes status. `start` it before kopf, which cancels every task that is younger than itself."""

    def __init__(self, api: ApiSession) -> None:
        self._api = api
        self._entries: dict[str, _Entry] = {}
        self._queue: asyncio.Queue[_Entry] = asyncio.Queue()
        self._unwritten: set[str] = set()
        self._all_written = asyncio.Event()
        self._all_written.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(self._work(), name=f"status-writer-{n}") for n in range(_AT_ONCE)]

    async def stop(self, grace: float) -> None:
        """Write what is still to be written, for at most `grace` seconds, and end."""
        try:
            async with asyncio.timeout(grace):
                await self._all_written.wait()
        except TimeoutError:
            _log.warning("%d statuses could not be written before the end", len(self._unwritten))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def put(self, target: Target, status: Status) -> None:
        """Make this the object's status, as soon as can be."""
        self._wish(target, status, expected={}, answer=None)

    async def confirm(
        self, target: Target, status: Status, *, resource_version: str | None = None, deadline: float
    ) -> Confirmation:
        """Make this the object's status and wait up to `deadline` seconds until it is.

        With `resource_version`, only if the object has not changed since. After `Unconfirmed` it goes on being tried until
        another status is put.
        """
        answer: asyncio.Future[Confirmation] = asyncio.get_running_loop().create_future()
        expected = {"resourceVersion": resource_version} if resource_version else {}
        self._wish(target, status, expected=expected, answer=answer)
        try:
            async with asyncio.timeout(deadline):
                return await answer
        except TimeoutError:
            return Unconfirmed(f"the API server has not accepted the status within {deadline:g} s")

    def forget(self, uid: str) -> None:
        """The object is gone: what is still to be written of it is dropped."""
        if entry := self._entries.get(uid):
            self._bury(entry)

    def _wish(
        self,
        target: Target,
        status: Status,
        *,
        expected: Mapping[str, str],
        answer: asyncio.Future[Confirmation] | None,
    ) -> None:
        encoded = encode(status)
        digest = blake2b(encoded, digest_size=16).digest()
        entry = self._entries.setdefault(target.uid, _Entry(target))
        if entry.wish:
            entry.wish.resolve(Superseded())
        entry.wish = _Wish(status, encoded, digest, expected, answer)
        if entry.refused:
            entry.refused.cancel()  # or two workers would send for one object, and the older status might land last
            entry.refused = None
            self._next(entry)
        elif not entry.queued:
            self._next(entry)

    def _next(self, entry: _Entry) -> None:
        """Queue the object's wish, unless the API has it already."""
        wish = entry.wish
        if wish and wish.digest == entry.accepted and not wish.expected:
            wish.resolve(Written(entry.resource_version))
            wish = entry.wish = None
        entry.queued = wish is not None
        if entry.queued:
            self._unwritten.add(entry.target.uid)
            self._all_written.clear()
            self._queue.put_nowait(entry)
        else:
            self._rest(entry)

    def _rest(self, entry: _Entry) -> None:
        self._unwritten.discard(entry.target.uid)
        if not self._unwritten:
            self._all_written.set()

    def _bury(self, entry: _Entry) -> None:
        if entry.wish:
            entry.wish.resolve(Gone())
            entry.wish = None
        self._entries.pop(entry.target.uid, None)
        self._rest(entry)

    async def _work(self) -> None:
        while True:
            entry = await self._queue.get()
            if entry.wish is None:  # forgotten meanwhile
                continue
            wish, entry.wish = entry.wish, None
            await self._send(entry, wish)

    async def _send(self, entry: _Entry, wish: _Wish) -> None:
        outcome: Written | Conflict | Gone | Exception
        try:
            outcome = await self._write(entry.target, wish)
        except asyncio.CancelledError:
            wish.resolve(Unconfirmed("the operator is stopping"))
            raise
        except Exception as error:  # noqa: BLE001  # a bug that one object meets must not end the writes of all others
            outcome = error
        if self._entries.get(entry.target.uid) is not entry:  # forgotten meanwhile
            wish.resolve(Gone())
            return
        match outcome:
            case Written(resource_version):
                entry.accepted, entry.resource_version, entry.pauses = wish.digest, resource_version, _pauses()
                wish.resolve(outcome)
                self._next(entry)
            case Conflict():  # whoever gave the resourceVersion decides anew
                wish.resolve(outcome)
                self._next(entry)
            case Gone():
                wish.resolve(outcome)
                self._bury(entry)
            case ApiError(retryable=True):
                self._again(entry, wish, outcome, next(entry.pauses))
            case ApiError() if entry.wish is None:  # a policy, a right that is missing: somebody may put it right
                wish.resolve(Unconfirmed(str(outcome)))
                entry.refused = self._again(entry, wish, outcome, _REFUSED_PAUSE)
            case _:
                _log.error("the status of %s cannot be written: %s", entry.target.title, outcome, exc_info=outcome)
                wish.resolve(Unconfirmed(str(outcome)))
                self._next(entry)

    async def _write(self, target: Target, wish: _Wish) -> Written | Conflict | Gone:
        outcome = await replace(self._api, target, "/status", wish.encoded, subresource="status", expected=wish.expected)
        if isinstance(outcome, Conflict) and outcome.current.get("status") == wish.status:
            # An earlier try got through and only its answer was lost.
            return Written(outcome.current["metadata"]["resourceVersion"])
        return outcome

    def _again(self, entry: _Entry, wish: _Wish, error: ApiError, pause: float) -> asyncio.TimerHandle:
        """Write it later, or the one that was put meanwhile."""
        entry.accepted = None  # nobody can say what the API has now
        if entry.wish:
            wish.resolve(Superseded())
        else:
            entry.wish = wish
        _log.warning("the status of %s is written again in %.1f s: %s", entry.target.title, pause, error)
        return asyncio.get_running_loop().call_later(pause, self._resume, entry)

    def _resume(self, entry: _Entry) -> None:
        entry.refused = None
        self._queue.put_nowait(entry)
