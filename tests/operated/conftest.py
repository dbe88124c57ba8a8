"""One bed and one operator for each test process; tests keep apart by the names of what they make."""

import os
from collections.abc import Iterator

import pytest

from bed import valhalla
from bed.life import down, up
from bed.operator import install
from tests.operated.api import path
from tests.operated.world import World


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A running operator on a bed of its own."""
    name = f"operated-{os.getpid()}"
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


@pytest.fixture(autouse=True, scope="module")
def _clean(world: World) -> Iterator[None]:
    """What a file leaves would make every list slower for the next."""
    yield
    world.api.delete(path("JobSubmission", "", valhalla.RESEARCH), wait=False)
