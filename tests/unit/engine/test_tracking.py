"""The tracker: one look for all jobs, and nothing concluded from silence."""

from datetime import datetime
from typing import Any

import pytest

from slurmgate.core import following
from slurmgate.core.decision import Decision
from slurmgate.core.outcomes import Seen
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.resources.submission import Phase
from tests.unit.core.build import (
    TOKEN,
    Draft,
)
from tests.unit.core.life import shown
from tests.unit.engine.slurm import RUNS
from tests.unit.engine.telling import another
from tests.unit.engine.world import CLUSTER, World


async def running(world: World) -> None:
    world.api.create(Draft())
    await world.settle(seconds=20)
    slurm = world.object().status.slurm
    assert slurm
    assert slurm.state == "RUNNING"


async def test_nobody_is_asked_while_there_is_no_job(world: World) -> None:
    await world.settle(seconds=600)
    assert not world.gates.passed


async def test_the_longer_nothing_changes_the_more_seldom_slurm_is_asked_and_at_once_again_when_something_does(
    world: World,
) -> None:
    limits = CLUSTER.limits.model_copy(update={"idle_poll_interval_seconds": 30})
    world.site.spec = CLUSTER.model_copy(update={"limits": limits})
    world.api.create(Draft().with_spec(suspend=True))

    async def looks(*, seconds: float) -> int:
        before = world.gates.passed["observe"]
        await world.settle(seconds=seconds)
        return world.gates.passed["observe"] - before

    assert await looks(seconds=50) >= 9
    await world.settle(seconds=1000)
    assert await looks(seconds=300) == 10
    world.api.create(another(1, suspend=True))
    assert await looks(seconds=50) >= 9


async def test_a_cluster_that_is_silent_for_a_day_changes_no_phase(world: World) -> None:
    await running(world)
    written = len(world.object().statuses)
    world.slurm.reachable = False
    await world.settle(seconds=24 * 3600)
    assert world.object().status.phase is Phase.SUBMITTED
    assert len(world.object().statuses) == written
    assert Reason.CONTROLLER_UNAVAILABLE in world.site.ill
    world.slurm.reachable = True
    await world.settle(seconds=20)
    assert world.object().status.phase is Phase.DONE


async def test_what_the_queue_goes_on_showing_is_thought_about_once_and_a_change_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    thought: list[str] = []
    decide = following.queue_seen

    def counted(record: Record, seen: Seen, now: datetime) -> Decision:
        thought.append(record.name)
        return decide(record, seen, now)

    monkeypatch.setattr(following, "queue_seen", counted)
    world.api.create(Draft().with_spec(suspend=True))
    await world.settle(seconds=30)
    thought.clear()
    looks = world.gates.passed["observe"]
    await world.settle(seconds=300)
    assert world.gates.passed["observe"] >= looks + 50
    assert thought == []
    world.api.edit(TOKEN, lambda draft: draft.suspended(wish=False))
    await world.settle(seconds=300)
    assert thought
    assert world.object().status.phase is Phase.DONE


async def test_accounting_that_is_silent_loses_no_end_that_squeue_has_not_shown(world: World) -> None:
    await running(world)
    world.slurm.reachable = world.slurm.accounting_answers = False
    await world.settle(seconds=24 * 3600)
    world.slurm.reachable = True
    await world.settle(seconds=3600)
    assert world.object().status.phase is Phase.SUBMITTED
    assert Reason.ACCOUNTING_UNAVAILABLE in world.site.ill
    world.slurm.accounting_answers = True
    await world.settle(seconds=20)
    assert world.object().status.phase is Phase.DONE


async def test_accounting_is_asked_only_for_what_left_the_queue(world: World) -> None:
    await running(world)
    assert not world.gates.passed["account"]
    await world.settle(seconds=RUNS + 20)
    assert 1 <= world.gates.passed["account"] <= 3


async def test_where_no_accounting_is_kept_squeue_has_the_last_word(world: World) -> None:
    world.site.keeps_accounting = False
    await running(world)
    await world.settle(seconds=RUNS + 20)
    assert world.object().status.phase is Phase.DONE
    assert not world.gates.passed["account"]


