"""The life of the process: settings, services, the Lease, kopf, and a stop that leaves nothing half-done."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar
from uuid import uuid4

import kopf

from slurmgate.core.lease import Terms
from slurmgate.engine.inputs import KubernetesReferences
from slurmgate.engine.intake import Intake
from slurmgate.engine.jobbergate.objects import Objects
from slurmgate.engine.outbox import KubernetesOutbox
from slurmgate.engine.site import Site
from slurmgate.handlers.registry import registry
from slurmgate.handlers.watching import kopf_settings
from slurmgate.kube.account import ServiceAccount
from slurmgate.kube.addresses import Address
from slurmgate.kube.errors import ApiError
from slurmgate.kube.events import EventRecorder
from slurmgate.kube.lease import Leadership
from slurmgate.kube.session import ApiSession, Json
from slurmgate.kube.watch import follow
from slurmgate.kube.writer import StatusWriter
from slurmgate.plugins.installed import Plugins, find
from slurmgate.plugins.tasks import keep_running
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

RESOURCES = "resources"

T = TypeVar("T")

_log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Stand by until it is our turn, then be the operator. Until SIGTERM; whatever ends by itself is a failure.

    Who stands by has everything but the work: a rolling upgrade waits until it is ready, not until it leads.

    Raises:
        NotInstalledError: a plugin that the settings name is not there.
    """
    metrics = Metrics(version=version("slurmgate"))
    plugins = find(settings.plugins, metrics)
    readiness = Readiness(RESOURCES)
    terminated = asyncio.Event()
    async with AsyncExitStack() as stack:
        session = partial(
            ApiSession,
            host=settings.kubernetes_service_host,
            port=settings.kubernetes_service_port,
            account=ServiceAccount(settings.service_account_directory),
            metrics=metrics,
        )
        api = await stack.enter_async_context(session())
        leadership = Leadership(
            await stack.enter_async_context(session()),
            namespace=settings.namespace,
            name=settings.lease_name,
            identity=f"{settings.pod_name}_{uuid4()}",
            terms=Terms(settings.lease_duration, settings.lease_renew_deadline, settings.lease_retry_period),
        )
        server = TelemetryServer(host=settings.http_host, port=settings.http_port, metrics=metrics, readiness=readiness)
        await server.start()
        stack.push_async_callback(server.stop)

        _on_termination(terminated.set)
        if await _unless(terminated, _listed(api, readiness)) is not None:
            _log.info("Ready")
            if await _unless(terminated, leadership.acquire()):
                holding = asyncio.create_task(leadership.hold(), name="lease")
                metrics.leader.set(1)
                clusters = await _unless(terminated, _listed(api, readiness))
                if clusters is not None:
                    await _lead(settings, api, metrics, plugins, clusters, terminated=terminated, holding=holding)
                holding.cancel()
                await asyncio.wait({holding})
            await leadership.release(FLUSH_SECONDS)
    _log.info("Stopped")


async def _lead(
    settings: Settings,
    api: ApiSession,
    metrics: Metrics,
    plugins: Plugins,
    clusters: list[Json],
    *,
    terminated: asyncio.Event,
    holding: asyncio.Task[None],
) -> None:
    """Be the operator until told to stop; afterwards nothing of it is under way any more."""
    telling = asyncio.create_task(terminated.wait(), name="termination")
    async with AsyncExitStack() as stack:
        writer, recorder = StatusWriter(api), EventRecorder(api, instance=settings.pod_name, metrics=metrics)
        writer.start()
        recorder.start()
        stack.push_async_callback(_flush, writer, recorder)

        references = KubernetesReferences(api, own_namespace=settings.namespace)
        outbox = KubernetesOutbox(api, writer, recorder)
        intake = Intake(
            sites=partial(
                Site,
                follow=lambda kind, name: follow(api, kind, settings.namespace, name),
                references=references,
                plugins=plugins,
                outbox=outbox,
                metrics=metrics,
                clock=_now,
            ),
            outbox=outbox,
            references=references,
            objects=Objects(api),
            plugins=plugins,
            metrics=metrics,
            clock=_now,
        )
        for cluster in clusters:  # before kopf: submissions should not be told that their cluster is not there
            intake.cluster(None, cluster)

        stop_kopf, kopf_ready = asyncio.Event(), asyncio.Event()
        handlers = registry(intake, api)
        watching = asyncio.create_task(_watch(handlers, terminated, ready=kopf_ready, stop=stop_kopf), name="kopf")
        ready = asyncio.create_task(kopf_ready.wait(), name="kopf-ready")
        await asyncio.wait({watching, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await watching  # raises what kept it from starting
        _log.info("Watching")
        for task in plugins.tasks():
            running = asyncio.create_task(keep_running(task), name=f"task-{task.name}")
            stack.callback(running.cancel)

        failing = asyncio.create_task(intake.failure(), name="failure")
        await asyncio.wait({watching, telling, failing, holding}, return_when=asyncio.FIRST_COMPLETED)
        for ended in (failing, watching, holding):
            if ended.done():
                await ended  # raises what ended it
                raise RuntimeError(f"{ended.get_name()} ended without being asked to")
        _log.info("Told to stop: finishing what is under way")
        failing.cancel()
        await intake.stop(seconds=STOP_SECONDS)
        stop_kopf.set()
        await asyncio.wait({watching}, timeout=FLUSH_SECONDS)
        # Stopped while it still starts, it may end badly.
        if watching.done() and not watching.cancelled() and (error := watching.exception()):
            _log.warning("kopf did not stop cleanly: %r", error)


async def _flush(writer: StatusWriter, recorder: EventRecorder) -> None:
    """Both at once: if the API server hangs, the Lease is running out meanwhile."""
    await asyncio.gather(writer.stop(FLUSH_SECONDS), recorder.stop(FLUSH_SECONDS))


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


async def _unless(terminated: asyncio.Event, step: Coroutine[Any, Any, T]) -> T | None:
    """What the step answers; None if we are told to stop before that. Raises what the step does."""
    doing = asyncio.create_task(step)
    telling = asyncio.create_task(terminated.wait())
    await asyncio.wait({doing, telling}, return_when=asyncio.FIRST_COMPLETED)
    left = telling if doing.done() else doing
    left.cancel()
    await asyncio.wait({left})
    return None if doing.cancelled() else await doing


async def _listed(api: ApiSession, readiness: Readiness) -> list[Json]:
    """All SlurmClusters, once both kinds can be listed: the CRDs are there, and the rights.

    kopf looks once for the kinds that there are, and says nothing of those that it does not find.
    """
    while True:
        try:
            await api.get(Address(JobSubmission.PLURAL), limit="1")
            clusters: list[Json] = (await api.get(Address(SlurmCluster.PLURAL)))["items"]
        except ApiError as error:
            readiness.not_ready(RESOURCES, f"the resources cannot be listed: {error}")
            _log.warning("The resources cannot be listed: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            readiness.ready(RESOURCES)
            return clusters


def _now() -> datetime:
    return datetime.now(UTC)
