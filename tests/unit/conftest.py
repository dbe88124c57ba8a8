from collections.abc import AsyncIterator

import pytest

from slurmgate.http.client import Http
from tests.unit.far import FarSide


@pytest.fixture
async def far() -> AsyncIterator[FarSide]:
    far = FarSide()
    async with far.serving():
        yield far


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(deadline=5) as http:
        yield http
