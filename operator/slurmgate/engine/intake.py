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
from slurmgate.engine.hooking import Hooks
from slurmgate.engine.jobbergate.objects import Objects
from slurmgate.engine.ports import Outbox, References
from slurmgate.engine.site import Site, SiteFactory
from slurmgate.plugins.installed import Plugins
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.cluster import SlurmCluster, SlurmClusterSpec
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
        objects: Objects,
        plugins: Plugins,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._open_site = sites
        self._outbox = outbox
        self._references = references
        self._objects = objects
        self._plugins = plugins
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
        overlooked = FINALIZER in metadata.finalizers and metadata.deletion_timestamp is None
        if kind == "DELETED" and not overlooked:
            self._forget(worker, metadata.uid)
            return
        try:
            submission = JobSubmission.model_validate(body)
        except ValidationError as error:
            self._refuse(metadata, body, error)
            return
        # A DELETE that had read the object before it got our finalizer takes it away all the same (kube-apiserver,
        # registry/generic/registry/store.go): the person's wish counts although there is no object any more.
        worker.receive(submission.being_deleted(self._clock()) if kind == "DELETED" else submission)

    def only_submissions(self, uids: frozenset[str]) -> None:
        """There are no JobSubmissions but these: what else is held went while nobody saw it."""
        if self._stopping:
            return
        for worker in tuple(self._workers.values()):
            self._forget(worker, *(record.token for record in worker.records if record.token not in uids))

    def cluster(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """A SlurmCluster is there, has changed, or is gone (`DELETED`)."""
        if self._stopping:
            return
        metadata = Metadata.model_validate(body["metadata"])
        name = metadata.name
        before = self._sites.get(name)
        if kind == "DELETED" or metadata.deletion_timestamp is not None:
            if before and before.uid == metadata.uid:  # else the end of an earlier life of that name
                self._close(before)
            return
        try:
            cluster = SlurmCluster.model_validate(body)
        except ValidationError as error:
            self._outbox.refuse_cluster(metadata, _words(error))
            return
        if before and before.describes(cluster):
            return  # our own status, come back
        if rival := self._rival(cluster):
            problem = f"spec.jobbergate: its client is that of SlurmCluster {rival}; each would submit what waits there"
            self._outbox.refuse_cluster(metadata, problem)
            return
        worker = self._worker(name)
        # The site before serves until the new one has read what it needs.
        site = self._sites[name] = self._open_site(cluster, residents=worker.residents, use=partial(self._use, worker))
        self._start(_task_name(site), site.run)
        worker.expect()

    def _rival(self, cluster: SlurmCluster) -> str | None:
        """Another SlurmCluster that has the same client in Jobbergate."""
        wanted = _binding(cluster.spec)
        others = (site for name, site in self._sites.items() if name != cluster.metadata.name)
        return next((site.name for site in others if wanted and wanted == _binding(site.spec)), None)

    def only_clusters(self, uids: frozenset[str]) -> None:
        """There are no SlurmClusters but these: what else is used went while nobody saw it."""
        if self._stopping:
            return
        for site in [site for site in self._sites.values() if site.uid not in uids]:
            self._close(site)

    def _close(self, site: Site) -> None:
        """The site's SlurmCluster is gone."""
        worker = self._worker(site.name)
        del self._sites[site.name]
        worker.configure(None)
        self._end_sites(site.name, but=None)
        self._metrics.forget_cluster(site.name)
        self._retire(worker)

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
        refusal = Refused(Reason.INVALID_SPEC, _words(error))
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
                objects=self._objects,
                hooks=Hooks(self._plugins.hooks()),
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

    def _forget(self, worker: ClusterWorker, *uids: str) -> None:
        """These submissions are gone."""
        for uid in uids:
            worker.forget(uid)
        self._retire(worker)

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


def _words(error: ValidationError) -> str:
    """What is wrong first, without what stands there: it may be secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"


def _binding(spec: SlurmClusterSpec) -> tuple[str, str] | None:
    """Which Jobbergate's submissions it runs."""
    jobbergate = spec.jobbergate
    return (jobbergate.url.rstrip("/").removesuffix("/jobbergate"), jobbergate.client_id) if jobbergate else None


def _task_name(site: Site) -> str:
    return f"site {site.name} {id(site)}"
