"""Whatever happens, whenever: at most one job, at least one unless it was not wanted any more, and an end to everything."""

from collections.abc import Awaitable, Callable

import pytest

from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import Phase
from tests.unit.core.build import TOKEN, Draft
from tests.unit.engine.world import LAGS, World

FROM_CONFIG_MAP = Draft().with_spec(script={"configMapKeyRef": {"name": "scripts", "key": "run.sh"}})
ON_THE_CLUSTER = Draft().with_spec(script={"remotePath": "/home/kirby/run.sh"})
TIDY = Draft().with_spec(writeSubmissionFiles=False)

PLACES: dict[str, Draft] = {
    "namespace_annotation": Draft(),
    "of_submission": FROM_CONFIG_MAP,
    "read_script": ON_THE_CLUSTER,
    "fix": Draft(),
    "fix: status": Draft(),
    "fix: answer": Draft(),
    "stage": Draft(),
    "submit": Draft(),
    "sbatch": Draft(),
    "observe": Draft(),
    "account": Draft(),
    "tidy": TIDY,
    "let_go": Draft(),
    "let_go: answer": Draft(),
}
"""Every await of the way, and a submission that comes by there."""

BEFORE_IT_CAN_BE_SENT = ["namespace_annotation", "of_submission", "read_script", "fix", "fix: status", "fix: answer", "stage"]
OVER = ["account", "tidy", "let_go", "let_go: answer"]


async def arrive(world: World, place: str) -> None:
    """Bring a submission to the place, and stop it there."""
    world.gates.close(place)
    world.api.create(PLACES[place])
    await world.gates.reached(place)


def at_most_one_job(world: World) -> bool:
    return len(world.slurm.jobs) <= 1 and world.gates.passed["sbatch"] <= 1


def let_go_of(world: World) -> bool:
    return TOKEN in world.api.gone or FINALIZER not in world.object().finalizers


def assert_gone(world: World, place: str) -> None:
    """Nothing is left of a submission that was deleted at the place, nor does its job run."""
    assert TOKEN in world.api.gone
    assert not world.worker.records
    if place in BEFORE_IT_CAN_BE_SENT:
        assert not world.slurm.jobs
    if place not in OVER:
        assert all(job.cancelled is not None for job in world.slurm.jobs)


async def go_on(world: World, place: str) -> None:
    """Open the gate a while after what happened there, and let everything come to its end."""
    await world.settle(seconds=1 + world.api.watch_lag)
    world.gates.open(place)
    await world.settle()
    assert at_most_one_job(world)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("watch_lag", LAGS)
async def test_a_cancellation_at_any_moment(world: World, watch_lag: float, place: str) -> None:
    world.api.watch_lag = watch_lag
    await arrive(world, place)
    world.api.edit(TOKEN, Draft.cancelled)
    await go_on(world, place)
    assert let_go_of(world)
    if place in BEFORE_IT_CAN_BE_SENT:
        assert not world.slurm.jobs
    if place in OVER:
        assert world.object().status.phase is Phase.DONE
        return
    assert world.object().status.phase is Phase.CANCELLED
    assert all(job.cancelled is not None for job in world.slurm.jobs)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("watch_lag", LAGS)
async def test_a_deletion_at_any_moment(world: World, watch_lag: float, place: str) -> None:
    world.api.watch_lag = watch_lag
    await arrive(world, place)
    world.api.delete(TOKEN)
    await go_on(world, place)
    assert_gone(world, place)


@pytest.mark.parametrize("place", PLACES)
async def test_a_deletion_that_leaves_the_job_at_any_moment(world: World, place: str) -> None:
    await arrive(world, place)
    world.api.edit(TOKEN, Draft.orphaning)
    world.api.delete(TOKEN)
    await go_on(world, place)
    assert TOKEN in world.api.gone
    assert all(job.cancelled is None for job in world.slurm.jobs)


@pytest.mark.parametrize("place", PLACES)
async def test_a_suspension_at_any_moment(world: World, place: str) -> None:
    await arrive(world, place)
    world.api.edit(TOKEN, Draft.suspended)
    await go_on(world, place)
    world.api.edit(TOKEN, lambda draft: draft.suspended(wish=False))
    await world.settle()
    assert at_most_one_job(world)
    assert let_go_of(world)
    assert world.object().status.phase is Phase.DONE


@pytest.mark.parametrize("place", PLACES)
async def test_an_echo_at_any_moment(world: World, place: str) -> None:
    await arrive(world, place)
    for _ in range(3):
        world.api.edit(TOKEN, Draft.echoed)
    await go_on(world, place)
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE


async def kill(world: World) -> None:
    await world.kill()
    await world.settle(seconds=30)
    world.start()


async def lose_the_cluster(world: World) -> None:
    world.worker.configure(None)
    await world.settle(seconds=30)
    world.worker.configure(world.configured)


async def lose_the_network(world: World) -> None:
    world.slurm.reachable = False
    await world.settle(seconds=30)
    world.slurm.reachable = True


async def lose_the_api(world: World) -> None:
    world.api.answers = False
    await world.settle(seconds=30)
    world.api.answers = True


Accident = Callable[[World], Awaitable[None]]
ACCIDENTS: dict[str, Accident] = {
    "the operator is killed": kill,
    "the SlurmCluster is deleted and comes back": lose_the_cluster,
    "no login node answers": lose_the_network,
    "the API server does not answer": lose_the_api,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("accident", ACCIDENTS.values(), ids=ACCIDENTS.keys())
async def test_an_accident_at_any_moment(world: World, accident: Accident, place: str) -> None:
    await arrive(world, place)
    await accident(world)
    await go_on(world, place)
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE
    assert let_go_of(world)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("accident", ACCIDENTS.values(), ids=ACCIDENTS.keys())
async def test_an_accident_at_any_moment_in_which_it_is_also_deleted(world: World, accident: Accident, place: str) -> None:
    await arrive(world, place)
    world.api.delete(TOKEN)
    await accident(world)
    await go_on(world, place)
    assert_gone(world, place)


@pytest.mark.parametrize("place", PLACES)
async def test_an_exception_that_nobody_foresaw_at_any_moment(
    world: World, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.gates.fail(place, lambda: RuntimeError("a mistake of ours"))
    world.api.create(PLACES[place])
    await world.settle()
    assert "a mistake of ours" in caplog.text
    assert len(world.slurm.jobs) == 1
    assert at_most_one_job(world)
    assert world.object().status.phase is Phase.DONE
    assert let_go_of(world)
