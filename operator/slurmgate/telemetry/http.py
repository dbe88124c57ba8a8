"""The operator's own small HTTP server: `/healthz`, `/readyz` and `/metrics`."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from slurmgate.telemetry.health import Heartbeat, Readiness
from slurmgate.telemetry.metrics import Metrics

_STOP_SECONDS = 1.0
_UNAVAILABLE = 503


class TelemetryServer:
    """Answers probes and Prometheus. Start it before kopf, which cancels every task that is younger than itself."""

    def __init__(self, *, host: str, port: int, metrics: Metrics, readiness: Readiness) -> None:
        """`port` 0 takes a free one."""
        self._host = host
        self._port = port
        self._metrics = metrics
        self._readiness = readiness
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._exposition)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
        self._heartbeat: Heartbeat | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._runner.addresses[0][1]
        return port

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        self._heartbeat = Heartbeat(self._metrics)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """End it."""
        if self._heartbeat:
            await self._heartbeat.stop()
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        if self._heartbeat and self._heartbeat.alive:
            return web.Response(text="ok\n")
        return web.Response(status=_UNAVAILABLE, text="the event loop is stuck\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._readiness.missing
        if not missing:
            return web.Response(text="ok\n")
        return web.Response(status=_UNAVAILABLE, text="".join(f"{name}: {why}\n" for name, why in missing.items()))

    async def _exposition(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})
