"""Keys that have to be worked on: each waits at most once, and is worked on by one worker at a time.

The semantics of client-go's workqueue: a key added while it is being worked on comes again when that is done. Beyond that it is
fair and bounded: every key has an owner, owners take turns, and what is at work, of each owner and in all, weighs only so much,
however many wait. A turn is several keys of an owner, if that many wait: what belongs together gets further together.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable


class WorkQueue:
    """A queue of keys. Not a queue of work: what has to be done is found out when a key's turn comes."""

    def __init__(
        self,
        owner: Callable[[str], str],
        *,
        per_owner: int,
        in_all: int,
        per_turn: int = 1,
        weigh: Callable[[str], int] = lambda _: 1,
    ) -> None:
        """`owner` says whose a key is when it is added, `weigh` how much it weighs when its turn has come.

        No other key is begun, of one owner or of anybody, while the limit is reached. The last one may go beyond it.
        """
        self._per_turn = per_turn
        self._left_of_turn = per_turn
        self._owner = owner
        self._weigh = weigh
        self._per_owner = per_owner
        self._in_all = in_all
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        self._turns: deque[str] = deque()
        """Owners of whom a key waits and may be worked on, once each."""
        self._working: dict[str, tuple[str, int]] = {}
        """Owner and weight of each key that is at work."""
        self._busy: Counter[str] = Counter()
        """What the keys at work weigh, by owner."""
        self._load = 0
        """And in all."""
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
            if self._turns and self._load < self._in_all:
                return self._begin(self._turns[0])
            self._news.clear()
            await self._news.wait()
        return None

    def done(self, key: str) -> None:
        """The key was worked on."""
        owner, weight = self._working.pop(key)
        had_no_turn = self._busy[owner] >= self._per_owner
        self._busy[owner] -= weight
        self._load -= weight
        if had_no_turn and self._busy[owner] < self._per_owner and owner in self._waiting:
            self._turns.append(owner)
        if not self._busy[owner]:
            del self._busy[owner]
        self._news.set()
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
        if owner not in self._waiting and self._busy[owner] < self._per_owner:
            self._turns.append(owner)
            self._news.set()
        self._waiting[owner].append(key)

    def _begin(self, owner: str) -> str:
        key = self._waiting[owner].popleft()
        self._pending.discard(key)
        weight = self._weigh(key)
        self._working[key] = owner, weight
        self._busy[owner] += weight
        self._load += weight
        self._left_of_turn -= 1
        more, may = bool(self._waiting[owner]), self._busy[owner] < self._per_owner
        if not (more and may and self._left_of_turn):
            self._turns.popleft()
            self._left_of_turn = self._per_turn
            if more and may:
                self._turns.append(owner)
        if not more:
            del self._waiting[owner]
        return key

    def _drop_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
