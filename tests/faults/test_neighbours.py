"""One user's logins hang, or all that he submits fails, or a whole cluster is silent; nobody else notices."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from slurmgate.slurm.together import LOADS_AT_ONCE
from tests.api import path
from tests.faults.counting import await_all, case, ended, known, reason, statuses, submit, wrongs
from tests.faults.proxied import proxied
from tests.world import World

CLUSTER = "valhalla"
MANY = 40
"""More than the places at which submissions of one cluster are worked on."""
FAILING = int(os.environ.get("FAILING", "500"))
MOST_WAITING = 20 * 2**10
"""Bytes of the operator's memory that one submission takes while it waits."""
MOST_GROWTH = 32 * 2**20
"""Bytes of the operator's memory, however many submissions have failed."""
CROWDED = "crowded"
"""The namespace of what fails: nobody else's lists are long because of it."""
PAGE = 100
"""That the API server can delete in one request, before its own time is up."""
HANGS = "touch /tmp/reached.$$; while [ -e /tmp/hangs ]; do sleep 0.1; done\n"


@contextmanager
def hanging(world: World, user: str) -> Iterator[None]:
    """The start file of this user does not come to its end before this does."""
    start_file = f"/home/{user}/.bashrc"
    world.slurm("sh", "-c", f"touch /tmp/hangs; cp --preserve {start_file} {start_file}.before")
    world.write(start_file, HANGS, user=user)
    try:
        yield
    finally:
        world.slurm("sh", "-c", f"rm /tmp/hangs; mv {start_file}.before {start_file}")


@pytest.mark.slow
def test_forty_submissions_of_a_user_whose_start_file_hangs(world: World) -> None:
    many = [case(f"hanging {number}", "mario", CLUSTER) for number in range(MANY)]
    neighbours = [case("neighbour", "kirby", CLUSTER) for _ in range(3)]
    with hanging(world, "mario"):
        submit(world, many)
        world.eventually(lambda: world.slurm("sh", "-c", "ls /tmp/reached.*").split(), lambda all_: len(all_) >= LOADS_AT_ONCE)
        submit(world, neighbours)
        await_all(world, neighbours, ended)
        # nobody's deadline had to be over before there was a place for them
        assert "LoginShellFailed" not in map(reason, statuses(world, many).values())
    await_all(world, many, ended)
    assert wrongs(world, [*neighbours, *many]) == {}


@pytest.mark.slow
def test_forty_submissions_to_a_cluster_that_does_not_answer(world: World) -> None:
    with proxied(world, "silent") as (proxy,):
        proxy.freeze()
        many = [case(f"silent {number}", "mario", "silent") for number in range(MANY)]
        submit(world, many)
        await_all(world, many, lambda status: reason(status) != "Preparing")
        neighbours = [case("neighbour", user, CLUSTER) for user in ("kirby", "mario")]
        submit(world, neighbours)
        await_all(world, neighbours, ended)
        assert not any(map(known, statuses(world, many).values())), "the other cluster has answered: this has shown nothing"
        proxy.thaw()
    assert wrongs(world, neighbours) == {}


def metric(world: World, name: str) -> float:
    """What the operator's metrics say now."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", world.operator.get("/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.slow
def test_a_user_whose_submissions_fail_without_end(world: World) -> None:
    world.make("Namespace", CROWDED, annotations={"slurmgate.dev/owners": "*@example.org"})
    idle = memory(world)
    fail_beside_neighbours(world, "first")
    peak = memory(world)
    assert peak - idle < MOST_GROWTH + FAILING * MOST_WAITING, f"{(peak - idle) / 2**20:.0f} MiB for {FAILING} that waited"
    fail_beside_neighbours(world, "second")
    growth = memory(world) - peak
    assert growth < MOST_GROWTH, f"{growth / 2**20:.0f} MiB for as many that had failed before"
    for _ in range(0, 2 * FAILING, PAGE):
        world.api.delete(f"{path('JobSubmission', '', CROWDED)}?limit={PAGE}", wait=False)


def memory(world: World) -> float:
    """What the operator has, in bytes."""
    return metric(world, "process_resident_memory_bytes")


def rejected(world: World) -> float:
    """How many submissions to the cluster the operator has seen rejected."""
    return metric(world, f'slurmgate_submissions_ended_total{{cluster="{CLUSTER}",phase="Rejected"}}')


def fail_beside_neighbours(world: World, label: str) -> None:
    """Let one user's submissions fail, as many as there are to be; those of another come between."""
    before = rejected(world)

    def submit_what_fails(number: int) -> None:
        world.submit(name=f"{label}-{number}", user="mario", namespace=CROWDED, partition="no-such-partition")

    with ThreadPoolExecutor(16) as crowd:  # one after the other they would fail as fast as they come
        list(crowd.map(submit_what_fails, range(FAILING)))
    neighbours = [case(f"beside {label}", "kirby", CLUSTER) for _ in range(3)]
    submit(world, neighbours)
    await_all(world, neighbours, known)
    assert rejected(world) - before < FAILING, "all had failed by then: this has shown nothing"
    await_all(world, neighbours, ended)
    world.eventually(lambda: rejected(world) - before, lambda number: number == FAILING, seconds=60 + FAILING)
    assert wrongs(world, neighbours) == {}
