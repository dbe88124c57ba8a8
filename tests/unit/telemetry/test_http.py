import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientSession

from slurmgate.telemetry.health import Readiness
from slurmgate.telemetry.http import TelemetryServer
from slurmgate.telemetry.metrics import Metrics

Get = Callable[[str], Awaitable[tuple[int, str]]]


@pytest.fixture
def readiness() -> Readiness:
    return Readiness("watches", "clusters")


@pytest.fixture
async def server(readiness: Readiness) -> AsyncIterator[TelemetryServer]:
    server = TelemetryServer(host="127.0.0.1", port=0, metrics=Metrics(version="1"), readiness=readiness)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def get(server: TelemetryServer) -> AsyncIterator[Get]:
    async with ClientSession(f"http://127.0.0.1:{server.port}") as client:

        async def ask(path: str) -> tuple[int, str]:
            async with client.get(path) as answer:
                return answer.status, await answer.text()

        yield ask


async def test_a_process_whose_loop_turns_is_alive(get: Get) -> None:
    assert await get("/healthz") == (200, "ok\n")


async def test_without_a_heartbeat_it_is_not(server: TelemetryServer, get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmgate.telemetry.health._DEAD_AFTER", 0.1)
    assert server._heartbeat
    await server._heartbeat.stop()
    await asyncio.sleep(0.15)
    assert await get("/healthz") == (503, "the event loop is stuck\n")


async def test_a_heart_that_beats_keeps_it_alive(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmgate.telemetry.health._DEAD_AFTER", 1.5)
    await asyncio.sleep(1.7)
    assert await get("/healthz") == (200, "ok\n")
    _, exposition = await get("/metrics")
    assert "slurmgate_event_loop_lag_seconds_count 1.0" in exposition


async def test_what_is_missing_is_named(readiness: Readiness, get: Get) -> None:
    readiness.ready("clusters")
    assert await get("/readyz") == (503, "watches: not yet\n")
    readiness.ready("watches")
    assert await get("/readyz") == (200, "ok\n")
    readiness.not_ready("watches", "stopping")
    assert await get("/readyz") == (503, "watches: stopping\n")


async def test_metrics_are_served_as_prometheus_wants_them(server: TelemetryServer) -> None:
    async with ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert 'slurmgate_build_info{version="1"} 1.0' in await answer.text()


async def test_anything_else_is_not_there(get: Get) -> None:
    assert (await get("/"))[0] == 404


async def test_a_port_that_is_taken_is_an_error_at_the_start(server: TelemetryServer, readiness: Readiness) -> None:
    other = TelemetryServer(host="127.0.0.1", port=server.port, metrics=Metrics(version="1"), readiness=readiness)
    with pytest.raises(OSError, match="in use"):
        await other.start()
    await other.stop()
