"""SIGTERM, as kubelet sends it: the operator ends soon and in good order, whatever it is doing and whatever hangs."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.faults.apiserver import frozen
from tests.faults.counting import Case, await_all, case, known, once, statuses, submit, unknown
from tests.faults.gates import Gates
from tests.faults.leases import await_renewal
from tests.faults.nursery import Nursery, resting
from tests.world import World

CLUSTER = "stopping"
USERS = ("kirby", "mario")
LONGEST_STOP_SECONDS = 10.0


@pytest.fixture(scope="module")
def gates(world: World) -> Iterator[Gates]:
    made = Gates.make(world.bed)
    with world.cluster(CLUSTER, commands=made.commands(world.bed)) as cluster:
        cluster.wait_for("Ready", "True")
        yield made


def sending(world: World, gates: Gates, label: str) -> list[Case]:
    """Submissions of both users whose sbatch is held at the gate."""
    cases = [case(label, user, CLUSTER) for user in USERS]
    for each in cases:
        gates.close(each.name, "before")
    submit(world, cases)
    for each in cases:
        gates.await_arrival(each.name, "before")
    return cases


def test_an_idle_operator_stops_at_once(world: World) -> None:
    with resting(world) as seconds:
        assert seconds < 3


@pytest.mark.usefixtures("gates")
@pytest.mark.parametrize("delay", [0.0, pytest.param(0.3, marks=pytest.mark.slow), 0.8])
def test_stopped_while_many_are_submitted(world: World, delay: float) -> None:
    cases = [case(f"stopped {delay}", user, CLUSTER) for user in USERS * 4]
    submit(world, cases)
    time.sleep(delay)
    with resting(world) as seconds:
        assert seconds < LONGEST_STOP_SECONDS
        assert not any(map(unknown, statuses(world, cases).values()))
    once(world, *cases)


def test_what_is_being_sent_is_sent_and_told(world: World, gates: Gates) -> None:
    cases = sending(world, gates, "being sent")
    world.operator.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    for each in cases:
        gates.open(each.name, "before")
    with resting(world):
        assert all(map(known, statuses(world, cases).values()))
    once(world, *cases)


@pytest.mark.slow
def test_sbatch_hangs(world: World, gates: Gates) -> None:
    cases = sending(world, gates, "hanging")
    with resting(world) as seconds:
        assert seconds < LONGEST_STOP_SECONDS
    await_all(world, cases, unknown)
    for each in cases:
        gates.open(each.name, "before")
    once(world, *cases)


@pytest.mark.slow
@pytest.mark.usefixtures("gates")
def test_the_login_node_hangs(world: World) -> None:
    cases = [case("deaf", user, CLUSTER) for user in USERS]
    sshd = world.bed.slurm.service("sshd")
    sshd.freeze()
    try:
        with resting(world):
            pass  # the next one has no connections from before
        submit(world, cases)
        time.sleep(1)
        with resting(world) as seconds:
            assert seconds < LONGEST_STOP_SECONDS
    finally:
        sshd.thaw()
    once(world, *cases)


@pytest.mark.slow
def test_the_api_server_hangs_and_the_cluster_too(world: World, gates: Gates) -> None:
    told, untold = sending(world, gates, "nobody answers")
    await_renewal(world)  # or it ends because it may not lead any longer
    try:
        with frozen(world):
            gates.open(told.name, "before")  # its job id cannot be written
            time.sleep(1)
            began = time.monotonic()
            code = world.operator.stop()
            seconds = time.monotonic() - began
    finally:
        world.operator.process = world.installation.start().process
    assert code == 0
    assert seconds < LONGEST_STOP_SECONDS
    gates.open(untold.name, "before")
    once(world, told, untold)


def test_stopped_while_starting(world: World) -> None:
    nursery = Nursery(world.installation)
    codes = {}
    with resting(world):
        for milliseconds in range(0, 400, 50):
            with nursery.life() as life:
                time.sleep(milliseconds / 1000)
                codes[milliseconds] = life.stop()

    # before it is listening to signals it just ends
    assert set(codes.values()) <= {0, -signal.SIGTERM}, codes


@pytest.mark.slow
def test_what_was_deleted_long_ago_while_nobody_was_here_is_cancelled(world: World) -> None:
    limits = {"pollIntervalSeconds": 1, "deletionDeadlineSeconds": 10}
    with world.cluster("nobody-here", limits=limits) as cluster:
        submission = cluster.submit("sleep 600")
        submission.wait_for_state("RUNNING")
        token = submission.token
        with resting(world):
            submission.delete(wait=False)
            time.sleep(11)  # longer than its deletion may take
        world.eventually(submission.is_gone, bool)
        world.eventually(lambda: {job["state"] for job in world.jobs_of(token)}, lambda states: states == {"CANCELLED"})
