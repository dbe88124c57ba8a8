"""One bed and one operator for each test process; tests keep apart by the names of what they make."""

import os
from collections.abc import Iterator

import pytest

from bed import valhalla
from bed.life import down, up
from bed.operator import install
from tests.world import World

# They count the API server's requests, freeze and kill it: not somebody else's.
os.environ.pop("BED_KUBECONFIG", None)


@pytest.fixture(scope="module")
def world(only_world: World) -> Iterator[World]:
    """A running operator on a bed of its own. What a file leaves would make every list slower for the next."""
    yield only_world
    only_world.remove_submissions()


@pytest.fixture(scope="session")
def only_world() -> Iterator[World]:
    """The one of this process."""
    name = f"tests-{os.getpid()}"
    bed = up(name)
    try:
        installation = install(bed, valhalla.prepare(bed))
        operator = installation.start()
        try:
            yield World(bed, installation, operator)
        finally:
            operator.stop()
    finally:
        down(name)
