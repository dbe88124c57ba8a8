from collections.abc import Iterator

import pytest

from tests.world import World


@pytest.fixture(autouse=True, scope="module")
def _clean(world: World) -> Iterator[None]:
    yield
    world.remove_submissions()
