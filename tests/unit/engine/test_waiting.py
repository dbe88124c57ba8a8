"""What cannot be sent, or not yet, or perhaps was: said once, and never sent twice."""

import asyncio
from collections.abc import Callable

import pytest

from slurmgate.core.outcomes import NotNow
from slurmgate.core.reasons import Reason
from slurmgate.resources.access import Access
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import Phase
from tests.unit.core.build import (
    TOKEN,
    Draft,
)
from tests.unit.engine.slurm import Sbatch
from tests.unit.engine.telling import FROM_CONFIG_MAP, another, events, writes
from tests.unit.engine.world import LAGS, World


def limit(world: World, **access: object) -> None:
    """Say who may use the cluster, and what of it."""
    rules = Access.model_validate(access)
    world.site.spec = world.site.spec.model_copy(update={"access": rules})


REFUSALS: dict[str, tuple[Callable[[World], object], Draft, Reason]] = {
    "the namespace allows nobody": (lambda world: setattr(world.references, "owners", None), Draft(), Reason.OWNER_NOT_ALLOWED),
    "the cluster is not for this namespace": (lambda world: limit(world, namespaces=["office"]), Draft(), Reason.ACCESS_DENIED),
    "the cluster is not for this owner": (lambda world: limit(world, owners=["*@sega.example"]), Draft(), Reason.ACCESS_DENIED),
    "slurm's default may be any": (lambda world: limit(world, partitions=["cpu"]), Draft(), Reason.ACCESS_DENIED),
    "an option is not allowed": (
        lambda world: None,
        Draft().with_spec(sbatchArguments=["--uid=0"]),
        Reason.OPTION_NOT_ALLOWED,
    ),
    "the array makes no sense": (lambda world: None, Draft().with_spec(array="9-1"), Reason.INVALID_SPEC),
    "sbatch refuses it": (lambda world: setattr(world.slurm, "sbatch", "refuses"), Draft(), Reason.SUBMIT_REJECTED),
}


