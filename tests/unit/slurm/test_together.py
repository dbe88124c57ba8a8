"""What is asked for one at a time, and done for many at once."""

import asyncio
from collections.abc import Sequence

import pytest

from slurmgate.slurm.together import LOADS_AT_ONCE, MOST_BYTES, MOST_ITEMS, Together


class Ferry:
    """Carries numbers over and brings back twice each, when it is told to."""

    def __init__(self) -> None:
        self.loads: list[list[int]] = []
        self.landing = asyncio.Event()
        self.fails = False
        self.together: Together[str, int, int] = Together(self._carry, weigh=lambda number: number)

    async def _carry(self, route: str, numbers: Sequence[int]) -> list[int]:
        self.loads.append(list(numbers))
        if route == "hangs":
            await asyncio.Event().wait()
        await self.landing.wait()
        if self.fails:
            raise ValueError("it has sunk")
        return [2 * number for number in numbers]

    def send(self, *numbers: int, route: str = "x") -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.together.do(route, number)) for number in numbers]


@pytest.fixture
async def ferry() -> Ferry:
    return Ferry()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_alone_goes_at_once_and_alone(ferry: Ferry) -> None:
    (only,) = ferry.send(1)
    await settled()
    assert ferry.loads == [[1]]
    ferry.landing.set()
    assert await only == 2
    assert not ferry.together._routes


async def test_who_comes_while_others_are_under_way_goes_with_the_next(ferry: Ferry) -> None:
    first = ferry.send(*range(LOADS_AT_ONCE))
    await settled()
    later = ferry.send(7, 8, 9)
    await settled()
    assert ferry.loads == [[number] for number in range(LOADS_AT_ONCE)]
    ferry.landing.set()
    assert await asyncio.gather(*first, *later) == [*(2 * number for number in range(LOADS_AT_ONCE)), 14, 16, 18]
    assert ferry.loads[LOADS_AT_ONCE:] == [[7, 8, 9]]


async def test_a_load_is_bounded_by_number_and_by_bytes(ferry: Ferry) -> None:
    ferry.landing.set()
    large = MOST_BYTES // 2 + 1
    numbers = [*[0] * LOADS_AT_ONCE, *[1] * (MOST_ITEMS + 1), large, large, 3 * large, 1]
    await asyncio.gather(*ferry.send(*numbers))
    assert ferry.loads[LOADS_AT_ONCE:] == [[1] * MOST_ITEMS, [1, large], [large], [3 * large], [1]]


async def test_one_route_that_hangs_holds_up_no_other(ferry: Ferry) -> None:
    ferry.landing.set()
    hanging = ferry.send(1, 2, 3, 4, route="hangs")
    await settled()
    assert await asyncio.gather(*ferry.send(5, 6)) == [10, 12]
    for task in hanging:
        task.cancel()


async def test_who_gives_up_before_his_load_has_left_is_not_taken_along(ferry: Ferry) -> None:
    first = ferry.send(*[0] * LOADS_AT_ONCE)
    await settled()
    stays, leaves = ferry.send(7, 8)
    await settled()
    leaves.cancel()
    ferry.landing.set()
    await asyncio.gather(*first, stays)
    assert ferry.loads[LOADS_AT_ONCE:] == [[7]]


async def test_who_gives_up_on_the_way_keeps_the_others_answers(ferry: Ferry) -> None:
    first = ferry.send(*[0] * LOADS_AT_ONCE)
    await settled()
    ferry.send(7)[0].cancel()
    ferry.landing.set()
    assert await asyncio.gather(*first) == [0] * LOADS_AT_ONCE


async def test_a_mistake_is_raised_where_it_was_asked_for_and_stops_nothing(ferry: Ferry) -> None:
    ferry.fails = True
    ferry.landing.set()
    for outcome in await asyncio.gather(*ferry.send(1, 2, 3), return_exceptions=True):
        assert isinstance(outcome, ValueError)
    ferry.fails = False
    assert await ferry.send(4)[0] == 8
