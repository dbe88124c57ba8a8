import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.unit.engine.fastloop import FastLoop
from tests.unit.engine.world import World


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"fast": FastLoop}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.start()
    yield world
    await world.kill()
