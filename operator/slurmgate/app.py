"""The life of the process: settings, services, kopf, and a stop that leaves nothing half-done."""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

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

STOP_SECONDS = 4.5
"""For the steps under way when the process is told to stop. Together with the rest it stays below ten seconds."""
FLUSH_SECONDS = 1.0
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

        _on_termination(terminated.set)
        listed = asyncio.create_task(_until_listed(api, readiness), name="listing")
        telling = asyncio.create_task(terminated.wait(), name="termination")
        await asyncio.wait({listed, telling}, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            listed.cancel()
            return
        for cluster in listed.result():  # before kopf: submissions should not be told that their cluster is not there
            intake.cluster(None, cluster)

        stop_kopf, kopf_ready = asyncio.Event(), asyncio.Event()
        handlers = registry(intake, login_handler(api))
        watching = asyncio.create_task(_watch(handlers, terminated, ready=kopf_ready, stop=stop_kopf), name="kopf")
        ready = asyncio.create_task(kopf_ready.wait(), name="kopf-ready")
        await asyncio.wait({watching, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await watching  # raises what kept it from starting
        readiness.ready(WATCHES)
        _log.info("Ready")

        failing = asyncio.create_task(intake.failure(), name="failure")
        await asyncio.wait({watching, telling, failing}, return_when=asyncio.FIRST_COMPLETED)
        for ended in (failing, watching):
            if ended.done():
                await ended  # raises what ended it
                raise RuntimeError(f"{ended.get_name()} ended without being asked to")
        _log.info("Told to stop: finishing what is under way")
        readiness.not_ready(WATCHES, "stopping")
        failing.cancel()
        await intake.stop(seconds=STOP_SECONDS)
        stop_kopf.set()
        await asyncio.wait({watching}, timeout=FLUSH_SECONDS)
        # Stopped while it still starts, it may end badly.
        if watching.done() and not watching.cancelled() and (error := watching.exception()):
            _log.warning("kopf did not stop cleanly: %r", error)
    _log.info("Stopped")


async def _watch(
    handlers: kopf.OperatorRegistry, terminated: asyncio.Event, *, ready: asyncio.Event, stop: asyncio.Event
) -> None:
    """Be `kopf.operator`, but for signals: they are ours."""
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=handlers,
        settings=kopf_settings(),
        clusterwide=True,
        standalone=True,
        ready_flag=ready,
        stop_flag=stop,
    )
    _on_termination(terminated.set)  # again: the last thing that kopf did was to install its own
    await kopf.run_tasks(tasks, ignored=others)


def _on_termination(act: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)


async def _until_listed(api: ApiSession, readiness: Readiness) -> list[dict[str, Any]]:
    """All SlurmClusters, once both kinds can be listed: the CRDs are there, and the rights.

    kopf looks once for the kinds that there are, and says nothing of those that it does not find.
    """
    while True:
        try:
            await api.get(Address(JobSubmission.PLURAL), limit="1")
            clusters: list[dict[str, Any]] = (await api.get(Address(SlurmCluster.PLURAL)))["items"]
        except ApiError as error:
            readiness.not_ready(WATCHES, f"the resources cannot be listed: {error}")
            _log.warning("The resources cannot be listed: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return clusters


def _now() -> datetime:
    return datetime.now(UTC)
