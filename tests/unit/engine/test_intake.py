"""What the API server says, on its way to the right worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from slurmgate.core.reasons import Reason
from slurmgate.engine.intake import Intake
from slurmgate.engine.people.people import Residents
from slurmgate.engine.site import Site
from slurmgate.plugins.installed import Plugins
from slurmgate.resources.cluster import SlurmCluster
from slurmgate.resources.submission import Phase
from tests.unit.core.build import (
    TOKEN,
    Draft,
)
from tests.unit.core.life import (
    told,
)
from tests.unit.engine.telling import another
from tests.unit.engine.world import CLUSTER, FakeSite, World, now


class OpenSite(FakeSite):
    """A site that remembers which cluster it is, and whether it runs."""

    def __init__(self, world: World, cluster: SlurmCluster, use: Callable[[Site], None]) -> None:
        super().__init__(world.slurm)
        self.cluster = cluster
        self.runs = False
        self._use = use
        self.name, self.spec = cluster.metadata.name, cluster.spec

    @property
    def uid(self) -> str:
        return self.cluster.metadata.uid

    def describes(self, cluster: SlurmCluster) -> bool:
        mine, other = self.cluster.metadata, cluster.metadata
        return (mine.uid, mine.generation) == (other.uid, other.generation)

    async def run(self) -> None:
        self.runs = True
        try:
            await asyncio.sleep(0.5)  # the mapping is read
            self._use(cast("Site", self))
            await asyncio.Event().wait()
        finally:
            self.runs = False


class Operator:
    """An Intake and the sites it opened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sites: list[OpenSite] = []
        self.intake = Intake(
            sites=self._open,
            outbox=world.api,
            references=world.references,
            objects=None,  # type: ignore[arg-type]
            plugins=Plugins(world.metrics),
            metrics=world.metrics,
            clock=now,
        )

    def _open(self, cluster: SlurmCluster, *, residents: Residents, use: Callable[[Site], None]) -> Site:
        self.sites.append(OpenSite(self.world, cluster, use))
        return cast("Site", self.sites[-1])

    def hears_of_cluster(self, kind: str | None = None, *, spec: Any = None, **metadata: Any) -> None:
        body = {
            "metadata": {
                "name": "valhalla",
                "uid": "cluster-1",
                "generation": 1,
                "resourceVersion": "1",
                "creationTimestamp": "2026-11-22T12:00:00Z",
                **metadata,
            },
            "spec": CLUSTER.wire() if spec is None else spec,
        }
        self.intake.cluster(kind, body)

    def hears_of(self, draft: Draft, kind: str | None = None) -> None:
        if kind != "DELETED":
            self.world.api.create(draft)
        self.intake.submission(kind, draft.body())


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    operator = Operator(World())
    yield operator
    await operator.intake.stop(seconds=5)


async def test_a_submission_waits_for_its_cluster(operator: Operator) -> None:
    operator.hears_of(Draft())
    await asyncio.sleep(60)
    assert operator.world.object().status.phase is Phase.CREATED
    assert told(event for _, event in operator.world.api.events) == [("Warning", Reason.CLUSTER_NOT_FOUND)]
    operator.hears_of_cluster()
    await asyncio.sleep(60)
    assert len(operator.world.slurm.jobs) == 1


async def test_a_cluster_waits_for_its_submissions(operator: Operator) -> None:
    operator.hears_of_cluster()
    operator.hears_of(Draft())
    await asyncio.sleep(60)
    assert len(operator.world.slurm.jobs) == 1


async def test_our_own_status_come_back_opens_no_other_site(operator: Operator) -> None:
    operator.hears_of_cluster()
    operator.hears_of_cluster("MODIFIED", resourceVersion="2")
    assert len(operator.sites) == 1


async def test_an_object_that_goes_in_spite_of_our_finalizer_is_deleted_all_the_same(operator: Operator) -> None:
    operator.hears_of_cluster()
    operator.hears_of(Draft())
    await asyncio.sleep(60)
    gone = operator.world.api.objects.pop(TOKEN).draft
    operator.intake.submission("DELETED", gone.body())
    await asyncio.sleep(60)
    assert [job.cancelled is not None for job in operator.world.slurm.jobs] == [True]
    assert not [record for worker in operator.intake._workers.values() for record in worker.records]


