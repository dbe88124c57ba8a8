"""Several submissions at once, and the end of a worker."""

import pytest

from slurmgate.engine.cluster import AT_WORK, AT_WORK_PER_OWNER
from slurmgate.engine.weight import weight
from slurmgate.resources.submission import Phase
from tests.unit.core.build import (
    Draft,
)
from tests.unit.engine.telling import another
from tests.unit.engine.world import World


async def test_a_slow_submission_does_not_hold_up_the_others(world: World) -> None:
    world.gates.close("stage")
    world.api.create(another(1))
    await world.gates.reached("stage")
    slow = world.gates.release_others("stage")
    world.api.create(another(2))
    await world.settle()
    assert [job.token for job in world.slurm.jobs] == [str(another(2).metadata["uid"])]
    slow.set()
    await world.settle()
    assert len(world.slurm.jobs) == 2


FROM_CONFIG_MAP = {"configMapKeyRef": {"name": "scripts", "key": "run.sh"}}
FIT = -(-AT_WORK // weight(another(0, script=FROM_CONFIG_MAP).build().spec))
OWNERS = [f"user{number}@nintendo.example" for number in range(2 * FIT)]


@pytest.mark.slow
async def test_many_are_worked_on_at_once_but_not_more_than_there_is_room_for(world: World) -> None:
    world.site.users_by_owner |= {owner: owner.partition("@")[0] for owner in OWNERS}
    world.gates.close("stage")
    for number, owner in enumerate(OWNERS):
        world.api.create(another(number, owner=owner, script=FROM_CONFIG_MAP))
    await world.settle(seconds=60)
    assert world.gates.passed["stage"] == FIT
    world.gates.open("stage")
    await world.settle()
    assert len(world.slurm.jobs) == len(OWNERS)
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}
    assert len({job.token for job in world.slurm.jobs}) == len(OWNERS)


async def test_who_has_many_that_hang_keeps_nobody_waiting(world: World) -> None:
    world.gates.close("stage")
    for number in range(100):
        world.api.create(another(number))
    await world.settle(seconds=60)
    assert world.gates.passed["stage"] == AT_WORK_PER_OWNER
    hanging = world.gates.release_others("stage")
    world.api.create(another(100, owner="mario@nintendo.example"))
    await world.settle(seconds=60)
    assert [job.user for job in world.slurm.jobs] == ["mario"]
    hanging.set()
    await world.settle()
    assert len(world.slurm.jobs) == 101


@pytest.mark.slow
@pytest.mark.parametrize("over", ["rejected", "done"])
async def test_nothing_stays_in_memory_of_what_is_over(world: World, over: str) -> None:
    world.references.owners = None if over == "rejected" else world.references.owners
    for number in range(300):
        world.api.create(another(number))
    await world.settle()
    worker, queue = world.worker, world.worker._queue
    assert {stored.status.phase for stored in world.api.objects.values()} == {
        Phase.REJECTED if over == "rejected" else Phase.DONE
    }
    assert not any((worker._records, worker._specs, queue._waiting, queue._working, queue._busy, queue._pending))


async def test_questions_to_slurm_do_not_grow_with_the_number_of_jobs(world: World) -> None:
    for number in range(40):
        world.api.create(another(number, owner="mario@nintendo.example" if number % 2 else "kirby@nintendo.example"))
    await world.settle(seconds=100)
    assert world.gates.passed["observe"] <= 100 / 5 + 1
    await world.settle()
    assert world.gates.passed["account"] <= 10
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}


async def test_where_jobs_are_hidden_each_user_asks(world: World) -> None:
    world.site.hides_jobs = True
    for number, owner in enumerate(("kirby@nintendo.example", "mario@nintendo.example")):
        world.api.create(another(number, owner=owner))
    await world.settle()
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}


# The end -------------------------------------------------------------------------------------------------------------


async def test_a_worker_that_is_stopped_finishes_what_is_under_way_and_begins_nothing_new(world: World) -> None:
    world.gates.close("stage")
    world.api.create(another(1))
    await world.gates.reached("stage")
    world.worker.stop()
    world.gates.open("stage")
    world.api.create(another(2))
    await world.stop()
    assert [job.token for job in world.slurm.jobs] == [str(another(1).metadata["uid"])]
    passed = dict(world.gates.passed)
    await world.settle()
    assert dict(world.gates.passed) == passed
    assert passed["stage"] == 1


async def test_an_idle_worker_stops_at_once(world: World) -> None:
    began = world.time
    await world.stop()
    assert world.time - began < 1


@pytest.mark.parametrize("place", ["namespace_annotation", "fix", "stage", "submit", "sbatch"])
async def test_a_worker_stopped_at_any_step_leaves_nothing_half_done(world: World, place: str) -> None:
    world.gates.close(place)
    world.api.create(Draft())
    await world.gates.reached(place)
    world.worker.stop()
    world.gates.open(place)
    await world.stop()
    await world.settle(seconds=1)
    slurm = world.object().status.slurm
    assert [job.id for job in world.slurm.jobs] == ([slurm.job_id] if slurm and slurm.job_id else [])
    world.start()
    await world.settle()
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE


async def test_numbers_for_prometheus_add_up(world: World) -> None:
    for number in range(3):
        world.api.create(another(number))
    await world.settle(seconds=20)
    assert _value(world, "slurmgate_submissions", phase="Submitted") == 3
    await world.settle()
    assert _value(world, "slurmgate_submissions", phase="Submitted") == 0
    assert _value(world, "slurmgate_submissions_ended_total", phase="Done") == 3


def _value(world: World, name: str, **labels: str) -> float | None:
    return world.metrics.registry.get_sample_value(name, {"cluster": "valhalla", **labels})
