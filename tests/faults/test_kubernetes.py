"""The API server refuses, dawdles, dies or forgets, and others write meanwhile: each submission runs once and says so."""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bed import valhalla
from bed.operator import NAMESPACE, RELEASE, Installation
from tests.api import path
from tests.faults.apiserver import away, forget_history, frozen
from tests.faults.counting import Case, await_all, case, known, once, submit
from tests.faults.nursery import Life, Nursery
from tests.faults.reviewer import TIMEOUT_SECONDS, Reviewer, Trouble
from tests.world import Submission, World

PATIENT = {
    "SLURMGATE_LEASE_DURATION": "600",
    "SLURMGATE_LEASE_RENEW_DEADLINE": "400",
    "SLURMGATE_LEASE_RETRY_PERIOD": "0.5",
}
"""An API server that is away for long would end it otherwise: tests/faults/test_leading.py."""
MOST_WRITES = 6
TROUBLED_WRITES = 3


def patient(world: World, **environment: str) -> Installation:
    return world.installation.replica(1, **PATIENT, **environment)


@contextmanager
def leading(world: World, installation: Installation) -> Iterator[Life]:
    with Nursery(installation).life() as life:
        world.eventually(lambda: life.leads, bool)
        yield life


@pytest.fixture
def operator(world: World, _at_rest: None) -> Iterator[Life]:
    with leading(world, patient(world)) as life:
        yield life


def some(label: str, *, script: bool = False) -> list[Case]:
    return [case(label, user, valhalla.CLUSTER, long=script) for user in ("kirby", "mario")]


def waiting(world: World, label: str) -> Submission:
    """A submission whose job runs until it is told to end."""
    submission = world.submit("until [ -e go ]; do sleep 0.2; done", name=label)
    submission.wait_for_state("RUNNING")
    return submission


# It refuses, or takes its time ----------------------------------------------------------------------------------------

TROUBLES = {
    "somebody else wrote": Trouble({"code": 409, "reason": "Conflict", "message": "the object has been modified"}),
    "too many requests": Trouble({"code": 429, "reason": "TooManyRequests", "message": "slow down"}),
    "come back later": Trouble(
        {"code": 429, "reason": "TooManyRequests", "message": "slow down", "details": {"retryAfterSeconds": 1}}
    ),
    "forbidden for a while": Trouble({"code": 403, "reason": "Forbidden", "message": "a policy says no"}),
    "refused without a reason": Trouble({"message": "no"}),
    "invalid for a while": Trouble({"code": 422, "reason": "Invalid", "message": "a policy says no"}),
    "internal error": Trouble(breaks=True),
    "unavailable": Trouble({"code": 503, "reason": "ServiceUnavailable", "message": "leaderless"}),
    "slow": Trouble(seconds=TIMEOUT_SECONDS / 2),
    "too slow": Trouble(seconds=TIMEOUT_SECONDS * 1.5),
}


@pytest.mark.slow
@pytest.mark.usefixtures("operator")
def test_its_troubles_with_our_writes_are_waited_for(world: World, tmp_path: Path) -> None:
    cases = {label: case(label, "kirby", valhalla.CLUSTER) for label in TROUBLES}
    reviewer = Reviewer({each.name: [TROUBLES[label]] * TROUBLED_WRITES for label, each in cases.items()})
    with reviewer.reviewing(world, tmp_path):
        submit(world, cases.values())
        once(world, *cases.values())

    assert reviewer.refused == {each.name: TROUBLED_WRITES for each in cases.values()}
    for each in cases.values():
        submission = Submission(world, valhalla.RESEARCH, each.name)
        world.eventually(submission.get, lambda body: "finalizers" not in body["metadata"])
    writes = {label: world.writes(each.name) for label, each in cases.items()}
    assert {label: found for label, found in writes.items() if len(found) > MOST_WRITES} == {}


