"""One cluster's worker in a whole world: what it asks, what it tells, what it does not do."""

import pytest

from slurmgate.core.reasons import Reason
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import Phase
from tests.unit.core.build import (
    TOKEN,
    Draft,
)
from tests.unit.engine.telling import FROM_CONFIG_MAP, events, writes
from tests.unit.engine.world import LAGS, World


async def test_a_normal_life_is_four_writes_and_a_finalizer(world: World) -> None:
    world.api.create(Draft())
    await world.settle()
    assert writes(world) == [
        ("Created", None, "Submitting"),
        ("Submitted", "PENDING", "Submitted"),
        ("Submitted", "RUNNING", "Running"),
        ("Done", "COMPLETED", "Completed"),
    ]
    assert FINALIZER not in world.object().finalizers
    assert events(world) == [("Normal", Reason.SUBMITTED), ("Normal", Reason.RUNNING), ("Normal", Reason.COMPLETED)]


async def test_a_slow_api_server_is_not_told_twice(world: World) -> None:
    world.gates.close("fix: answer")
    world.api.create(Draft())
    await world.gates.reached("fix: answer")
    await world.settle(seconds=3)
    world.gates.open("fix: answer")
    await world.settle()
    told = writes(world)
    assert len(told) == len(set(told))


async def test_each_thing_is_asked_once(world: World) -> None:
    world.api.create(Draft())
    await world.settle()
    once = ("namespace_annotation", "fix", "stage", "submit", "let_go")
    assert {place: world.gates.passed[place] for place in once} == dict.fromkeys(once, 1)
    assert not world.gates.passed["find"]


async def test_the_finalizer_and_the_user_stand_in_the_api_before_sbatch_is_run(world: World) -> None:
    world.gates.close("submit")
    world.api.create(Draft())
    await world.gates.reached("submit")
    assert FINALIZER in world.object().finalizers
    assert world.object().status.user == "kirby"
    world.gates.open("submit")


async def test_nothing_is_done_for_what_is_over(world: World) -> None:
    world.api.create(Draft())
    await world.settle()
    before = sum(world.gates.passed.values())
    world.api.edit(TOKEN, Draft.echoed)
    await world.kill()
    world.start()
    await world.settle()
    assert sum(world.gates.passed.values()) == before
    assert not world.worker.records


async def test_a_submission_that_is_created_cancelled_is_told_so(world: World) -> None:
    world.api.create(Draft().with_spec(cancel=True))
    await world.settle()
    assert writes(world) == [("Cancelled", None, "Cancelled")]
    assert not world.gates.passed["namespace_annotation"]


async def test_a_submission_cancelled_while_no_operator_ran_is_told_so(world: World) -> None:
    world.references.content.clear()
    world.api.create(FROM_CONFIG_MAP)
    await world.settle(seconds=10)
    await world.kill()
    world.api.edit(TOKEN, Draft.cancelled)
    world.start()
    await world.settle()
    assert writes(world)[-1] == ("Cancelled", None, "Cancelled")


@pytest.mark.parametrize("watch_lag", LAGS)
async def test_what_is_edited_after_the_end_is_answered(world: World, watch_lag: float) -> None:
    world.api.watch_lag = watch_lag
    world.api.create(Draft())
    await world.settle()
    world.api.edit(TOKEN, lambda draft: draft.edited(readyWhen="Running"))
    await world.settle(seconds=10)
    assert world.object().status.observed_generation == 2
    assert world.object().status.phase is Phase.DONE
