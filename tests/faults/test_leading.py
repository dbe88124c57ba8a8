"""Two operators, one Lease: however the one that leads goes, the other goes on, and each submission runs once."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bed import valhalla
from bed.operator import RELEASE
from slurmgate.kube.deadman import EXIT_STATUS
from tests.faults.apiserver import frozen
from tests.faults.counting import Case, await_all, case, ended, known, once, statuses, submit, wrongs
from tests.faults.doomed import Fate
from tests.faults.leases import LEASE, lease
from tests.faults.mutants import unfenced, unmarked
from tests.faults.nursery import Life, Nursery
from tests.world import World

USERS = ("kirby", "mario")
SHORT = {"DURATION": "6", "RENEW_DEADLINE": "4", "RETRY_PERIOD": "0.5"}
"""Seconds. Long enough for a busy machine."""
LONG = {"DURATION": "600", "RENEW_DEADLINE": "400", "RETRY_PERIOD": "0.5"}
"""Longer than any test waits."""

pytestmark = pytest.mark.usefixtures("_at_rest")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(world: World, stack: ExitStack, number: int, terms: dict[str, str], fate: Fate | None = None) -> Life:
    environment = {f"SLURMGATE_LEASE_{name}": value for name, value in terms.items()}
    life = stack.enter_context(Nursery(world.installation.replica(number, **environment)).life(fate))
    world.eventually(lambda: life.ready, bool)
    return life


def pair(world: World, stack: ExitStack, terms: dict[str, str], fate: Fate | None = None) -> tuple[Life, Life]:
    """One that leads and, with this fate, and one that stands by."""
    leader = start(world, stack, 1, terms, fate)
    world.eventually(lambda: leader.leads, bool)
    return leader, start(world, stack, 2, terms, Fate(hasty=True))


def cases(label: str, *, times: int = 3) -> list[Case]:
    return [case(label, user, valhalla.CLUSTER) for user in USERS * times]


def test_one_leads_the_other_is_ready_and_goes_on_at_once_when_the_first_is_stopped(world: World, stack: ExitStack) -> None:
    leader, standby = pair(world, stack, LONG)
    assert (standby.ready, standby.get("/healthz"), standby.leads) == (True, "ok\n", False)
    assert lease(world)["holderIdentity"].startswith(f"{RELEASE}-1_")
    before, after = cases("before the stop"), cases("after the stop")
    submit(world, before)

    assert leader.stop() == 0

    submit(world, after)
    world.eventually(lambda: standby.leads, bool, seconds=20)
    once(world, *before, *after)
    assert lease(world)["holderIdentity"].startswith(f"{RELEASE}-2_")


@pytest.mark.slow
def test_the_leader_is_killed(world: World, stack: ExitStack) -> None:
    leader, standby = pair(world, stack, SHORT)
    submitted = cases("killed leader")
    submit(world, submitted)

    leader.kill()

    assert not standby.leads
    world.eventually(lambda: standby.leads, bool, seconds=30)
    once(world, *submitted)


def test_somebody_takes_the_lease_away(world: World, stack: ExitStack) -> None:
    leader, standby = pair(world, stack, LONG)
    world.api.delete(LEASE, wait=False)
    world.eventually(lambda: world.api.has(LEASE), bool)
    assert leader.leads, "it makes a Lease that was deleted again"

    world.api.patch(LEASE, {"spec": {"holderIdentity": "a thief", "leaseDurationSeconds": 1}})

    assert leader.await_end() == EXIT_STATUS
    assert "was lost: a thief has it" in leader.log.read_text()
    world.eventually(lambda: standby.leads, bool)


@pytest.mark.slow
def test_the_api_server_is_away_for_longer_than_the_leader_may_be_silent(world: World, stack: ExitStack) -> None:
    leader, standby = pair(world, stack, SHORT)
    submitted = cases("away")
    submit(world, submitted)

    with frozen(world):
        assert leader.await_end() == EXIT_STATUS
    assert "could not be renewed for 4 s: the API server gave no answer within 2 s" in leader.log.read_text()

    world.eventually(lambda: standby.leads, bool)
    once(world, *submitted)


@pytest.mark.slow
def test_the_api_server_is_away_for_less(world: World, stack: ExitStack) -> None:
    leader, _ = pair(world, stack, {**SHORT, "DURATION": "20", "RENEW_DEADLINE": "15"})
    submitted = cases("away for less")
    with frozen(world):
        assert not leader.ends_within(6)
    submit(world, submitted)
    once(world, *submitted)
    assert leader.leads


# A leader that is stopped for longer than it may, and wakes up when another leads --------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.0, 0.3, 0.6])
def test_it_is_paused_at_any_moment(world: World, stack: ExitStack, moment: float) -> None:
    leader, standby = pair(world, stack, SHORT)
    submitted = cases(f"paused {moment}")
    submit(world, submitted)
    time.sleep(moment)
    leader.signal(signal.SIGSTOP)
    world.eventually(lambda: standby.leads, bool)
    await_all(world, submitted, ended)
    told = leader.log.read_text()

    leader.signal(signal.SIGCONT)

    assert leader.await_end() == EXIT_STATUS
    (last,) = leader.log.read_text().removeprefix(told).splitlines()
    assert "could not be renewed for 4 s: this process was stopped or had no time" in last
    assert wrongs(world, submitted) == {}


def pause_before_sbatch(world: World, stack: ExitStack, tmp_path: Path, woken: Fate) -> tuple[Life, list[Case]]:
    """A leader that is about to run the submit program when it is stopped, and goes on when another has submitted."""
    leader, standby = pair(world, stack, SHORT, woken)
    submitted = cases("about to submit", times=1)
    for each in submitted:
        (tmp_path / f"{each.name}.before submit").touch()
    submit(world, submitted)
    for each in submitted:
        world.eventually((tmp_path / f"{each.name}.before submit.reached").exists, bool)
    leader.signal(signal.SIGSTOP)
    for each in submitted:
        (tmp_path / f"{each.name}.before submit").unlink()
    world.eventually(lambda: standby.leads, bool)
    await_all(world, submitted, known)
    leader.signal(signal.SIGCONT)
    return leader, submitted


@pytest.mark.slow
def test_it_is_paused_when_it_is_about_to_submit(world: World, stack: ExitStack, tmp_path: Path) -> None:
    leader, submitted = pause_before_sbatch(world, stack, tmp_path, Fate(gates=tmp_path))

    assert leader.await_end() == EXIT_STATUS
    once(world, *submitted)


@pytest.mark.slow
def test_the_marker_stops_one_that_does_not_notice(world: World, stack: ExitStack, tmp_path: Path) -> None:
    leader, submitted = pause_before_sbatch(world, stack, tmp_path, Fate(gates=tmp_path, mistakes=[unfenced]))

    assert not leader.ends_within(5)
    once(world, *submitted)


@pytest.mark.slow
def test_this_test_notices_one_that_nothing_stops(world: World, stack: ExitStack, tmp_path: Path) -> None:
    leader, submitted = pause_before_sbatch(world, stack, tmp_path, Fate(gates=tmp_path, mistakes=[unfenced, unmarked]))

    assert not leader.ends_within(5)
    tokens = [status["uid"] for status in statuses(world, submitted).values()]
    assert min(len(world.jobs_of(token)) for token in tokens) > 1