# It goes away ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("operator")
def test_it_is_killed_and_much_has_changed_when_it_is_back(world: World) -> None:
    cancelled, deleted = waiting(world, "cancelled-when-back"), waiting(world, "deleted-when-back")
    token = deleted.token
    before, after = some("sent before"), some("sent after")
    submit(world, before)

    with away(world, "kube-apiserver"):
        time.sleep(5)
    cancelled.patch(cancel=True)
    deleted.delete(wait=False)
    submit(world, after)

    cancelled.wait_for_phase("Cancelled")
    world.eventually(deleted.is_gone, bool)
    assert [job["state"] for job in world.jobs_of(token)] == ["CANCELLED"]
    once(world, *before, *after)


@pytest.mark.slow
@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("gone", [("etcd",), ("etcd", "kube-apiserver")], ids=" and ".join)
def test_etcd_is_restarted(world: World, gone: tuple[str, ...]) -> None:
    running = waiting(world, f"etcd-{len(gone)}")
    before, after = some("before etcd"), some("after etcd")
    submit(world, before)
    with away(world, *gone):
        time.sleep(3)
    world.eventually(lambda: world.bed.kubectl("get", "--raw", "/readyz").returncode, lambda code: code == 0)
    submit(world, after)
    running.patch(cancel=True)
    running.wait_for_phase("Cancelled")
    once(world, *before, *after)


@pytest.mark.slow
@pytest.mark.usefixtures("operator")
def test_it_hangs_for_longer_than_a_request_may_take(world: World) -> None:
    cases = some("hanging")
    submit(world, cases)
    time.sleep(0.3)
    with frozen(world):
        time.sleep(35)
    once(world, *cases)


@pytest.mark.slow
def test_a_watch_resumes_where_history_is_forgotten(world: World, operator: Life) -> None:
    with world.cluster("forgotten", limits={"sweepIntervalSeconds": 10}) as sweeping, world.cluster("vanishing") as vanishing:
        for cluster in (sweeping, vanishing):
            cluster.wait_for("Ready", "True")
        cancelled, deleted = waiting(world, "cancelled-unseen"), waiting(world, "deleted-unseen")
        torn_away = sweeping.submit("sleep 600")
        torn_away.wait_for_state("RUNNING")
        token = deleted.token
        operator.signal(signal.SIGSTOP)
        with away(world, "kube-apiserver"):
            pass  # its watches have ended, or it would read from them what comes now
        cancelled.patch(cancel=True)
        deleted.delete(wait=False)
        gone = torn_away.tear_away()
        world.api.delete(path("SlurmCluster", vanishing.name), wait=True)
        new = some("made unseen")
        submit(world, new)
        forget_history(world)
        with away(world, "kube-apiserver"):
            pass
        operator.signal(signal.SIGCONT)

        assert f"(uid {gone}) is gone" in sweeping.wait_for("NoStrayJobs", "False")["message"]
        vanishing.submit().wait_for_reason("ClusterNotFound")
        world.slurm("scancel", *(job["id"] for job in world.jobs_of(gone)))

    cancelled.wait_for_phase("Cancelled")
    world.eventually(deleted.is_gone, bool)
    assert [job["state"] for job in world.jobs_of(token)] == ["CANCELLED"]
    once(world, *new)


@pytest.mark.slow
def test_it_deletes_what_has_got_our_finalizer_meanwhile(world: World, operator: Life, tmp_path: Path) -> None:
    """kube-apiserver reads an object, sees no finalizer, and takes its time before it deletes it, whatever has come by then."""
    go_on = threading.Event()
    slow = Reviewer({"overtaken": [Trouble(until=go_on)]}, resource="jobsubmissions", operation="DELETE", timeout_seconds=30)
    with slow.reviewing(world, tmp_path):
        operator.signal(signal.SIGSTOP)
        submission = world.submit("sleep 600", name="overtaken")
        token = submission.token
        deleting = threading.Thread(target=submission.delete, kwargs={"wait": False})
        deleting.start()
        world.eventually(lambda: slow.refused, bool)
        operator.signal(signal.SIGCONT)
        world.eventually(lambda: [job["state"] for job in world.jobs_of(token)], lambda states: states == ["RUNNING"])
        go_on.set()
        deleting.join()
    assert submission.is_gone()
    world.eventually(lambda: [job["state"] for job in world.jobs_of(token)], lambda states: states == ["CANCELLED"])


