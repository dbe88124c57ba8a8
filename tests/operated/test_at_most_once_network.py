"""The connection breaks while a submission is under way, or Slurm or the login node does; one whole job comes of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from bed import valhalla
from tests.operated.counting import Case, await_all, case, ended, known, reason, submit, wrongs
from tests.operated.doomed import Fate
from tests.operated.gates import SBATCH, Gates
from tests.operated.nursery import Nursery
from tests.operated.proxy import Proxy
from tests.operated.world import Json, World

COMMAND_SECONDS = 5
DIRECT = "direct"


@pytest.fixture(scope="module")
def gates(world: World) -> Gates:
    return Gates.make(world.bed)


@pytest.fixture(scope="module", autouse=True)
def hasty(world: World, gates: Gates) -> Iterator[None]:
    """An operator that does not wait long takes the place of the world's own."""
    world.operator.stop()
    with Nursery(world.installation).life(Fate(hasty=True, gates=gates.folder)):
        yield
    world.operator.process = world.installation.start().process


@contextmanager
def cluster(world: World, name: str, port: int) -> Iterator[str]:
    """A SlurmCluster whose login node is at this port."""
    slurm = world.bed.slurm.description
    ssh = {
        "hosts": [{"host": slurm.host, "port": port}],
        "knownHosts": {"inline": slurm.known_hosts.replace(f":{slurm.port} ", f":{port} ")},
    }
    commands = {**valhalla.cluster_spec(world.bed)["commands"], "sbatch": SBATCH}
    limits = {"pollIntervalSeconds": 1, "commandTimeoutSeconds": COMMAND_SECONDS}
    with world.cluster(name, ssh=ssh, commands=commands, limits=limits):
        yield name


@contextmanager
def proxied(world: World, name: str, *, cut_after: int | None = None) -> Iterator[Proxy]:
    """A SlurmCluster behind a proxy of its own."""
    slurm = world.bed.slurm.description
    with Proxy((slurm.host, slurm.port), cut_after=cut_after).relaying() as proxy, cluster(world, name, proxy.port):
        yield proxy


@pytest.fixture(scope="module")
def direct(world: World) -> Iterator[str]:
    with cluster(world, "direct", world.bed.slurm.description.port) as name:
        yield name


def unknown(status: Json) -> bool:
    return reason(status) == "SubmissionUnknown"


def once(world: World, *cases: Case) -> None:
    await_all(world, cases, ended)
    assert wrongs(world, cases) == {}


def test_cut_anywhere_in_a_long_script_one_whole_job_comes_of_it(world: World) -> None:
    with proxied(world, "whole") as proxy:
        whole = case("whole", "kirby", "whole", kilobytes=300)
        submit(world, [whole])
        await_all(world, [whole], known)
        total = proxy.most_sent
        once(world, whole)
    assert total > 300 * 1024
    print(total)
    places = [100, 1500, 2500, 4000, 8000, *(total * tenth // 10 for tenth in (1, 4, 7, 9))]
    places += [total - less for less in (8000, 6000, 5000, 4000, 3000, 2000, 1000)]
    with ExitStack() as stack:
        proxies = [stack.enter_context(proxied(world, f"cut-{place}", cut_after=place)) for place in places]
        cases = [case(f"cut {place}", "kirby", f"cut-{place}", kilobytes=300) for place in places]
        submit(world, cases)
        once(world, *cases)
        assert all(proxy.cuts for proxy in proxies)


def test_cut_while_sbatch_runs(world: World, gates: Gates) -> None:
    cases = [case(f"cut {place}", "mario", f"cut-{place}") for place in ("before", "after")]
    with ExitStack() as stack:
        for each, place in zip(cases, ("before", "after"), strict=True):
            proxy = stack.enter_context(proxied(world, each.cluster))
            gates.close(each.name, place)
            submit(world, [each])
            gates.await_arrival(each.name, place)
            proxy.cut()
        await_all(world, [cases[0]], unknown)
        await_all(world, [cases[1]], known)
        for each, place in zip(cases, ("before", "after"), strict=True):
            gates.open(each.name, place)
        once(world, *cases)


def test_stalled_for_longer_than_the_deadline(world: World, gates: Gates) -> None:
    each = case("stalled", "mario", "stalled")
    with proxied(world, "stalled") as proxy:
        gates.close(each.name, "before")
        submit(world, [each])
        gates.await_arrival(each.name, "before")
        proxy.stall()
        gates.open(each.name, "before")
        await_all(world, [each], unknown)
        once(world, each)


def test_a_command_that_arrives_after_its_submission_was_sent_again(world: World, gates: Gates) -> None:
    each = case("late", "mario", "late")
    with proxied(world, "late") as proxy:
        gates.close(each.name, "before submit")
        submit(world, [each])
        gates.await_arrival(each.name, "before submit")
        proxy.hold()
        gates.open(each.name, "before submit")
        proxy.await_held()
        await_all(world, [each], unknown)
        await_all(world, [each], known)
        proxy.deliver()
        once(world, each)


def test_the_login_node_goes_down_before_sbatch_is_run(world: World, gates: Gates, direct: str) -> None:
    each = case("down", "kirby", direct)
    gates.close(each.name, "before")
    submit(world, [each])
    gates.await_arrival(each.name, "before")
    gates.kill(world.bed, each.name, "before", ancestors=3)
    gates.open(each.name, "before")
    once(world, each)


def test_sbatch_is_killed(world: World, gates: Gates, direct: str) -> None:
    each = case("killed", "kirby", direct)
    gates.close(each.name, "before")
    submit(world, [each])
    gates.await_arrival(each.name, "before")
    gates.kill(world.bed, each.name, "before")
    gates.open(each.name, "before")
    once(world, each)


def test_sbatch_takes_longer_than_it_may(world: World, gates: Gates, direct: str) -> None:
    each = case("slow", "kirby", direct)
    gates.close(each.name, "before")
    submit(world, [each])
    await_all(world, [each], unknown)
    gates.open(each.name, "before")
    once(world, each)


def test_slurmctld_takes_a_job_and_says_so_to_nobody(world: World, direct: str) -> None:
    each = case("frozen", "kirby", direct)
    controller = world.bed.slurm.service("slurmctld")
    controller.freeze()
    try:
        submit(world, [each])
        await_all(world, [each], unknown)
    finally:
        controller.thaw()
    once(world, each)


def test_slurmctld_is_away(world: World, direct: str) -> None:
    each = case("away", "kirby", direct)
    controller = world.bed.slurm.service("slurmctld")
    controller.stop()
    try:
        submit(world, [each])
        await_all(world, [each], lambda status: reason(status) == "ControllerUnavailable")
    finally:
        controller.start()
    once(world, each)
