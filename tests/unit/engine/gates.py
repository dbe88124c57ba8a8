"""Places where something under way can be stopped, to let something else happen just then."""

import asyncio
from collections import Counter
from collections.abc import Callable


class Gates:
    """Open unless closed. Whoever passes says where he is."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self._closed: dict[str, asyncio.Event] = {}
        self._reached: dict[str, asyncio.Event] = {}
        self._always_fails: dict[str, Callable[[], BaseException]] = {}
        self._fails: dict[str, Callable[[], BaseException]] = {}

    def close(self, place: str) -> None:
        """The next one to come here waits."""
        self._closed[place] = asyncio.Event()
        self._reached[place] = asyncio.Event()

    def open(self, place: str) -> None:
        self._closed.pop(place).set()

    def release_others(self, place: str) -> asyncio.Event:
        """Whoever waits here goes on waiting, until the answer is set; others pass."""
        return self._closed.pop(place)

    async def reached(self, place: str) -> None:
        """Returns when somebody waits here."""
        async with asyncio.timeout(600):
            await self._reached[place].wait()

    def fail(self, place: str, error: Callable[[], BaseException]) -> None:
        """The next one to come here meets this."""
        self._fails[place] = error

    def always_fail(self, place: str, error: Callable[[], BaseException]) -> None:
        """Everybody who comes here meets this."""
        self._always_fails[place] = error

    async def at(self, place: str) -> None:
        """Say that we are here."""
        self.passed[place] += 1
        if error := self._fails.pop(place, None) or self._always_fails.get(place):
            raise error()
        gate = self._closed.get(place)
        if gate is None:
            await asyncio.sleep(0.01)  # nothing is done in no time
        else:
            self._reached[place].set()
            await gate.wait()