CHANGES: dict[str, dict[str, Any]] = {
    "its spec was edited": {"generation": 2},
    "it was deleted and made again": {"uid": "cluster-2"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_cluster_that_changed_gets_another_site(operator: Operator, change: dict[str, Any]) -> None:
    operator.hears_of_cluster()
    await asyncio.sleep(1)
    operator.hears_of_cluster("MODIFIED", **change)
    await asyncio.sleep(1)
    assert [site.runs for site in operator.sites] == [False, True]


@pytest.mark.parametrize("kind", ["DELETED", "MODIFIED"])
async def test_a_cluster_that_goes_closes_its_site_and_ends_no_job(operator: Operator, kind: str) -> None:
    operator.hears_of_cluster()
    operator.hears_of(Draft())
    await asyncio.sleep(30)
    going = {} if kind == "DELETED" else {"deletionTimestamp": "2026-11-22T12:10:00Z"}
    operator.hears_of_cluster(kind, **going)
    await asyncio.sleep(3600)
    assert not operator.sites[0].runs
    assert operator.world.object().status.phase is Phase.SUBMITTED
    operator.hears_of_cluster(uid="cluster-2")
    await asyncio.sleep(3600)
    assert operator.world.object().status.phase is Phase.DONE


async def test_the_end_of_an_earlier_life_of_a_name_ends_no_later_one(operator: Operator) -> None:
    operator.hears_of_cluster()
    operator.hears_of_cluster(uid="cluster-2")
    operator.hears_of_cluster("DELETED")
    await asyncio.sleep(1)
    assert [site.runs for site in operator.sites] == [False, True]


async def test_what_cannot_be_read_is_rejected_and_the_others_are_served(operator: Operator) -> None:
    operator.hears_of_cluster()
    bad = Draft().with_spec(files=[{"name": "x", "inlineBase64": "abc"}])
    operator.hears_of(bad)
    operator.hears_of(Draft().with_metadata(name="other", uid="00000002-0000-4000-8000-000000000000"))
    await asyncio.sleep(60)
    stored = operator.world.object()
    assert stored.status.phase is Phase.REJECTED
    (event,) = (event for token, event in operator.world.api.events if token == TOKEN)
    assert event.reason is Reason.INVALID_SPEC
    assert "inlineBase64" in event.message
    assert len(operator.world.slurm.jobs) == 1


OTHER = Draft().with_metadata(name="other", uid="00000002-0000-4000-8000-000000000000")


@pytest.mark.parametrize("spec", [{}, CLUSTER.wire() | {"strayJobs": "Explode"}], ids=["nothing there", "unknown words"])
async def test_a_cluster_that_cannot_be_read_is_said_and_skipped_and_the_others_are_served(
    operator: Operator, spec: Any
) -> None:
    operator.hears_of_cluster(name="niflheim", uid="cluster-2", spec=spec)
    operator.hears_of_cluster()
    operator.hears_of(Draft())
    await asyncio.sleep(60)
    assert len(operator.world.slurm.jobs) == 1
    assert [name for name, _ in operator.world.api.refused_clusters] == ["niflheim"]
    operator.hears_of_cluster("DELETED", spec=spec)  # one that was read goes all the same
    await asyncio.sleep(1)
    assert not operator.sites[0].runs


async def test_what_is_missing_from_a_list_is_gone(operator: Operator) -> None:
    operator.hears_of_cluster()
    operator.hears_of_cluster(name="niflheim", uid="cluster-2")
    for draft in (Draft(), OTHER):
        operator.hears_of(draft)
    await asyncio.sleep(60)
    (worker,) = (worker for worker in operator.intake._workers.values() if worker.name == "valhalla")
    operator.intake.only_clusters(frozenset({"cluster-1"}))
    operator.intake.only_submissions(frozenset({TOKEN}))
    await asyncio.sleep(1)
    assert [site.runs for site in operator.sites] == [True, False]
    assert [record.token for record in worker.records] == [TOKEN]
    assert not worker.claims(OTHER.body()["metadata"]["uid"])  # its job is a stray


@pytest.mark.parametrize("how", ["seen", "missing from a list"])
async def test_what_is_gone_is_forgotten(operator: Operator, how: str) -> None:
    operator.hears_of_cluster()
    operator.hears_of(Draft().with_spec(script={"configMapKeyRef": {"name": "nothing", "key": "there"}}))
    await asyncio.sleep(10)
    if how == "seen":
        operator.hears_of(Draft(), "DELETED")
    else:
        operator.intake.only_submissions(frozenset())
    looked = operator.world.gates.passed["of_submission"]
    await asyncio.sleep(3600)
    assert operator.world.gates.passed["of_submission"] == looked


async def test_clusters_that_are_only_dreamt_of_leave_nothing(operator: Operator) -> None:
    before = len(asyncio.all_tasks())
    drafts = [another(number, clusterRef={"name": f"dream-{number}"}) for number in range(100)]
    for draft in drafts:
        operator.hears_of(draft)
    await asyncio.sleep(60)
    assert len(asyncio.all_tasks()) - before <= 4 * len(drafts)
    for draft in drafts:
        operator.hears_of(draft, "DELETED")
    await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == before


async def test_clusters_do_not_wait_for_each_other(operator: Operator) -> None:
    operator.hears_of_cluster()
    elsewhere = Draft().with_metadata(name="elsewhere", uid="00000003-0000-4000-8000-000000000000")
    operator.hears_of(elsewhere.with_spec(clusterRef={"name": "niflheim"}))
    operator.hears_of(Draft())
    await asyncio.sleep(60)
    assert [job.token for job in operator.world.slurm.jobs] == [TOKEN]


async def test_the_end_waits_for_what_is_under_way_but_not_for_ever(operator: Operator) -> None:
    operator.hears_of_cluster()
    operator.world.gates.close("stage")
    operator.hears_of(Draft())
    await operator.world.gates.reached("stage")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await operator.intake.stop(seconds=5)
    assert 4 < loop.time() - began < 6
    assert not operator.sites[0].runs
    assert not operator.world.slurm.jobs


async def test_two_clusters_cannot_have_one_client_in_jobbergate(operator: Operator) -> None:
    jobbergate = {
        "url": "https://api.example.org",
        "oidcUrl": "https://issuer.example.org/realms/site",
        "clientId": "valhalla",
        "clientSecretRef": {"name": "client", "key": "secret"},
        "namespace": "jobbergate",
    }
    operator.hears_of_cluster(spec={**CLUSTER.wire(), "jobbergate": jobbergate})
    again = {**jobbergate, "url": "https://api.example.org/jobbergate/", "namespace": "elsewhere"}
    operator.hears_of_cluster(spec={**CLUSTER.wire(), "jobbergate": again}, name="niflheim", uid="cluster-2")
    other = {**jobbergate, "clientId": "niflheim"}
    operator.hears_of_cluster(spec={**CLUSTER.wire(), "jobbergate": other}, name="asgard", uid="cluster-3")
    ((name, problem),) = operator.world.api.refused_clusters
    assert (name, "SlurmCluster valhalla" in problem) == ("niflheim", True)
