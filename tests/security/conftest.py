import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from bed import valhalla
from bed.operator import NAMESPACE
from tests.security.attempt import CANARIES, LAB, NOBODYS, Ground
from tests.security.attempts.jobs import SERVED
from tests.security.login_node import agent
from tests.security.person import Person
from tests.world import World, operated

OWNERS = "slurmgate.dev/owners"


@pytest.fixture(scope="session")
def only_world() -> Iterator[World]:
    """One for attackers alone: what they leave in Slurm and on its nodes would be in the way of others."""
    with operated(f"attacked-{os.getpid()}") as world:
        yield world


@pytest.fixture(scope="session")
def ground(only_world: World) -> Iterator[Callable[[str], Ground]]:
    """Makes the ground for a round of attempts; what all rounds share is there."""
    world = only_world
    world.slurm("mkdir", "--mode=1777", CANARIES)
    for namespace, owners in {LAB: "*@example.org", NOBODYS: None, NAMESPACE: "kirby@example.org"}.items():
        world.make("Namespace", namespace, annotations={OWNERS: owners} if owners else {})
    key = world.bed.slurm.description.users["jarvice"].read_text()
    world.make("Secret", "jarvice-ssh-key", namespace=NAMESPACE, stringData={"ssh-privatekey": key})
    ssh = valhalla.cluster_spec(world.bed)["ssh"]
    service = {"name": "jarvice", "privateKeySecretRef": {"name": "jarvice-ssh-key", "key": "ssh-privatekey"}}
    people = {namespace: Person.settle(world, namespace) for namespace in (valhalla.RESEARCH, LAB, NOBODYS, NAMESPACE)}
    with ExitStack() as stack:
        stack.enter_context(agent())
        stack.enter_context(world.cluster(SERVED, ssh={**ssh, "serviceUser": service}))
        yield lambda name: Ground(world, people, name)
