from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from slurmgate.kube.account import ServiceAccount
from slurmgate.kube.session import ApiSession
from slurmgate.kube.writer import StatusWriter
from slurmgate.telemetry.metrics import Metrics
from tests.unit.kube.fake import FakeApi, make_certificate


class Clock:
    """Time that only moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="0")


@pytest.fixture
def fake() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def api(fake: FakeApi, tmp_path: Path, metrics: Metrics, clock: Clock) -> AsyncIterator[ApiSession]:
    tls = make_certificate(tmp_path)
    (tmp_path / "token").write_text("good\n")
    account = ServiceAccount(tmp_path, clock=clock)
    async with fake.serving(tls) as port, ApiSession(host="127.0.0.1", port=port, account=account, metrics=metrics) as api:
        yield api


@pytest.fixture
async def writer(api: ApiSession) -> AsyncIterator[StatusWriter]:
    writer = StatusWriter(api)
    writer.start()
    yield writer
    await writer.stop(grace=1)
