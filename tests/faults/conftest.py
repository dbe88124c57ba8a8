from collections.abc import Iterator

import pytest

from tests.faults.doomed import Fate
from tests.faults.gates import Gates
from tests.faults.nursery import Nursery, resting
from tests.world import World


@pytest.fixture(scope="module")
def gates(world: World) -> Gates:
    return Gates.make(world.bed)


@pytest.fixture(scope="module")
def _at_rest(world: World) -> Iterator[None]:
    """The world's own operator rests."""
    with resting(world):
        yield


@pytest.fixture(scope="module")
def _hasty(world: World, _at_rest: None, gates: Gates) -> Iterator[None]:
    """An operator that does not wait long takes the place of the world's own."""
    with Nursery(world.installation).life(Fate(hasty=True, gates=gates.folder)):
        yield
