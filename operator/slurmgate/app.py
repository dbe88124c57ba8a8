"""The life of the process: settings, services, kopf, and a stop that leaves nothing half-done."""

import asyncio
import logging
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import kopf

from slurmgate.engine.inputs import KubernetesReferences
from slurmgate.engine.intake import Intake
from slurmgate.engine.outbox import KubernetesOutbox
from slurmgate.engine.site import Site
from slurmgate.handlers.registry import registry
from slurmgate.handlers.watching import kopf_settings
from slurmgate.kube.account import ServiceAccount
from slurmgate.kube.addresses import Address
from slurmgate.kube.errors import ApiError
from slurmgate.kube.events import EventRecorder
from slurmgate.kube.login import login_handler
from slurmgate.kube.session import ApiSession
from slurmgate.kube.watch import follow
from slurmgate.kube.writer import StatusWriter
from slurmgate.resources.cluster import SlurmCluster
from slurmgate.resources.submission import JobSubmission
from slurmgate.settings import Settings
from slurmgate.telemetry.health import Readiness
from slurmgate.telemetry.http import TelemetryServer
from slurmgate.telemetry.metrics import Metrics

STOP_SECONDS = 6.0
"""For the steps under way when the process is told to stop. Together with the rest it stays below ten seconds."""
FLUSH_SECONDS = 2.0
RETRY_SECONDS = 2.0

WATCHES = "watches"

_log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Be the operator until SIGTERM, or until kopf ends by itself, which is a failure."""
    metrics = Metrics(version=version("slurmgate"))
    readiness = Readiness(WATCHES)
    terminated = asyncio.Event()
    async with AsyncExitStack() as stack:
        account = ServiceAccount(settings.service_account_directory)
        api = await stack.enter_async_context(
            ApiSession(
                host=settings.kubernetes_service_host,
                port=settings.kubernetes_service_port,
                account=account,
                metrics=metrics,
            )
        )
        writer, recorder = StatusWriter(api), EventRecorder(api, instance=settings.pod_name, metrics=metrics)
        writer.start()
        stack.push_async_callback(writer.stop, FLUSH_SECONDS)
        recorder.start()
        stack.push_async_callback(recorder.stop, FLUSH_SECONDS)

        references = KubernetesReferences(api, own_namespace=settings.namespace)
        outbox = KubernetesOutbox(api, writer, recorder)
        intake = Intake(
            sites=partial(
                Site,
                follow=lambda kind, name: follow(api, kind, settings.namespace, name),
                references=references,
                outbox=outbox,
                metrics=metrics,
                clock=_now,
            ),
            outbox=outbox,
            references=references,
            metrics=metrics,
            clock=_now,
        )
        server = TelemetryServer(host=settings.http_host, port=settings.http_port, metrics=metrics, readiness=readiness)
        await server.start()
        stack.push_async_callback(server.stop)

        stop_kopf, kopf_ready = asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(
            kopf.operator(
                registry=registry(intake, login_handler(api)),
                settings=kopf_settings(),
                clusterwide=True,
                standalone=True,
                ready_flag=kopf_ready,
                stop_flag=stop_kopf,
            ),
            name="kopf",
        )
        waiting = asyncio.create_task(_until_told(terminated, api, kopf_ready, readiness), name="termination")
        await asyncio.wait({watching, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            waiting.cancel()
            await watching  # raises what ended it
            raise RuntimeError("kopf stopped watching without being asked to")
        _log.info("Told to stop: finishing what is under way")
        readiness.not_ready(WATCHES, "stopping")
        await intake.stop(seconds=STOP_SECONDS)
        stop_kopf.set()
        await asyncio.wait({watching}, timeout=FLUSH_SECONDS)
    _log.info("Stopped")


async def _until_told(terminated: asyncio.Event, api: ApiSession, kopf_ready: asyncio.Event, readiness: Readiness) -> None:
    await kopf_ready.wait()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):  # after kopf, which installs its own
        loop.add_signal_handler(number, terminated.set)
    stopping = asyncio.create_task(terminated.wait(), name="stopping")
    listing = asyncio.create_task(_until_listed(api, readiness), name="listing")
    await asyncio.wait({stopping, listing}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        readiness.ready(WATCHES)
        _log.info("Ready")
    listing.cancel()
    await stopping


async def _until_listed(api: ApiSession, readiness: Readiness) -> None:
    """Return once both kinds can be listed: the CRDs are there, and the rights. kopf says nothing about that."""
    for plural in (JobSubmission.PLURAL, SlurmCluster.PLURAL):
        while True:
            try:
                await api.get(Address(plural), limit="1")
                break
            except ApiError as error:
                readiness.not_ready(WATCHES, f"{plural} cannot be listed: {error}")
                _log.warning("%s cannot be listed: %s", plural, error)
            await asyncio.sleep(RETRY_SECONDS)


def _now() -> datetime:
    return datetime.now(UTC)
