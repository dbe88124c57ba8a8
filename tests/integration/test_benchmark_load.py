"""The benchmark of many submissions, with a few; its counts are those that the figures of a thousand rest on. Never seconds."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import pytest

from benchmarks.load import measures, table
from benchmarks.load.client import Client, client
from benchmarks.load.ground import Ground, ground
from benchmarks.load.measures import OURS
from benchmarks.measuring import host
from benchmarks.measuring.samples import Run, Sample

pytestmark = [pytest.mark.bed, pytest.mark.slow]
MANY = 60


@pytest.fixture(scope="module")
def here() -> Iterator[Ground]:
    with ground(f"benchmark-{os.getpid()}") as found:
        yield found


def ours(samples: Sequence[Sample]) -> list[Mapping[str, float]]:
    return [sample.figures for sample in samples if sample.who == OURS]


def measured(here: Ground, measure: Callable[[Client], Awaitable[list[Sample]]]) -> list[Sample]:
    async def run() -> list[Sample]:
        async with client(here.bed) as kubectl:
            return await measure(kubectl)

    samples = asyncio.run(run())
    told = Run("load", host.about(here.bed), samples)
    assert table.page(told).count("## ") == len(told.measures)
    return samples


@pytest.mark.parametrize("users", [1, 3])
def test_many_become_jobs_by_few_commands(here: Ground, users: int) -> None:
    samples = measured(here, lambda kubectl: measures.burst(here, kubectl, count=MANY, users=users))
    assert len(samples) == 3
    (figures,) = ours(samples)
    assert figures["jobs"] == MANY
    assert figures["commands"] < 2 * MANY * (1 if users == 1 else 1.2), "two for each, and the looks, if each travels alone"
    assert figures["API writes"] <= 4 * MANY, "finalizer, user, job id, and what the queue says"


def test_a_single_one_is_not_forgotten_among_many(here: Ground) -> None:
    (figures,) = ours(measured(here, lambda kubectl: measures.single(here, kubectl, count=2, others=MANY)))
    assert figures["API writes"] <= 4 * (MANY + 2)


def test_many_are_cancelled_by_few_commands(here: Ground) -> None:
    (figures,) = ours(measured(here, lambda kubectl: measures.cancelling(here, kubectl, count=MANY)))
    assert figures["jobs left"] == 0
    assert figures["commands"] < MANY, "one for each, if each travels alone, and the looks"


def test_the_end_of_many_is_told_with_few_writes(here: Ground) -> None:
    (figures,) = ours(measured(here, lambda kubectl: measures.ending(here, kubectl, count=MANY)))
    assert figures["API writes"] <= 3 * MANY, "what the queue said, the end, and the finalizer taken off"


def test_what_rests_costs_a_command_each_tick_and_no_write_and_a_new_operator_submits_nothing_again(here: Ground) -> None:
    arriving, resting, changing, again = ours(
        measured(here, lambda kubectl: measures.active(here, kubectl, count=MANY, seconds=20))
    )
    assert arriving["commands"] < 3 * MANY, "two for each, if each travels alone, and the looks"
    assert resting["API writes"] == 0
    assert resting["commands per tick"] <= 2
    assert changing["most s"] > 0
    assert (again["sbatch"], again["jobs lost or gained"]) == (0, 0)
    assert again["commands"] <= 10


def test_an_operator_with_nothing_to_do_starts(here: Ground) -> None:
    (figures,) = ours(asyncio.run(measures.starting(here)))
    assert figures["ready s"] > 0
