"""Login nodes fail, one or all of them; sshd has no room; a user may not log in. What has to wait waits, and runs once."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from bed.keys import ssh_key
from tests.api import Json
from tests.faults.counting import await_all, case, once, reason, submit
from tests.faults.proxied import proxied
from tests.faults.proxy import Meeting
from tests.world import Cluster, World


def unreachable(status: Json) -> bool:
    """It waits for a login node."""
    return reason(status) == "ClusterUnreachable"


@pytest.mark.parametrize("meeting", [Meeting.REFUSED, Meeting.RESET, pytest.param(Meeting.STALLED, marks=pytest.mark.slow)])
def test_one_of_two_is_down(world: World, meeting: Meeting) -> None:
    cluster = Cluster(world, f"one-{meeting}")
    with proxied(world, cluster.name, nodes=2) as (first, second):
        first.meet(meeting)
        cases = [case("one down", user, cluster.name) for user in ("kirby", "mario")]
        submit(world, cases)
        once(world, *cases)
        reachable = world.eventually(lambda: cluster.condition("Reachable"), lambda now: str(first.port) in now["message"])
        assert reachable["status"] == cluster.condition("Ready")["status"] == "True"
        assert str(second.port) not in reachable["message"]


def test_one_of_two_has_another_host_key(world: World, tmp_path: Path) -> None:
    cluster = Cluster(world, "reinstalled")
    stranger = ssh_key(tmp_path / "stranger").public
    with proxied(world, cluster.name, nodes=2) as (first, second):
        both, right = (world.login_nodes(*ports) for ports in ((first.port, second.port), (second.port,)))
        expected = f"[{world.bed.slurm.description.host}]:{first.port} {stranger}\n{right['knownHosts']['inline']}"
        cluster.describe(ssh={**both, "knownHosts": {"inline": expected}})
        words = f"{first.port} presented SHA256:"
        for door in ("HostKeyVerified", "Reachable"):
            passed = world.eventually(partial(cluster.condition, door), lambda now: words in now["message"])
            assert passed["status"] == cluster.condition("Ready")["status"] == "True"
        cases = [case("another key", user, cluster.name) for user in ("kirby", "mario")]
        submit(world, cases)
        once(world, *cases)


@pytest.mark.slow
def test_both_are_down_then_one_is_back(world: World) -> None:
    cluster = Cluster(world, "both")
    with proxied(world, cluster.name, nodes=2) as proxies:
        cases = [case("both down", user, cluster.name) for user in ("kirby", "mario")]
        for proxy in proxies:
            proxy.meet(Meeting.REFUSED)
        submit(world, cases)
        await_all(world, cases, unreachable)
        words = cluster.wait_for("Reachable", "False")["message"]
        assert all(f"{proxy.port}: Connection refused" in words for proxy in proxies)
        proxies[1].meet(Meeting.RELAYED)
        once(world, *cases)
        assert cluster.wait_for("Reachable", "True")["message"].count("Connection refused") == 1


@contextmanager
def sshd_with(world: World, **settings: int) -> Iterator[None]:
    """These settings in sshd_config. Connections that there are live on."""
    sshd, config = world.bed.slurm.service("sshd"), "/etc/ssh/bed_config"
    world.slurm("cp", config, f"{config}.before")
    for name, value in settings.items():
        world.slurm("sed", "--in-place", f"s/^{name} .*/{name} {value}/", config)
    try:
        sshd.restart()
        yield
    finally:
        world.slurm("mv", f"{config}.before", config)
        sshd.restart()


@contextmanager
def half_open(world: World, count: int) -> Iterator[None]:
    """Connections that sshd has let in, and that do not log in."""
    slurm = world.bed.slurm.description

    def greeted() -> bool:  # not so while sshd still counts somebody who has left
        connection = stack.enter_context(socket.create_connection((slurm.host, slurm.port), timeout=10))
        return connection.recv(4) == b"SSH-"

    with ExitStack() as stack:
        for _ in range(count):
            world.eventually(greeted, bool)
        yield


@pytest.mark.slow
def test_sshd_has_no_room_for_more_connections(world: World) -> None:
    waiting = case("no room", "kirby", "no-room")
    with proxied(world, "no-room") as (proxy,), sshd_with(world, MaxStartups=3):
        with half_open(world, 3):
            proxy.cut()
            submit(world, [waiting])
            await_all(world, [waiting], unreachable)
        once(world, waiting)


@pytest.mark.slow
def test_sshd_has_no_room_for_more_sessions(world: World) -> None:
    many = [case(f"session {number}", "kirby", "one-session") for number in range(12)]
    with proxied(world, "one-session") as (proxy,), sshd_with(world, MaxSessions=1):
        proxy.cut()
        submit(world, many)
        once(world, *many)


@contextmanager
def locked(world: World, user: str) -> Iterator[None]:
    """His public key is not accepted."""
    path = f"/home/{user}/.ssh/authorized_keys"
    world.slurm("mv", path, f"{path}.locked")
    try:
        yield
    finally:
        world.slurm("mv", f"{path}.locked", path)


@pytest.mark.slow
def test_who_is_locked_out_waits_is_tried_seldom_and_runs_when_he_may_log_in_again(world: World) -> None:
    def refusals() -> int:
        return world.bed.slurm.service("sshd").log.read_text().count("Connection closed by authenticating user mario")

    with proxied(world, "locked") as (proxy,):
        many = [case(f"locked {number}", "mario", "locked") for number in range(10)]
        other = case("free", "kirby", "locked")
        before = refusals()
        with locked(world, "mario"):
            proxy.cut()  # who is logged in stays so, whatever becomes of the key
            submit(world, [*many, other])
            await_all(world, many, lambda status: reason(status) == "AuthenticationFailed")
            once(world, other)
            time.sleep(8)  # ten submissions would have tried thirty times
            assert refusals() - before == 1
        once(world, *many)
