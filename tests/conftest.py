"""One bed and one operator for each test process; tests keep apart by the names of what they make."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.world import World, operated

# They count the API server's requests, freeze and kill it: not somebody else's.
os.environ.pop("BED_KUBECONFIG", None)

# How long an example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="module")
def world(only_world: World) -> Iterator[World]:
    """A running operator on a bed of its own. What a file leaves would make every list slower for the next."""
    yield only_world
    only_world.remove_submissions()


@pytest.fixture(scope="session")
def only_world() -> Iterator[World]:
    """The one of this process."""
    with operated(f"tests-{os.getpid()}") as world:
        yield world
