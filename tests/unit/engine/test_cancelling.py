"""Many jobs are cancelled by few commands, and nobody's trouble is anybody else's."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from typing_extensions import override

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import Phase
from tests.unit.core.build import Draft
from tests.unit.engine.slurm import FakeSlurm
from tests.unit.engine.telling import another
from tests.unit.engine.world import World

MANY = 60
OTHER_TOKEN = "0b4bd4d2-13d7-4f2b-8a1c-5f0f5d2a9c11"
FORBIDDEN = Refused(Reason.COMMAND_FAILED, "scancel: error: Kill job error on job id 1: Access/permission denied")


async def submitted(world: World, drafts: list[Draft]) -> list[str]:
    """Their tokens, once all are in the queue."""
    tokens = [world.api.create(draft) for draft in drafts]
    await asyncio.sleep(30)
    assert {job.token for job in world.slurm.jobs} == set(tokens)
    return tokens


def cancel(world: World, tokens: list[str]) -> None:
    for token in tokens:
        world.api.edit(token, Draft.cancelled)


def cancelled(world: World) -> set[str]:
    return {job.token for job in world.slurm.jobs if job.cancelled is not None}


async def test_what_is_asked_for_while_one_scancel_runs_goes_with_the_next(world: World) -> None:
    tokens = await submitted(world, [another(number) for number in range(MANY)])
    world.gates.close("cancel")
    cancel(world, tokens[:1])
    await world.gates.reached("cancel")
    cancel(world, tokens[1:])
    await asyncio.sleep(5)
    world.gates.open("cancel")
    await asyncio.sleep(5)
    assert cancelled(world) == set(tokens)
    assert world.gates.passed["cancel"] == 2


async def test_a_user_whose_login_hangs_holds_up_nobody_else(world: World) -> None:
    mine, theirs = await submitted(world, [another(1), another(2, owner="mario@nintendo.example")])
    world.gates.close("cancel")
    cancel(world, [mine])
    await world.gates.reached("cancel")
    hanging = world.gates.release_others("cancel")
    cancel(world, [theirs])
    await asyncio.sleep(5)
    assert cancelled(world) == {theirs}
    hanging.set()
    await asyncio.sleep(5)
    assert cancelled(world) == {mine, theirs}


async def test_one_that_cannot_be_cancelled_says_so_and_the_others_are(world: World) -> None:
    class Stubborn(FakeSlurm):
        @override
        async def cancel(self, user: str, job_ids: Sequence[str]) -> Mapping[str, NotNow | Refused]:
            await super().cancel(user, [job_id for job_id in job_ids if job_id != "1"])
            return {"1": FORBIDDEN} if "1" in job_ids else {}

    tokens = await submitted(world, [another(number) for number in range(3)])
    world.slurm.__class__ = Stubborn
    cancel(world, tokens)
    await asyncio.sleep(5)
    stubborn = next(job.token for job in world.slurm.jobs if job.id == "1")
    assert cancelled(world) == set(tokens) - {stubborn}
    status = world.object(stubborn).status
    assert status.phase is Phase.SUBMITTED
    assert FORBIDDEN.message in {condition.message for condition in status.conditions}


async def test_a_job_that_has_the_id_of_ours_now_is_left_alone(world: World) -> None:
    """slurmctld has begun anew, and counts from one again."""
    mine, theirs = await submitted(world, [another(1), another(2)])
    world.slurm.jobs_of(mine)[0].token = OTHER_TOKEN
    cancel(world, [mine, theirs])
    await asyncio.sleep(5)
    assert cancelled(world) == {theirs}


@pytest.mark.parametrize("ours", [True, False])
async def test_neither_is_it_let_go(world: World, ours: bool) -> None:
    (mine,) = await submitted(world, [another(1).suspended()])
    (job,) = world.slurm.jobs_of(mine)
    if not ours:
        job.token = OTHER_TOKEN
    world.api.edit(mine, lambda draft: draft.suspended(wish=False))
    await asyncio.sleep(5)
    assert job.held is not ours
    job.token = mine  # as when slurmctld is restored
    await asyncio.sleep(60)
    assert not job.held


async def test_the_service_user_cancels_and_holds_where_the_user_cannot_log_in(world: World) -> None:
    (token,) = await submitted(world, [another(1)])
    world.slurm.locked_out.add("kirby")
    cancel(world, [token])
    await asyncio.sleep(60)
    assert cancelled(world) == set()
    world.site.service_users.append("jarvice")
    await asyncio.sleep(600)
    assert cancelled(world) == {token}
