"""Keys that have to be worked on: each waits at most once, and is worked on by one worker at a time.

The semantics of client-go's workqueue: a key added while it is being worked on comes again when that is done.
"""

import asyncio
from collections import deque


class WorkQueue:
    """A queue of keys. Not a queue of work: what has to be done is found out when a key's turn comes."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._working: set[str] = set()
        self._pending: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._news = asyncio.Event()
        self._closed = False

    def add(self, key: str) -> None:
        """Have this key worked on as soon as possible."""
        self._drop_timer(key)
        if key in self._working:
            self._pending.add(key)
        elif key not in self._pending:
            self._pending.add(key)
            self._waiting.append(key)
            self._news.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Have this key worked on in so many seconds, or earlier if it is added."""
        self._drop_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.add, key)

    async def get(self) -> str | None:
        """The next key; `done` must follow. None once the queue is closed."""
        while not self._closed:
            if self._waiting:
                key = self._waiting.popleft()
                self._pending.discard(key)
                self._working.add(key)
                return key
            self._news.clear()
            await self._news.wait()
        return None

    def done(self, key: str) -> None:
        """The key was worked on."""
        self._working.discard(key)
        if key in self._pending:
            self._pending.discard(key)
            self.add(key)

    def close(self) -> None:
        """Hand out no more keys."""
        self._closed = True
        self._news.set()
        for key in tuple(self._timers):
            self._drop_timer(key)

    def _drop_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
