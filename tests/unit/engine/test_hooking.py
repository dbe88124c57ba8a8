"""Hooks: asked in turn, each with a veto; told of the latest, and whatever they do, submissions go their way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import cast

import pytest
from typing_extensions import override

from slurmgate.core import desired
from slurmgate.core.reasons import Reason
from slurmgate.engine.hooking import MOST_NEWS, Hooks
from slurmgate.plugins.api import Hook, Proceed, Refuse, StatusChange, Submission, Wait
from tests.unit.core.build import NOW, TOKEN, Draft
from tests.unit.engine.plugged import FakeThread
from tests.unit.engine.telling import another, events, writes
from tests.unit.engine.world import World

Verdict = Proceed | Refuse | Wait


class Clerk(Hook):
    """Says what it is told to, and keeps what it sees."""

    def __init__(self, name: str, verdict: object = None) -> None:
        self.verdict = verdict or Proceed()
        self.seen: list[Submission] = []
        self.told: list[StatusChange] = []
        self.fake = FakeThread(self, name)

    @override
    async def before_submission(self, submission: Submission) -> Verdict:
        self.seen.append(submission)
        return cast("Verdict", self.verdict)

    @override
    async def status_changed(self, change: StatusChange) -> None:
        self.told.append(change)


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., World]]:
    worlds: list[World] = []

    def starting(*clerks: Clerk) -> World:
        world = World()
        world.hooks = [clerk.fake.thread for clerk in clerks]
        world.start()
        worlds.append(world)
        return world

    yield starting
    for world in worlds:
        await world.kill()


def arguments(world: World, token: str = TOKEN) -> tuple[str, ...]:
    """What sbatch was given."""
    return world.slurm.staged[token].arguments


async def test_it_sees_what_would_be_sent_and_no_secret(start: Callable[..., World]) -> None:
    clerk = Clerk("a")
    world = start(clerk)
    environment = [{"name": "TOKEN", "value": "hunter2"}]
    files = [{"name": "a.txt", "inline": "swordfish"}]
    world.api.create(Draft().with_spec(partition="batch", environment=environment, files=files))
    await world.settle()
    (seen,) = clerk.seen
    assert (seen.namespace, seen.name, seen.uid, seen.cluster) == ("lab", "hello", TOKEN, "valhalla")
    assert (seen.owner, seen.user) == ("kirby@nintendo.example", "kirby")
    assert seen.script == b"#!/bin/sh\nhostname\n"
    assert "--partition=batch" in seen.arguments
    assert seen.files == ("a.txt",)
    assert "hunter2" not in str(seen)
    assert "swordfish" not in str(seen)


async def test_they_are_asked_in_turn_and_each_sees_what_others_have_added(start: Callable[..., World]) -> None:
    first, second = Clerk("a", Proceed(("-p", "night", "--nice"))), Clerk("b", Proceed(("--partition=day",)))
    world = start(first, second)
    world.api.create(Draft().with_spec(partition="batch", sbatchArguments=["--exclusive"]))
    await world.settle()
    assert second.seen[0].arguments == (*first.seen[0].arguments, "--partition=night", "--nice")
    added = ("--partition=batch", "--exclusive", "--partition=night", "--nice", "--partition=day")
    assert arguments(world)[-len(added) :] == added
    assert world.object().status.sbatch_arguments == arguments(world)


async def test_the_first_refusal_is_final_and_nobody_else_is_asked(start: Callable[..., World]) -> None:
    first, second = Clerk("a", Refuse("not on Sundays")), Clerk("b")
    world = start(first, second)
    world.api.create(Draft())
    await world.settle()
    assert writes(world)[-1] == ("Rejected", None, "HookRefused")
    assert world.api.events[-1][1].message == "hook a: not on Sundays"
    assert (second.seen, world.slurm.jobs) == ([], [])


async def test_what_has_to_wait_is_asked_about_again_until_it_may_go(start: Callable[..., World]) -> None:
    clerk = Clerk("a", Wait("the machine room is too hot"))
    world = start(clerk)
    world.api.create(Draft())
    await world.settle(seconds=600)
    assert writes(world) == [("Created", None, "HookWaiting")]
    assert world.object().status.conditions[0].message == "hook a: the machine room is too hot"
    asked = len(clerk.seen)
    assert asked > 5
    clerk.verdict = Proceed()
    await world.settle()
    assert writes(world)[-1] == ("Done", "COMPLETED", "Completed")
    assert len(clerk.seen) == asked + 1
    assert events(world)[0] == ("Warning", Reason.HOOK_WAITING)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (True, "hook a answered with bool instead of Proceed, Refuse or Wait"),
        (Proceed(("--uid=0",)), "hook a: --uid is refused: the user comes from the cluster's user mapping"),
        (Proceed(("--chdir=/",)), "hook a: --chdir is refused: use spec.executionDirectory"),
        (Proceed(("job.sh",)), "hook a: 'job.sh' is not an option"),
        (Proceed(("--comment=a\n--uid=0",)), "hook a: its arguments are not all words of one line"),
        (Proceed("--nice"), "hook a: its arguments are not all words of one line"),  # type: ignore[arg-type]
        (Proceed(cast("tuple[str, ...]", (7,))), "hook a: its arguments are not all words of one line"),
    ],
)
async def test_its_mistakes_are_nobodys_rejection(start: Callable[..., World], verdict: object, words: str) -> None:
    clerk = Clerk("a", verdict)
    world = start(clerk)
    world.api.create(Draft())
    await world.settle(seconds=100)
    assert writes(world) == [("Created", None, "PluginUnavailable")]
    assert words in world.object().status.conditions[0].message
    clerk.verdict = Proceed()
    await world.settle()
    assert writes(world)[-1] == ("Done", "COMPLETED", "Completed")


async def test_what_a_cluster_denies_it_denies_to_people(start: Callable[..., World]) -> None:
    clerk = Clerk("a", Proceed(("--reservation=course",)))
    world = start(clerk)
    world.site.spec = world.site.spec.model_copy(update={"deny_options": ("reservation",)})
    world.api.create(Draft())
    world.api.create(another(2, sbatchArguments=["--reservation=course"]))
    await world.settle()
    assert arguments(world)[-1] == "--reservation=course"
    assert len(world.slurm.jobs) == 1


async def test_one_that_fails_is_asked_again(start: Callable[..., World]) -> None:
    clerk = Clerk("a")
    clerk.fake.failing = "did not answer within 10 s"
    world = start(clerk)
    world.api.create(Draft())
    await world.settle(seconds=100)
    assert writes(world) == [("Created", None, "PluginUnavailable")]
    clerk.fake.failing = ""
    await world.settle()
    assert writes(world)[-1] == ("Done", "COMPLETED", "Completed")


async def test_what_is_wrong_anyway_is_nothing_to_ask_about(start: Callable[..., World]) -> None:
    clerk = Clerk("a")
    world = start(clerk)
    world.api.create(Draft().with_spec(sbatchArguments=["--uid=0"]))
    await world.settle()
    assert clerk.seen == []


async def test_it_is_told_of_what_stands_in_the_api(start: Callable[..., World]) -> None:
    clerk = Clerk("a")
    world = start(clerk)
    world.api.create(Draft())
    await world.settle()
    assert list(dict.fromkeys(change.phase for change in clerk.told)) == ["Created", "Submitted", "Done"]
    assert clerk.told[-1].status == world.object().statuses[-1]
    assert (clerk.told[-1].namespace, clerk.told[-1].name, clerk.told[-1].uid) == ("lab", "hello", TOKEN)


async def test_one_that_lags_behind_is_told_the_latest_of_each_and_not_of_too_many() -> None:
    clerk = Clerk("a")
    hooks = Hooks([clerk.fake.thread])
    record = desired.first_seen(Draft().build(), NOW).record
    for number in range(MOST_NEWS + 10):
        hooks.tell(replace(record, token=str(number)))
    later = replace(record, token="10", name="renamed")
    hooks.tell(later)
    running = asyncio.create_task(hooks.run())
    await asyncio.sleep(60)
    assert [change.uid for change in clerk.told] == [str(number) for number in range(10, MOST_NEWS + 10)]
    assert clerk.told[0].name == "renamed"
    running.cancel()
    await asyncio.wait([running])
    assert clerk.fake.closed


async def test_one_that_fails_when_it_is_told_is_told_what_comes_next(start: Callable[..., World]) -> None:
    clerk = Clerk("a")
    world = start(clerk)
    world.api.create(Draft())
    await world.settle(seconds=20)
    clerk.fake.failing = "failed"
    world.api.edit(TOKEN, Draft.cancelled)
    await world.settle(seconds=100)
    told = len(clerk.told)
    clerk.fake.failing = ""
    world.api.create(another(2))
    await world.settle()
    assert {change.uid for change in clerk.told[told:]} == {another(2).metadata["uid"]}
