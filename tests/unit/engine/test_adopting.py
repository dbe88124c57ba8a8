"""A submission takes over the job of another one that is gone, and of none that is not."""

import asyncio

import pytest

from slurmgate.core.strays import Origin
from slurmgate.resources.base import ADOPT_ANNOTATION
from slurmgate.resources.submission import Phase
from tests.unit.core.build import OTHER_TOKEN, TOKEN, Draft
from tests.unit.engine.slurm import Job
from tests.unit.engine.telling import another
from tests.unit.engine.world import World

GONE = Origin("this-cluster", "lab", "gone", OTHER_TOKEN)


def adopting(draft: Draft) -> Draft:
    return draft.with_metadata(annotations={ADOPT_ANNOTATION: OTHER_TOKEN})


@pytest.fixture
async def left(world: World) -> Job:
    """A job whose submission is gone."""
    job = Job("7", "kirby", OTHER_TOKEN, submitted=asyncio.get_running_loop().time(), held=False)
    world.slurm.jobs.append(job)
    world.slurm.begun.add(OTHER_TOKEN)
    world.slurm.written[OTHER_TOKEN] = GONE
    return job


def message(world: World, token: str = TOKEN) -> str:
    return next(each.message for each in world.object(token).status.conditions if each.type == "Failed")


async def test_it_is_followed_and_nothing_is_submitted(world: World, left: Job) -> None:
    world.api.create(adopting(Draft()))
    await asyncio.sleep(30)
    status = world.object().status
    assert status.slurm
    assert (status.slurm.job_id, status.slurm.token) == (left.id, OTHER_TOKEN)
    assert world.slurm.written[OTHER_TOKEN].uid == TOKEN
    assert world.worker.claims(OTHER_TOKEN)
    await world.settle()
    assert world.object().status.phase is Phase.DONE
    assert world.slurm.jobs == [left]


async def test_one_that_slurm_took_up_again_is_taken_from_the_submission_that_has_ended(world: World, left: Job) -> None:
    world.references.uids["lab", "gone"] = OTHER_TOKEN
    world.references.over.add(OTHER_TOKEN)
    world.api.create(adopting(Draft()))
    await asyncio.sleep(30)
    status = world.object().status
    assert status.slurm
    assert status.slurm.job_id == left.id


@pytest.mark.usefixtures("left")
async def test_two_do_not_get_it(world: World) -> None:
    drafts = [adopting(another(number)) for number in range(2)]
    world.gates.close("belong")
    tokens = [world.api.create(draft) for draft in drafts]
    await asyncio.sleep(5)
    world.gates.open("belong")
    await asyncio.sleep(30)
    phases = [world.object(token).status.phase for token in tokens]
    assert sorted(phase.value for phase in phases if phase) == ["Rejected", "Submitted"]


TAKEN = {
    "its submission is still there": (
        lambda world: world.references.uids.update({("lab", "gone"): OTHER_TOKEN}),
        "is still there",
    ),
    "another Kubernetes cluster has it": (
        lambda world: world.slurm.written.update({OTHER_TOKEN: Origin("elsewhere", "lab", "gone", OTHER_TOKEN)}),
        "another Kubernetes cluster",
    ),
    "there is none": (lambda world: (world.slurm.begun.clear(), world.slurm.jobs.clear()), "Slurm has no job"),
}


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize(("arrange", "words"), TAKEN.values(), ids=TAKEN.keys())
async def test_what_cannot_be_taken_is_refused(world: World, arrange: object, words: str) -> None:
    arrange(world)  # type: ignore[operator]
    before = dict(world.slurm.written)
    world.api.create(adopting(Draft()))
    await asyncio.sleep(30)
    assert world.object().status.phase is Phase.REJECTED
    assert words in message(world)
    assert world.slurm.written == before


async def test_what_cannot_be_asked_is_waited_for(world: World, left: Job) -> None:
    world.gates.close("origins")
    world.api.create(adopting(Draft()))
    await world.gates.reached("origins")
    world.slurm.reachable = False
    world.gates.open("origins")
    await asyncio.sleep(5)
    assert world.object().status.phase is Phase.CREATED
    world.slurm.reachable = True
    await asyncio.sleep(60)
    status = world.object().status
    assert status.slurm
    assert status.slurm.job_id == left.id