@pytest.mark.parametrize(("arrange", "draft", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
@pytest.mark.parametrize("watch_lag", [0.001, 0.05, 5.0])
async def test_a_refusal_is_said_once_and_is_the_end(
    world: World, arrange: Callable[[World], object], draft: Draft, reason: Reason, watch_lag: float
) -> None:
    world.api.watch_lag = watch_lag
    arrange(world)
    world.api.create(draft)
    await world.settle()
    assert world.object().status.phase is Phase.REJECTED
    assert events(world) == [("Warning", reason)]
    assert [write[2] for write in writes(world)].count(reason) == 1
    assert FINALIZER not in world.object().finalizers
    assert not world.slurm.jobs


async def test_an_owner_without_an_entry_is_refused_once(world: World) -> None:
    world.site.users_by_owner.clear()
    world.api.create(Draft())
    await world.settle()
    assert world.object().status.phase is Phase.REJECTED
    assert events(world) == [("Warning", Reason.USER_NOT_MAPPED)]
    assert len(writes(world)) <= 2


async def test_while_slurmctld_is_known_to_be_down_it_is_left_alone(world: World) -> None:
    runs = world.api.create(another(1))
    await world.settle(seconds=20)
    world.slurm.sbatch = "answer is lost"
    world.api.create(another(2))
    await asyncio.sleep(1)
    world.site.controller_down = NotNow(Reason.CONTROLLER_UNAVAILABLE, "Unable to contact slurm controller")
    await asyncio.sleep(10)
    before = dict(world.gates.passed)
    world.api.create(Draft())
    world.api.edit(runs, Draft.cancelled)
    await asyncio.sleep(600)
    asked = {place: number - before.get(place, 0) for place, number in world.gates.passed.items()}
    assert {asked.get(place, 0) for place in ("stage", "sbatch", "observe", "find", "cancel")} == {0}
    assert writes(world)[-1][2] == Reason.CONTROLLER_UNAVAILABLE
    world.site.controller_down, world.slurm.sbatch = None, "answers"
    world.worker.wake()
    await world.settle()
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}


async def test_the_mapping_may_come_a_moment_after_the_submission(world: World) -> None:
    world.site.users_by_owner, users = {}, world.site.users_by_owner
    world.api.create(Draft())
    await world.settle(seconds=1)
    world.site.users_by_owner = users
    world.worker.wake()
    await world.settle()
    assert world.object().status.phase is Phase.DONE


WAITS: dict[str, tuple[Callable[[World], object], Callable[[World], object], Reason]] = {
    "the ConfigMap is not there yet": (
        lambda world: world.references.content.clear(),
        lambda world: world.references.content.update({"scripts/run.sh": b"#!/bin/sh\n"}),
        Reason.REFERENCE_NOT_FOUND,
    ),
    "the mapping is not read yet": (
        lambda world: setattr(world.site, "mapping_is_there", False),
        lambda world: setattr(world.site, "mapping_is_there", True),
        Reason.MAPPING_NOT_LOADED,
    ),
    "no login node answers": (
        lambda world: setattr(world.slurm, "reachable", False),
        lambda world: setattr(world.slurm, "reachable", True),
        Reason.CLUSTER_UNREACHABLE,
    ),
    "there is no SlurmCluster": (
        lambda world: world.worker.configure(None),
        lambda world: world.worker.configure(world.configured),
        Reason.CLUSTER_NOT_FOUND,
    ),
}


@pytest.mark.parametrize(("spoil", "mend", "reason"), WAITS.values(), ids=WAITS.keys())
async def test_what_is_missing_is_said_once_and_waited_for(
    world: World, spoil: Callable[[World], object], mend: Callable[[World], object], reason: Reason
) -> None:
    spoil(world)
    world.api.create(FROM_CONFIG_MAP)
    await world.settle(seconds=3600)
    assert world.object().status.phase is Phase.CREATED
    assert events(world) == [("Warning", reason)]
    assert len(writes(world)) <= 2
    mend(world)
    world.worker.wake()
    await world.settle(seconds=30)
    assert world.slurm.jobs
    await world.settle()
    assert world.object().status.phase is Phase.DONE


async def test_what_is_missing_is_looked_for_ever_more_seldom(world: World) -> None:
    world.references.content.clear()
    world.api.create(FROM_CONFIG_MAP)
    await world.settle(seconds=24 * 3600)
    assert 24 * 3600 / 150 <= world.gates.passed["of_submission"] <= 24 * 3600 / 120 + 10


@pytest.mark.parametrize("sbatch", ["answer is lost", "answer is lost, is not run", "is not run"])
async def test_an_answer_that_is_lost_never_makes_a_second_job(world: World, sbatch: Sbatch) -> None:
    world.slurm.sbatch = sbatch
    world.api.create(Draft())
    await world.settle(seconds=600)
    world.slurm.sbatch = "answers"
    await world.settle()
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE


async def test_a_command_that_was_long_on_its_way_makes_no_second_job(world: World) -> None:
    world.slurm.arrives_late = 120.0
    world.api.create(Draft())
    await world.settle(seconds=90)
    world.slurm.arrives_late = 0.0
    await world.settle()
    assert len(world.slurm.jobs) == 1
    assert world.object().status.phase is Phase.DONE


async def test_what_nobody_knows_stays_unknown_until_somebody_answers(world: World) -> None:
    world.slurm.sbatch = "answer is lost"
    world.gates.close("sbatch")
    world.api.create(Draft())
    await world.gates.reached("sbatch")
    world.slurm.reachable = False
    world.gates.open("sbatch")
    await world.settle(seconds=7200)
    assert writes(world)[-1] == ("Created", None, "SubmissionUnknown")
    assert world.gates.passed["submit"] == 1
    world.slurm.reachable = True
    await world.settle()
    assert world.object().status.phase is Phase.DONE
    assert world.gates.passed["submit"] == 1


async def test_a_mistake_of_ours_that_stays_is_tried_again_slowly(world: World) -> None:
    world.gates.always_fail("submit", RuntimeError)
    world.api.create(Draft())
    await world.settle(seconds=20)
    assert world.gates.passed["submit"] == 1


@pytest.mark.parametrize("watch_lag", LAGS)
async def test_a_job_that_could_not_be_cancelled_is_told_of_once(world: World, watch_lag: float) -> None:
    world.api.watch_lag = watch_lag
    world.api.create(Draft())
    await world.settle(seconds=20)
    world.slurm.reachable = False
    world.api.delete(TOKEN)
    await world.settle()
    assert TOKEN in world.api.gone
    assert [event.message for _, event in world.api.events if "may still run" in event.message] == [
        "Could not cancel Slurm job 1 within 600 s; it may still run. slurm_load_jobs error: Unable to contact slurm controller"
    ]
    assert not world.worker.records


async def test_what_was_let_go_stays_let_go_while_somebody_else_keeps_the_object(world: World) -> None:
    world.api.create(Draft().with_metadata(finalizers=["else.example/x"]))
    await world.settle(seconds=20)
    world.api.edit(TOKEN, Draft.orphaning)
    world.api.delete(TOKEN)
    await world.settle()
    assert world.object().finalizers == ["else.example/x"]
    asked, told_of = dict(world.gates.passed), len(world.api.events)
    world.api.edit(TOKEN, Draft.echoed)
    await world.settle()
    assert (dict(world.gates.passed), len(world.api.events)) == (asked, told_of)
    assert world.slurm.jobs[0].cancelled is None
