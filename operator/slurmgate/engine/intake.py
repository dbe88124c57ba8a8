"""Takes what the API server says of our resources and hands it to the right worker."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from slurmgate.core import lifecycle
from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.engine.cluster import ClusterWorker
from slurmgate.engine.ports import Outbox, References
from slurmgate.engine.site import Site, SiteFactory
from slurmgate.resources.cluster import SlurmCluster
from slurmgate.resources.submission import JobSubmission, Metadata
from slurmgate.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)


class Intake:
    """All clusters and their workers."""

    def __init__(
        self,
        *,
        sites: SiteFactory,
        outbox: Outbox,
        references: References,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._open_site = sites
        self._outbox = outbox
        self._references = references
        self._metrics = metrics
        self._clock = clock
        self._workers: dict[str, ClusterWorker] = {}
        self._sites: dict[str, Site] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    # What the API server says ------------------------------------------------------------------------------------

    def submission(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """A JobSubmission is there, has changed, or is gone (`DELETED`)."""
        metadata = Metadata.model_validate(body["metadata"])
        name = str(body.get("spec", {}).get("clusterRef", {}).get("name", ""))
        worker = self._worker(name)
        if kind == "DELETED":
            worker.forget(metadata.uid)
            return
        try:
            submission = JobSubmission.model_validate(body)
        except ValidationError as error:
            self._refuse(metadata, body, error)
            return
        worker.receive(submission)

    async def cluster(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """A SlurmCluster is there, has changed, or is gone (`DELETED`)."""
        cluster = SlurmCluster.model_validate(body)
        name = cluster.metadata.name
        gone = kind == "DELETED" or cluster.metadata.deletion_timestamp is not None
        before = self._sites.get(name)
        if before and not gone and before.describes(cluster):
            return  # our own status, come back
        worker = self._worker(name)
        if before:
            del self._sites[name]
            worker.configure(None)
            await self._end(f"site {name}")
        if not gone:
            site = self._sites[name] = self._open_site(cluster, wake=worker.wake)
            self._start(f"site {name}", site.run)
            worker.configure(site)

    def _refuse(self, metadata: Metadata, body: Mapping[str, Any], error: ValidationError) -> None:
        """The schema let it through and we cannot read it all the same, for example base64 that is none."""
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        refusal = Refused(Reason.INVALID_SPEC, f"{where}: {first['msg']}")
        decision = lifecycle.unreadable(metadata, body, refusal, self._clock())
        if decision:
            self._outbox.publish(decision.record, decision.events)

    # Life --------------------------------------------------------------------------------------------------------

    async def stop(self, *, seconds: float) -> None:
        """Finish what is under way, and no more; what takes longer than this is cut and looked up after the next start."""
        for worker in self._workers.values():
            worker.stop()
        working = [task for name, task in self._tasks.items() if name.startswith("worker ")]
        if working:
            await asyncio.wait(working, timeout=seconds)
        for name in tuple(self._tasks):
            await self._end(name)

    def _worker(self, name: str) -> ClusterWorker:
        worker = self._workers.get(name)
        if worker is None:
            worker = ClusterWorker(
                name, outbox=self._outbox, references=self._references, metrics=self._metrics, clock=self._clock
            )
            self._workers[name] = worker
            self._start(f"worker {name}", worker.run)
        return worker

    def _start(self, name: str, run: Callable[[], Any]) -> None:
        task = asyncio.create_task(run(), name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    async def _end(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task:
            task.cancel()
            await asyncio.wait([task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            _log.critical("%s ended in a way nobody foresaw", task.get_name(), exc_info=task.exception())
