"""Worlds whose submissions come from Jobbergate: one for each file, for some take Jobbergate or Slurm away."""

import os
from collections.abc import Iterator

import pytest

from bed.jobbergate.person import Person
from tests.synced import DOVAHKIIN, KIRBY
from tests.world import World, operated


@pytest.fixture(scope="module")
def synced_world() -> Iterator[World]:
    with operated(f"synced-{os.getpid()}", jobbergate=True) as world:
        yield world


@pytest.fixture
def kirby(world: World) -> Person:
    return Person(world.bed.jobbergate, KIRBY)


@pytest.fixture
def dovahkiin(world: World) -> Person:
    return Person(world.bed.jobbergate, DOVAHKIIN)
