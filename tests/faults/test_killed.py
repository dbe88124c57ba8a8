"""The operator is killed (SIGKILL) at every step of submitting; Slurm's own records say how many jobs came of it."""

import os
import random
import time
from collections.abc import Iterator
from itertools import zip_longest

import pytest

from tests.faults.counting import Case, await_all, case, ended, known, submit, unknown, wrongs
from tests.faults.doomed import Fate
from tests.faults.gates import Gates
from tests.faults.mutants import trusting, unmarked
from tests.faults.nursery import Nursery, resting
from tests.world import World

USERS = ("kirby", "mario")
CLUSTER = "mortal"
ROUNDS = int(os.environ.get("RANDOM_KILLS", "10"))

ON_THE_WAY = (
    "before admission",
    "after admission",
    "before finalizer",
    "after finalizer",
    "before user",
    "after user",
    "after fix",
    "before stage",
    "stage started",
    "stage half sent",
    "after stage",
    "before submit",
    "submit started",
    "submit half sent",
    "after submit",
    "before job id",
    "after job id",
)
LOOKING_UP = (
    "before submit",  # of the first life: from here on it may have been sent
    "before find",
    "after find",
    "before squeue",
    "after squeue",
    "before sacct",
    "after sacct",
    "before stage",  # nobody knows it, so it is sent again
    "after stage",
    "before submit",
    "after submit",  # now there is a job, and nobody has heard of it
    "before find",
    "after find",
    "before job id",
    "after job id",
)


@pytest.fixture(scope="module")
def nursery(world: World, gates: Gates) -> Iterator[Nursery]:
    """The world's own operator rests, so that others can be born and die."""
    with resting(world), world.cluster(CLUSTER, commands=gates.commands(world.bed)):
        yield Nursery(world.installation)


def pair(label: str) -> list[Case]:
    return [case(label, user, CLUSTER) for user in USERS]


def test_killed_between_any_two_steps_it_runs_once(world: World, nursery: Nursery) -> None:
    seekers = pair("looking up")
    submit(world, seekers)
    everybody, rescue = [*seekers], list[str]()
    for place, searched in zip_longest(ON_THE_WAY, LOOKING_UP):
        new = pair(place)
        submit(world, new)
        plan = {each.name: place for each in new}
        if place.endswith((" started", " half sent")):  # one connection dies there, the other just before
            plan[new[1].name] = f"before {place.split()[0]}"
        if searched:
            plan |= {each.name: searched for each in seekers}
        with nursery.life(Fate(plan, rescue)) as life:
            life.await_doom()
        everybody += new
        rescue = [each.name for each in new]
    with nursery.life():
        await_all(world, everybody, ended)

    assert wrongs(world, everybody) == {}


def test_killed_while_sbatch_is_under_way_it_runs_once(world: World, nursery: Nursery, gates: Gates) -> None:
    seen, unseen = pair("sbatch seen"), pair("sbatch unseen")
    places = ("before", "after") * 2
    cases = seen + unseen
    for each, place in zip(cases, places, strict=True):
        gates.close(each.name, place)
    submit(world, cases)
    with nursery.life() as life:
        for each, place in zip(cases, places, strict=True):
            gates.await_arrival(each.name, place)
        life.kill()
    for each, place in zip(unseen, places, strict=False):  # nobody is there to hear the answers
        gates.open(each.name, place)

    with nursery.life() as life:
        await_all(world, [*unseen, seen[1]], known)
        await_all(world, [seen[0]], unknown)
        life.kill()
    for each, place in zip(seen, places, strict=False):
        gates.open(each.name, place)
    with nursery.life():
        await_all(world, cases, ended)

    assert wrongs(world, cases) == {}


@pytest.mark.slow
def test_killed_at_random_while_many_are_submitted_each_runs_once(world: World, nursery: Nursery) -> None:
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    cases = burst(0)
    submit(world, cases)
    born = time.monotonic()
    with nursery.life():
        await_all(world, cases, known)
        usual = time.monotonic() - born
    for number in range(1, ROUNDS + 1):
        cases += (new := burst(number))
        submit(world, new)
        with nursery.life() as life:
            time.sleep(chance.uniform(0.2, 1.1) * usual)
            life.kill()
    with nursery.life():
        await_all(world, cases, ended)

    assert wrongs(world, cases) == {}, f"seed {seed}"


def burst(number: int) -> list[Case]:
    return [each for _ in range(2) for each in pair(f"random {number}")]


def test_deleted_while_nobody_knew_of_its_job_the_job_is_cancelled(world: World, nursery: Nursery) -> None:
    submission = world.submit("sleep 600", clusterRef={"name": CLUSTER})
    with nursery.life(Fate({submission.name: "after submit"})) as life:
        life.await_doom()
    token = submission.token
    submission.delete(wait=False)
    with nursery.life():
        world.eventually(submission.is_gone, bool)

    assert [job["state"] for job in world.jobs_of(token)] == ["CANCELLED"]


def test_an_operator_that_forgot_what_it_sent_is_stopped_by_the_marker(world: World, nursery: Nursery) -> None:
    cases = pair("forgotten")

    submit_twice(world, nursery, cases, Fate(mistakes=[trusting]))

    assert wrongs(world, cases) == {}


def test_these_tests_notice_a_second_job(world: World, nursery: Nursery) -> None:
    cases = pair("twice")

    submit_twice(world, nursery, cases, Fate(mistakes=[trusting, unmarked]))

    found = wrongs(world, cases)
    assert set(found) == {each.name for each in cases}
    assert all(words.startswith("2 jobs") for words in found.values())


def submit_twice(world: World, nursery: Nursery, cases: list[Case], second: Fate) -> None:
    submit(world, cases)
    with nursery.life(Fate({each.name: "after submit" for each in cases})) as life:
        life.await_doom()
    with nursery.life(second):
        await_all(world, cases, ended)
