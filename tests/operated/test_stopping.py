"""SIGTERM, as kubelet sends it: the operator ends soon and in good order, whatever it is doing and whatever hangs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bed import valhalla
from bed.processes import recorded
from tests.operated.counting import Case, await_all, case, ended, known, statuses, submit, unknown, wrongs
from tests.operated.gates import SBATCH, Gates
from tests.operated.nursery import Nursery
from tests.operated.world import World

CLUSTER = "stopping"
LONGEST_STOP_SECONDS = 10.0


@pytest.fixture(scope="module")
def gates(world: World) -> Iterator[Gates]:
    made = Gates.make(world.bed)
    commands = {**valhalla.cluster_spec(world.bed)["commands"], "sbatch": SBATCH}
    with world.cluster(CLUSTER, commands=commands) as cluster:
        cluster.wait_for("Ready", "True")
        yield made


def stop(world: World) -> float:
    """Stop the operator; how many seconds it took."""
    began = time.monotonic()
    code = world.operator.stop()
    seconds = time.monotonic() - began
    assert code == 0, world.log_end()
    return seconds


def start(world: World) -> None:
    world.operator.process = world.installation.start().process


@contextmanager
def stopped(world: World) -> Iterator[float]:
    """Between two lives of the operator; how many seconds the first one took to end."""
    seconds = stop(world)
    try:
        yield seconds
    finally:
        start(world)


def once(world: World, cases: list[Case]) -> None:
    await_all(world, cases, ended)
    assert wrongs(world, cases) == {}


def test_an_idle_operator_stops_at_once(world: World) -> None:
    with stopped(world) as seconds:
        assert seconds < 3


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.6])
def test_stopped_while_many_are_submitted(world: World, gates: Gates, delay: float) -> None:
    del gates
    cases = [case(f"stopped {delay}", user, CLUSTER) for user in ("kirby", "mario") * 6]
    submit(world, cases)
    time.sleep(delay)
    with stopped(world) as seconds:
        assert seconds < LONGEST_STOP_SECONDS
        assert not any(unknown(status) for status in statuses(world, cases).values())
    once(world, cases)


def test_what_is_being_sent_is_sent_and_told(world: World, gates: Gates) -> None:
    each = case("being sent", "kirby", CLUSTER)
    gates.close(each.name, "before")
    submit(world, [each])
    gates.await_arrival(each.name, "before")
    world.operator.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    gates.open(each.name, "before")

    with stopped(world):
        assert known(statuses(world, [each])[each.name])
    once(world, [each])


def test_sbatch_hangs(world: World, gates: Gates) -> None:
    each = case("hanging", "kirby", CLUSTER)
    gates.close(each.name, "before")
    submit(world, [each])
    gates.await_arrival(each.name, "before")
    with stopped(world) as seconds:
        assert seconds < LONGEST_STOP_SECONDS
    await_all(world, [each], unknown)
    gates.open(each.name, "before")
    once(world, [each])


def test_the_login_node_hangs(world: World, gates: Gates) -> None:
    del gates
    cases = [case("deaf", user, CLUSTER) for user in ("kirby", "mario")]
    sshd = world.bed.slurm.service("sshd")
    sshd.freeze()
    try:
        with stopped(world):
            pass  # without connections from before
        submit(world, cases)
        time.sleep(1)
        with stopped(world) as seconds:
            assert seconds < LONGEST_STOP_SECONDS
    finally:
        sshd.thaw()
    once(world, cases)


def test_the_api_server_hangs_and_the_cluster_too(world: World, gates: Gates) -> None:
    cases = [case("nobody answers", user, CLUSTER) for user in ("kirby", "mario")]
    server = recorded(world.bed.description.folder / "run", "kube-apiserver")
    assert server
    for each in cases:
        gates.close(each.name, "before")
    submit(world, cases)
    for each in cases:
        gates.await_arrival(each.name, "before")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        gates.open(cases[0].name, "before")
        time.sleep(1)
        seconds = stop(world)
        print(seconds)
        assert seconds < LONGEST_STOP_SECONDS
    finally:
        os.kill(server.pid, signal.SIGCONT)
        start(world)
    gates.open(cases[1].name, "before")
    once(world, cases)


def test_stopped_while_starting(world: World) -> None:
    nursery = Nursery(world.installation)
    with stopped(world):
        for hundredth in range(0, 100, 2):
            with nursery.life() as life:
                time.sleep(hundredth / 100)
                os.kill(life.process.pid, signal.SIGTERM)
                life.process.join(20)
                print(hundredth, life.process.exitcode)
