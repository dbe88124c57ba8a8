"""Takes what the API server says of our resources and hands it to the right worker."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import ValidationError

from slurmgate.core import desired
from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.engine.cluster import ClusterWorker
from slurmgate.engine.ports import Outbox, References
from slurmgate.engine.site import Site, SiteFactory
from slurmgate.resources.cluster import SlurmCluster
from slurmgate.resources.submission import JobSubmission, Metadata
from slurmgate.telemetry.metrics import Metrics

CLOSE_SECONDS = 1.0
"""For connections to be closed when the process ends."""


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
        self._stopping = False
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # What the API server says ------------------------------------------------------------------------------------

    def submission(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """A JobSubmission is there, has changed, or is gone (`DELETED`)."""
        if self._stopping:
            return
        metadata = Metadata.model_validate(body["metadata"])
        name = str(body.get("spec", {}).get("clusterRef", {}).get("name", ""))
        worker = self._worker(name)
        if kind == "DELETED":
            worker.forget(metadata.uid)
            self._retire(worker)
            return
        try:
            submission = JobSubmission.model_validate(body)
        except ValidationError as error:
            self._refuse(metadata, body, error)
            return
        worker.receive(submission)

    def cluster(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """A SlurmCluster is there, has changed, or is gone (`DELETED`)."""
        if self._stopping:
            return
        cluster = SlurmCluster.model_validate(body)
        name = cluster.metadata.name
        gone = kind == "DELETED" or cluster.metadata.deletion_timestamp is not None
        before = self._sites.get(name)
        if before and not gone and before.describes(cluster):
            return  # our own status, come back
        if gone and (before is None or not before.is_of(cluster)):
            return  # the end of an earlier life of that name
        worker = self._worker(name)
        if gone:
            del self._sites[name]
            worker.configure(None)
            self._end_sites(name, but=None)
            self._metrics.forget_cluster(name)
            self._retire(worker)
            return
        # The site before serves until the new one has read what it needs.
        site = self._sites[name] = self._open_site(cluster, use=partial(self._use, worker))
        self._start(_task_name(site), site.run)
        worker.expect()

    def _use(self, worker: ClusterWorker, site: Site) -> None:
        """The site has read what it needs, for the first time or again."""
        if self._sites.get(worker.name) is site:
            worker.configure(site)
            self._end_sites(worker.name, but=site)

    def _end_sites(self, name: str, *, but: Site | None) -> None:
        kept = _task_name(but) if but else ""
        for task in [task for task in self._tasks if task.startswith(f"site {name} ") and task != kept]:
            self._tasks.pop(task).cancel()

    def _refuse(self, metadata: Metadata, body: Mapping[str, Any], error: ValidationError) -> None:
        """The schema let it through and we cannot read it all the same, for example base64 that is none."""
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        refusal = Refused(Reason.INVALID_SPEC, f"{where}: {first['msg']}")
        decision = desired.unreadable(metadata, body, refusal, self._clock())
        if decision:
            self._outbox.publish(decision.record, decision.events)

    # Life --------------------------------------------------------------------------------------------------------

    async def stop(self, *, seconds: float) -> None:
        """Finish what is under way, and no more; what takes longer than this is cut and looked up after the next start."""
        self._stopping = True
        for worker in self._workers.values():
            worker.stop()
        working = [task for name, task in self._tasks.items() if name.startswith("worker ")]
        if working:
            await asyncio.wait(working, timeout=seconds)
        left = tuple(self._tasks.values())
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CLOSE_SECONDS)

    async def failure(self) -> None:
        """Wait for a mistake of ours that ended a worker or a site, and raise it: only a new process can go on from there."""
        await self._failure

    def _worker(self, name: str) -> ClusterWorker:
        worker = self._workers.get(name)
        if worker is None:
            worker = ClusterWorker(
                name,
                outbox=self._outbox,
                references=self._references,
                metrics=self._metrics,
                claimed=self._claimed,
                clock=self._clock,
            )
            self._workers[name] = worker
            self._start(f"worker {name}", worker.run)
        return worker

    def _claimed(self, token: str) -> bool:
        """Whether the job with this token is a submission's, on whichever cluster."""
        return any(worker.claims(token) for worker in self._workers.values())

    def _retire(self, worker: ClusterWorker) -> None:
        """End a worker that has nothing left: anybody can name clusters that are none."""
        if worker.idle:
            worker.stop()
            del self._workers[worker.name]

    def _start(self, name: str, run: Callable[[], Any]) -> None:
        task = asyncio.create_task(run(), name=name)
        task.add_done_callback(self._ended)
        self._tasks[name] = task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._tasks.get(task.get_name()) is task:
            del self._tasks[task.get_name()]
        error = None if task.cancelled() else task.exception()
        if error and not self._failure.done():
            self._failure.set_exception(error)


def _task_name(site: Site) -> str:
    return f"site {site.name} {id(site)}"
