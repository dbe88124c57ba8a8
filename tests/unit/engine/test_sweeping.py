"""The search for jobs whose submission is gone: what it finds, whom it asks, and what it leaves alone."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

import pytest

from slurmgate.core.outcomes import Observation, Seen
from slurmgate.core.strays import Origin
from slurmgate.engine.sweeping import MOST_QUESTIONS, Sweeper
from slurmgate.resources.cluster import StrayJobs
from slurmgate.telemetry.metrics import Metrics
from tests.unit.core.build import OTHER_TOKEN
from tests.unit.engine.gates import Gates
from tests.unit.engine.slurm import FakeSlurm, Job
from tests.unit.engine.world import CLUSTER, FakeReferences, FakeSite

ORIGIN = Origin("this-cluster", "lab", "hello", OTHER_TOKEN)


class Search:
    """A cluster with one job that has lost its submission, and who looks for it."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.slurm = FakeSlurm(self.gates)
        self.site = FakeSite(self.slurm)
        self.references = FakeReferences(self.gates)
        self.metrics = Metrics(version="1")
        self.claims: set[str] = set()
        self.slurm.jobs.append(Job("7", "kirby", OTHER_TOKEN, submitted=asyncio.get_running_loop().time(), held=False))
        self.slurm.written[OTHER_TOKEN] = ORIGIN
        self.sweeper = Sweeper(self.references, claimed=self.claims.__contains__, metrics=self.metrics)

    def cancelling(self) -> None:
        self.site.spec = CLUSTER.model_copy(update={"stray_jobs": StrayJobs.CANCEL})

    async def sweep(self) -> str:
        """What is said of it."""
        await self.sweeper._sweep(self.site)  # type: ignore[arg-type]
        return self.site.strays[-1]

    async def sweep_while(self, happens: Callable[[], object], *, at: str) -> str:
        """What is said of it if this happens when the search is at that place."""
        self.gates.close(at)
        sweep = asyncio.create_task(self.sweep())
        await self.gates.reached(at)
        happens()
        self.gates.open(at)
        return await sweep

    def lose_the_network(self) -> None:
        self.slurm.reachable = False

    @property
    def counted(self) -> float | None:
        return self.metrics.registry.get_sample_value("slurmgate_stray_jobs", {"cluster": "valhalla"})

    @property
    def cancelled(self) -> bool:
        return self.slurm.jobs[0].cancelled is not None


@pytest.fixture
async def search() -> Search:
    return Search()


async def test_it_is_reported(search: Search) -> None:
    assert "Slurm job 7 of kirby: JobSubmission lab/hello" in await search.sweep()
    assert search.counted == 1
    assert not search.cancelled


async def test_one_that_slurm_has_taken_up_again_after_its_end_is_reported(search: Search) -> None:
    search.references.uids["lab", "hello"] = OTHER_TOKEN
    search.references.over.add(OTHER_TOKEN)
    assert "has ended, and Slurm has taken it up again" in await search.sweep()


async def test_one_that_ends_while_it_is_looked_at_is_none(search: Search) -> None:
    search.references.uids["lab", "hello"] = OTHER_TOKEN
    search.references.over.add(OTHER_TOKEN)

    def end() -> None:
        search.slurm.jobs[0].cancelled = asyncio.get_running_loop().time()

    assert await search.sweep_while(end, at="workplaces") == ""


async def test_it_is_cancelled_if_the_cluster_says_so(search: Search) -> None:
    search.cancelling()
    assert "Slurm was asked to cancel it." in await search.sweep()
    assert search.cancelled
    assert await search.sweep() == ""
    assert search.counted == 0


async def test_that_it_could_not_be_cancelled_is_said(search: Search) -> None:
    search.cancelling()
    said = await search.sweep_while(search.lose_the_network, at="cancel")
    assert "It could not be cancelled: login1: no route to host" in said


NONE = {
    "somebody claims it": lambda search: search.claims.add(OTHER_TOKEN),
    "its submission is there": lambda search: search.references.uids.update({("lab", "hello"): OTHER_TOKEN}),
    "it belongs to nobody": lambda search: search.slurm.written.clear(),
    "another Kubernetes cluster submitted it": lambda search: search.slurm.written.update(
        {OTHER_TOKEN: Origin("another-cluster", "lab", "hello", OTHER_TOKEN)}
    ),
}


@pytest.mark.parametrize("arrange", NONE.values(), ids=NONE.keys())
async def test_it_is_none(search: Search, arrange: object) -> None:
    arrange(search)  # type: ignore[operator]
    search.cancelling()
    assert await search.sweep() == ""
    assert not search.cancelled


async def test_another_submission_of_its_name_is_not_its_own(search: Search) -> None:
    search.references.uids["lab", "hello"] = "made anew"
    assert "is gone" in await search.sweep()


@pytest.mark.parametrize("place", ["observe", "origins"])
async def test_what_cannot_be_asked_leaves_what_is_known(search: Search, place: str) -> None:
    await search.sweep()
    assert "Slurm job 7" in await search.sweep_while(search.lose_the_network, at=place)
    assert search.counted == 1


async def test_one_that_is_adopted_while_it_is_looked_at_is_not_cancelled(search: Search) -> None:
    search.cancelling()
    await search.sweep_while(lambda: search.claims.add(OTHER_TOKEN), at="origins")
    assert not search.cancelled


async def test_where_jobs_are_hidden_all_users_have_their_turn(search: Search) -> None:
    search.site.hides_jobs = True
    search.site.users_by_owner = {f"{number}@x.example": f"user{number:02}" for number in range(2 * MOST_QUESTIONS + 5)}
    for looks in (MOST_QUESTIONS, 2 * MOST_QUESTIONS, 2 * MOST_QUESTIONS + 5, 3 * MOST_QUESTIONS + 5):
        await search.sweep()
        assert search.gates.passed["observe"] == looks


async def test_one_who_is_refused_ends_the_search(search: Search) -> None:
    """sshd counts refusals by address."""
    search.site.hides_jobs = True
    search.site.users_by_owner = {f"{number}@x.example": f"user{number}" for number in range(4)}
    search.slurm.locked_out = {"user0", "user1"}
    for looks in (1, 2, 4, 5):  # and the next one goes on behind him
        await search.sweep()
        assert search.gates.passed["observe"] == looks


async def test_what_the_job_says_itself_counts(search: Search) -> None:
    """Somebody else may have asked squeue, and changed its answer."""
    search.cancelling()
    observe = search.slurm.observe

    async def lying(user: str, users: Collection[str] | None) -> Observation:
        answer = await observe(user, users)
        assert isinstance(answer, Seen)
        tasks = {job_id: tuple(replace(row, token=OTHER_TOKEN) for row in rows) for job_id, rows in answer.tasks.items()}
        return Seen(answer.source, tasks)

    search.slurm.observe = lying  # type: ignore[method-assign]
    search.slurm.jobs[0].token = "another-one"
    assert await search.sweep() == ""
    assert not search.cancelled
