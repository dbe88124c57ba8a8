"""What is asked for one at a time, and done for many at once: whoever comes while others are under way goes with the next load.

Nobody waits for company: who comes when nobody is under way goes at once, and alone. So loads are as large as the far side is
slow.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

Route = TypeVar("Route", bound=Hashable)
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MOST_ITEMS: Final = 32
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one load. What is larger by itself goes alone."""
LOADS_AT_ONCE: Final = 2
"""On one route: while one is on its way here, Slurm works for the other."""


@dataclass(slots=True)
class _Platform(Generic[Item, Outcome]):
    waiting: deque[tuple[Item, asyncio.Future[Outcome]]] = field(default_factory=deque)
    under_way: int = 0


class Together(Generic[Route, Item, Outcome]):
    """Has things done. A route is what they have to have in common, and what holds up only those who share it."""

    def __init__(
        self,
        carry: Callable[[Route, Sequence[Item]], Awaitable[Sequence[Outcome]]],
        *,
        weigh: Callable[[Item], int] = lambda _: 0,
    ) -> None:
        """`carry` does it for a whole load and returns an outcome for each; `weigh` says how many bytes something is."""
        self._carry = carry
        self._weigh = weigh
        self._routes: defaultdict[Route, _Platform[Item, Outcome]] = defaultdict(_Platform)
        self._loads: set[asyncio.Task[None]] = set()

    async def do(self, route: Route, item: Item) -> Outcome:
        """What has come of this one. Who is cancelled before his load has left is not taken along."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._routes[route].waiting.append((item, outcome))
        self._depart(route)
        return await outcome

    def _depart(self, route: Route) -> None:
        here = self._routes[route]
        while here.under_way < LOADS_AT_ONCE and (load := self._next_load(here)):
            here.under_way += 1
            task = asyncio.create_task(self._travel(route, load), name=f"{len(load)} together, {route}")
            self._loads.add(task)
            task.add_done_callback(self._loads.discard)
        if not here.under_way:
            del self._routes[route]

    def _next_load(self, here: _Platform[Item, Outcome]) -> list[tuple[Item, asyncio.Future[Outcome]]]:
        load: list[tuple[Item, asyncio.Future[Outcome]]] = []
        room = MOST_BYTES
        while here.waiting and len(load) < MOST_ITEMS:
            item, outcome = here.waiting[0]
            room -= self._weigh(item)
            if load and room < 0:
                break
            here.waiting.popleft()
            if not outcome.done():
                load.append((item, outcome))
        return load

    async def _travel(self, route: Route, load: Sequence[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._carry(route, [item for item, _ in load])
        except asyncio.CancelledError:
            for _, waiter in load:
                waiter.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - it is raised where the thing was asked for
            for _, waiter in load:
                if not waiter.done():
                    waiter.set_exception(error)
        else:
            for (_, waiter), outcome in zip(load, outcomes, strict=True):
                if not waiter.done():
                    waiter.set_result(outcome)
        finally:
            self._routes[route].under_way -= 1
            self._depart(route)
