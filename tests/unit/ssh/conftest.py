import asyncio
from collections.abc import AsyncIterator

import pytest

from slurmgate.ssh.runner import Runner
from tests.unit.ssh.support import Counts, Keys, Server


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def counts() -> Counts:
    return Counts()


class Make:
    """Makes runners and closes them; nothing of them may be left after that."""

    def __init__(self, server: Server, keys: Keys, counts: Counts) -> None:
        self._server, self._keys, self._counts = server, keys, counts
        self.runners: list[Runner] = []

    def __call__(self, **changes: object) -> Runner:
        self.runners.append(Runner(self._server.endpoint(**changes), self._keys, observer=self._counts))
        return self.runners[-1]


@pytest.fixture
async def make(server: Server, keys: Keys, counts: Counts) -> AsyncIterator[Make]:
    make = Make(server, keys, counts)
    yield make
    for runner in make.runners:
        await runner.close()
    assert counts.now == 0
    await asyncio.sleep(0)
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("ssh ")] == []


@pytest.fixture
def runner(make: Make) -> Runner:
    return make()