# Others write too -----------------------------------------------------------------------------------------------------


@contextmanager
def continuously(act: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            act()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.usefixtures("operator")
def test_others_change_the_object_all_the_time(world: World) -> None:
    cases = some("changed by others")
    where = [path("JobSubmission", each.name, valhalla.RESEARCH) for each in cases]
    count = iter(range(1_000_000))

    def meddle() -> None:
        for each in where:
            world.api.patch(each, {"metadata": {"labels": {"meddled": str(next(count))}}})

    submit(world, cases)
    with continuously(meddle):
        once(world, *cases)

    for each in cases:
        writes = world.writes(each.name)
        assert len(writes) <= MOST_WRITES, writes


@pytest.mark.usefixtures("operator")
def test_cancelled_between_any_two_of_our_writes(world: World, tmp_path: Path) -> None:
    """The webhook holds each of our first writes up for long enough."""
    names = [f"cancelled-under-way-{number}" for number in range(3)]
    slow = Trouble(seconds=TIMEOUT_SECONDS / 2)
    reviewer = Reviewer({name: [Trouble()] * number + [slow] for number, name in enumerate(names)})
    with reviewer.reviewing(world, tmp_path):
        submissions = [world.submit("sleep 600", name=name) for name in names]
        for number, submission in enumerate(submissions):
            world.eventually(lambda: reviewer.refused.get(submission.name, 0), lambda seen: seen > number)  # noqa: B023
            submission.patch(cancel=True)
        for submission in submissions:
            submission.wait_for_phase("Cancelled")

    for submission in submissions:
        assert {job["state"] for job in world.jobs_of(submission.token)} <= {"CANCELLED"}


# Our token ------------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(world: World, folder: Path) -> Iterator[Callable[[str], None]]:
    """A ServiceAccount directory as kubelet makes it; what is yielded mounts a token that lives as long as this Secret."""

    def mount(secret: str) -> None:
        world.make("Secret", secret, namespace=NAMESPACE)
        bound = ["--bound-object-kind=Secret", f"--bound-object-name={secret}"]
        token = world.kubectl("create", "token", RELEASE, f"--namespace={NAMESPACE}", *bound)
        version = folder / f"..{secret}"
        version.mkdir()
        (version / "token").write_text(token)
        shutil.copy(authority, version / "ca.crt")
        (folder / "..data_tmp").symlink_to(version.name)
        (folder / "..data_tmp").rename(folder / "..data")

    authority = Path(world.installation.environment["SLURMGATE_SERVICE_ACCOUNT_DIRECTORY"]) / "ca.crt"
    mount("token-first")
    for name in ("token", "ca.crt"):
        (folder / name).symlink_to(f"..data/{name}")
    yield mount


@pytest.mark.slow
@pytest.mark.usefixtures("_at_rest")
def test_its_token_dies_and_is_replaced(world: World, tmp_path: Path) -> None:
    with ExitStack() as stack:
        mount = stack.enter_context(mounted(world, tmp_path))
        life = stack.enter_context(leading(world, patient(world, SLURMGATE_SERVICE_ACCOUNT_DIRECTORY=str(tmp_path))))
        before, between, after = some("old token"), some("no token"), some("new token")
        submit(world, before)
        await_all(world, before, known)
        running = waiting(world, "through-the-rotation")
        world.api.delete(path("Secret", "token-first", NAMESPACE), wait=True)
        submit(world, between)
        world.eventually(life.log.read_text, lambda log: "Unauthorized" in log)

        mount("token-second")

        submit(world, after)
        running.patch(cancel=True)
        running.wait_for_phase("Cancelled")
        once(world, *before, *between, *after)