@pytest.mark.parametrize("place", ["observe", "account"])
async def test_a_look_that_fails_in_a_way_nobody_foresaw_is_not_the_last(
    world: World, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    await running(world)
    world.gates.fail(place, lambda: RuntimeError("a mistake of ours"))
    await world.settle(seconds=RUNS + 60)
    assert "a mistake of ours" in caplog.text
    assert world.object().status.phase is Phase.DONE


async def test_a_job_that_trips_over_a_mistake_of_ours_leaves_the_others_watched(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = Draft().with_metadata(name="other", uid="00000002-0000-4000-8000-000000000000")
    world.api.create(other)
    await running(world)
    queue_seen = following.queue_seen

    def tripping(record: Record, seen: Seen, **now: Any) -> Decision:
        if record.token == TOKEN:
            raise ZeroDivisionError
        return queue_seen(record, seen, **now)

    monkeypatch.setattr(following, "queue_seen", tripping)
    await world.settle(seconds=RUNS + 60)
    assert "ZeroDivisionError" in caplog.text
    assert {stored.draft.metadata["name"]: stored.status.phase for stored in world.api.objects.values()} == {
        world.object().draft.metadata["name"]: Phase.SUBMITTED,
        "other": Phase.DONE,
    }


async def test_a_slow_look_does_not_hold_up_what_people_want(world: World) -> None:
    await running(world)
    world.gates.close("observe")
    await world.gates.reached("observe")
    hanging = world.gates.release_others("observe")
    world.api.edit(TOKEN, Draft.cancelled)
    await world.settle(seconds=5)
    assert world.slurm.jobs[0].cancelled is not None
    hanging.set()


async def test_a_user_whose_login_hangs_keeps_nobody_elses_jobs_from_being_looked_at(world: World) -> None:
    world.site.hides_jobs = True
    await running(world)
    world.gates.close("observe")
    await world.gates.reached("observe")
    hanging = world.gates.release_others("observe")
    world.api.create(another(2, owner="mario@nintendo.example"))
    await world.settle(seconds=RUNS + 60)
    assert [world.api.objects[str(draft.metadata["uid"])].status.phase for draft in (Draft(), another(2))] == [
        Phase.SUBMITTED,
        Phase.DONE,
    ]
    hanging.set()
    await world.settle()
    assert world.object().status.phase is Phase.DONE


async def test_a_job_submitted_while_slurm_was_being_asked_is_not_taken_for_lost(world: World) -> None:
    world.api.create(Draft())
    await world.settle(seconds=4)
    world.gates.close("observe")
    await world.gates.reached("observe")
    other = Draft().with_metadata(name="other", uid="00000002-0000-4000-8000-000000000000")
    world.api.create(other)
    await world.settle(seconds=10)
    world.gates.open("observe")
    await world.settle()
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}
    assert len(world.slurm.jobs) == 2


async def test_a_user_who_cannot_log_in_leaves_the_jobs_of_others_watched(world: World) -> None:
    other = Draft().with_metadata(name="other", uid="00000002-0000-4000-8000-000000000000")
    world.api.create(other.with_spec(owner="mario@nintendo.example"))
    await running(world)
    world.slurm.locked_out.add("kirby")
    await world.settle(seconds=RUNS + 20)
    assert {stored.status.phase for stored in world.api.objects.values()} == {Phase.DONE}


async def test_where_jobs_are_hidden_a_user_who_cannot_log_in_leaves_only_his_own_jobs_unwatched(world: World) -> None:
    world.site.hides_jobs = True
    other = Draft().with_metadata(name="other", uid="00000002-0000-4000-8000-000000000000")
    world.api.create(other.with_spec(owner="mario@nintendo.example"))
    await running(world)
    world.slurm.locked_out.add("kirby")
    await world.settle(seconds=RUNS + 20)
    assert {stored.status.user: stored.status.phase for stored in world.api.objects.values()} == {
        "kirby": Phase.SUBMITTED,
        "mario": Phase.DONE,
    }
    world.slurm.locked_out.clear()
    await world.settle(seconds=20)
    assert world.object().status.phase is Phase.DONE


async def test_a_job_that_is_followed_is_not_another_submissions(world: World) -> None:
    """Slurm may forget a job and give its id again."""
    await running(world)
    follower = another(2).following(world.slurm.jobs[0].id)
    world.api.create(follower)
    await world.settle(seconds=10)
    followed = world.api.objects[str(follower.metadata["uid"])]
    assert shown(followed.status)[1] is None

    del world.api.objects[TOKEN]
    world.worker.forget(TOKEN)
    await world.settle(seconds=10)
    assert shown(followed.status)[1] == "RUNNING"
