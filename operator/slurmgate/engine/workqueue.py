"""Keys that have to be worked on: each waits at most once, and is worked on by one worker at a time.

The semantics of client-go's workqueue: a key added while it is being worked on comes again when that is done. Beyond that it is
fair: every key has an owner, owners take turns, and none has more than a few keys at work, however many wait.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable


class WorkQueue:
    """A queue of keys. Not a queue of work: what has to be done is found out when a key's turn comes."""

    def __init__(self, owner: Callable[[str], str], *, at_once: int) -> None:
        """`owner` says whose a key is when it is added; at most `at_once` keys of one owner are at work."""
        self._owner = owner
        self._at_once = at_once
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        self._turns: deque[str] = deque()
        """Owners of whom a key waits and may be worked on, once each."""
        self._working: dict[str, str] = {}
        """The owner of each key that is at work."""
        self._busy: Counter[str] = Counter()
        self._pending: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._news = asyncio.Event()
        self._closed = False

    def add(self, key: str) -> None:
        """Have this key worked on as soon as possible."""
        self._drop_timer(key)
        if key in self._pending:
            return
        self._pending.add(key)
        if key not in self._working:
            self._wait(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Have this key worked on in so many seconds, or earlier if it is added."""
        self._drop_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.add, key)

    async def get(self) -> str | None:
        """The next key; `done` must follow. None once the queue is closed."""
        while not self._closed:
            if self._turns:
                return self._begin(self._turns.popleft())
            self._news.clear()
            await self._news.wait()
        return None

    def done(self, key: str) -> None:
        """The key was worked on."""
        owner = self._working.pop(key)
        if self._busy[owner] == self._at_once and owner in self._waiting:
            self._take_turn(owner)
        self._busy[owner] -= 1
        if not self._busy[owner]:
            del self._busy[owner]
        if key in self._pending:
            self._wait(key)

    def close(self) -> None:
        """Hand out no more keys."""
        self._closed = True
        self._news.set()
        for key in tuple(self._timers):
            self._drop_timer(key)

    def _wait(self, key: str) -> None:
        owner = self._owner(key)
        if owner not in self._waiting and self._busy[owner] < self._at_once:
            self._take_turn(owner)
        self._waiting[owner].append(key)

    def _take_turn(self, owner: str) -> None:
        self._turns.append(owner)
        self._news.set()

    def _begin(self, owner: str) -> str:
        key = self._waiting[owner].popleft()
        self._pending.discard(key)
        self._working[key] = owner
        self._busy[owner] += 1
        if not self._waiting[owner]:
            del self._waiting[owner]
        elif self._busy[owner] < self._at_once:
            self._take_turn(owner)
        return key

    def _drop_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
