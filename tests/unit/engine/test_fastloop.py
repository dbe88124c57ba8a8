"""The clock of these tests."""

import asyncio
import time

import pytest


async def test_an_hour_takes_no_time() -> None:
    before, loop = time.monotonic(), asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(3600)
    assert loop.time() - began == pytest.approx(3600)
    assert time.monotonic() - before < 10


async def test_what_comes_earlier_happens_earlier() -> None:
    happened: list[int] = []

    async def happen(after: int) -> None:
        await asyncio.sleep(after)
        happened.append(after)

    await asyncio.gather(*(happen(after) for after in (30, 10, 20)))
    assert happened == [10, 20, 30]


async def test_timeouts_run_by_this_clock() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await asyncio.Event().wait()
