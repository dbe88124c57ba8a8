"""Keys that have to be worked on: each waits at most once, and is worked on by one worker at a time.

The semantics of client-go's workqueue: a key added while it is being worked on comes again when that is done.
"""

import asyncio
from collections import deque


class WorkQueue:
    """A queue of keys. Not a queue of work: what has to be done is found out when a key's turn comes."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wakers: set[asyncio.Future[None]] = set()

    def add(self, key: str) -> None:
        """Have this key worked on as soon as possible."""
        self._drop_timer(key)
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._waiting.append(key)
            self._wake_one()

    def add_after(self, key: str, seconds: float) -> None:
        """Have this key worked on in so many seconds, unless that happens anyway before."""
        self._drop_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.add, key)

    async def get(self) -> str:
        """The next key. `done` must follow."""
        while not self._waiting:
            waker = asyncio.get_running_loop().create_future()
            self._wakers.add(waker)
            try:
                await waker
            finally:
                self._wakers.discard(waker)
        key = self._waiting.popleft()
        self._queued.discard(key)
        self._working.add(key)
        return key

    def done(self, key: str) -> None:
        """The key was worked on."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _drop_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()

    def _wake_one(self) -> None:
        for waker in self._wakers:
            if not waker.done():
                waker.set_result(None)
                return
