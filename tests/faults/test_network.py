"""The connection breaks while a submission is under way, or Slurm or the login node does; one whole job comes of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bed import valhalla
from tests.api import Json
from tests.faults.counting import (
    LONG_BYTES,
    Case,
    await_all,
    case,
    known,
    once,
    publish_long_script,
    reason,
    submit,
    unknown,
)
from tests.faults.gates import Gates
from tests.faults.proxied import proxied
from tests.world import Submission, World

pytestmark = pytest.mark.usefixtures("_hasty")


def gated(world: World, *, seconds: int = 5) -> Json:
    """What the SlurmClusters here say; `seconds`: what sbatch may take."""
    limits = {"pollIntervalSeconds": 1, "commandTimeoutSeconds": seconds}
    return {"commands": Gates.commands(world.bed), "limits": limits}


@pytest.fixture(scope="module")
def direct(world: World) -> Iterator[str]:
    with world.cluster("direct", **gated(world)) as cluster:
        cluster.wait_for("Ready", "True")
        yield cluster.name


@pytest.mark.slow
def test_cut_anywhere_in_a_long_script_one_whole_job_comes_of_it(world: World) -> None:
    publish_long_script(world)
    with proxied(world, "whole", **gated(world)) as (proxy,):
        proxy.cut()
        whole = case("whole", "kirby", "whole", long=True)
        submit(world, [whole])
        await_all(world, [whole], known)
        total = proxy.sent
        once(world, whole)
    assert total > LONG_BYTES
    # the log-in, the script, and at the end the few kilobytes with which sbatch is run
    places = [100, 1500, 5000, *(total * part // 100 for part in (5, 60)), *range(total - 8000, total, 2000)]
    names = [f"cut-{place}" for place in places]
    with proxied(world, *names, **gated(world)) as proxies:
        for proxy, place in zip(proxies, places, strict=True):
            proxy.cut(again_after=place)
        cases = [case(name, "kirby", name, long=True) for name in names]
        submit(world, cases)
        once(world, *cases)
        assert [proxy.cut_on_the_way for proxy in proxies] == [True] * len(proxies)


@pytest.mark.slow
def test_cut_while_sbatch_runs(world: World, gates: Gates) -> None:
    cases = [case(f"cut {place}", "mario", f"cut-{place}") for place in ("before", "after")]
    with proxied(world, "cut-before", "cut-after", **gated(world)) as proxies:
        for each, place in zip(cases, ("before", "after"), strict=True):
            gates.close(each.name, place)
        submit(world, cases)
        for each, place, proxy in zip(cases, ("before", "after"), proxies, strict=True):
            gates.await_arrival(each.name, place)
            proxy.cut()
        await_all(world, [cases[0]], unknown)
        await_all(world, [cases[1]], known)
        for each, place in zip(cases, ("before", "after"), strict=True):
            gates.open(each.name, place)
        once(world, *cases)


@pytest.mark.slow
def test_stalled_for_longer_than_the_deadline(world: World, gates: Gates) -> None:
    each = case("stalled", "mario", "stalled")
    with proxied(world, "stalled", **gated(world)) as (proxy,):
        gates.close(each.name, "before")
        submit(world, [each])
        gates.await_arrival(each.name, "before")
        proxy.stall()
        gates.open(each.name, "before")
        await_all(world, [each], unknown)
        once(world, each)


@contextmanager
def sent_late(world: World, gates: Gates, label: str) -> Iterator[tuple[Case, Callable[[], None]]]:
    """A submission given up by the operator while its submit program waits for its input; and what gives it that input."""
    each = case(label, "mario", label)
    with proxied(world, label, **gated(world, seconds=60)) as (proxy,):
        gates.close(each.name, "before submit")
        submit(world, [each])
        gates.await_arrival(each.name, "before submit")
        proxy.hold()
        gates.open(each.name, "before submit")
        proxy.await_held()
        await_all(world, [each], unknown)

        def arrive() -> None:
            assert programs(world, "mario")
            proxy.deliver()
            world.eventually(lambda: programs(world, "mario"), lambda left: not left)

        yield each, arrive


def programs(world: World, user: str) -> str:
    """The submit programs that this user runs on the login node."""
    return world.bed.slurm.inside(["pgrep", "--euid", user, "--full", "^timeout -k .* slurmgate [^ ]*/sbatch$"]).stdout


@pytest.mark.slow
def test_a_command_arrives_after_its_submission_was_sent_again(world: World, gates: Gates) -> None:
    with sent_late(world, gates, "late") as (each, arrive):
        await_all(world, [each], known)
        arrive()
        once(world, each)


@pytest.mark.slow
def test_a_command_arrives_after_its_submission_was_cancelled(world: World, gates: Gates) -> None:
    with sent_late(world, gates, "too-late") as (each, arrive):
        submission = Submission(world, valhalla.RESEARCH, each.name)
        submission.patch(cancel=True)
        submission.wait_for_phase("Cancelled")
        arrive()
        time.sleep(1)

        assert world.jobs_of(submission.token) == []


@pytest.mark.slow
@pytest.mark.parametrize("ancestors", [0, 3], ids=["sbatch alone", "the whole login node"])
def test_killed_before_sbatch_has_spoken_with_slurmctld(world: World, gates: Gates, direct: str, ancestors: int) -> None:
    each = case("killed", "kirby", direct)
    gates.close(each.name, "before")
    submit(world, [each])
    gates.await_arrival(each.name, "before")
    gates.kill(world.bed, each.name, "before", ancestors=ancestors)
    gates.open(each.name, "before")
    once(world, each)


@pytest.mark.slow
def test_sbatch_takes_longer_than_it_may(world: World, gates: Gates, direct: str) -> None:
    each = case("slow", "kirby", direct)
    gates.close(each.name, "before")
    submit(world, [each])
    await_all(world, [each], unknown)
    gates.open(each.name, "before")
    once(world, each)


BREAKS: dict[str, tuple[str, str, Callable[[Json], bool]]] = {
    "takes a job and says so to nobody": ("freeze", "thaw", unknown),
    "is away": ("stop", "start", lambda status: reason(status) == "ControllerUnavailable"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("end", "mend", "told"), BREAKS.values(), ids=BREAKS.keys())
def test_slurmctld(world: World, direct: str, end: str, mend: str, told: Callable[[Json], bool]) -> None:
    each = case("controller", "kirby", direct)
    controller = world.bed.slurm.service("slurmctld")
    getattr(controller, end)()
    try:
        submit(world, [each])
        await_all(world, [each], told)
    finally:
        getattr(controller, mend)()
    once(world, each)
