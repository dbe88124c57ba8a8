"""The operator is killed (SIGKILL) at every step of submitting; Slurm's own records say how many jobs came of it."""

import os
import random
import time
from collections.abc import Iterator
from itertools import zip_longest

import pytest

from tests.operated.counting import Case, await_all, case, ended, known, statuses, submit, wrongs
from tests.operated.doomed import Fate
from tests.operated.gates import SBATCH, Gates
from tests.operated.nursery import Nursery
from tests.operated.world import World
from bed import valhalla

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
def gates(world: World) -> Gates:
    return Gates.make(world.bed)


@pytest.fixture(scope="module")
def nursery(world: World, gates: Gates) -> Iterator[Nursery]:
    """The world's own operator rests, so that others can be born and die."""
    world.operator.stop()
    commands = {**valhalla.cluster_spec(world.bed)["commands"], "sbatch": SBATCH}
    with world.cluster(CLUSTER, commands=commands):
        yield Nursery(world.installation)
    world.operator = world.installation.start()


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
