"""Jobs of users who cannot log in any more: a service user holds, releases and cancels them, where jobs are hidden, too."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bed.operator import NAMESPACE
from tests.world import Cluster, World

pytestmark = pytest.mark.slow

SERVICE = "jarvice"


@contextmanager
def locked_out(world: World, user: str) -> Iterator[None]:
    """The user's key is no longer accepted, and no connection made with it is left."""
    away = f"mv /home/{user}/.ssh/authorized_keys /home/{user}/.ssh/away && pkill -u {user} sshd; true"
    back = f"mv /home/{user}/.ssh/away /home/{user}/.ssh/authorized_keys"
    world.slurm("sh", "-c", away)
    try:
        yield
    finally:
        world.slurm("sh", "-c", back)


@contextmanager
def cluster(world: World, name: str, *, service: bool) -> Iterator[Cluster]:
    """Another SlurmCluster, with a service user or without one."""
    ssh = world.login_nodes(world.bed.slurm.description.port)
    if service:
        key = world.bed.slurm.description.users[SERVICE].read_text()
        world.make("Secret", f"{SERVICE}-ssh-key", namespace=NAMESPACE, stringData={"key": key})
        ssh["serviceUser"] = {"name": SERVICE, "privateKeySecretRef": {"name": f"{SERVICE}-ssh-key", "key": "key"}}
    with world.cluster(name, ssh=ssh) as made:
        made.wait_for("Ready", "True")
        yield made


@pytest.fixture(params=["coordinator", "operator"])
def rights(world: World, request: pytest.FixtureRequest) -> Iterator[str]:
    """The service user may change jobs of others: as coordinator of their accounts, or as operator."""
    if request.param == "operator":
        _sacctmgr(world, "delete", "coordinator", "account=nintendo,pc", f"names={SERVICE}")
        _sacctmgr(world, "modify", "user", SERVICE, "set", "adminlevel=operator")
    try:
        yield request.param
    finally:
        if request.param == "operator":
            _sacctmgr(world, "modify", "user", SERVICE, "set", "adminlevel=none")
            _sacctmgr(world, "add", "coordinator", "account=nintendo,pc", f"names={SERVICE}")


def _sacctmgr(world: World, *words: str) -> None:
    world.slurm("sacctmgr", "--immediate", *words)


def test_jobs_of_others_are_followed_held_released_and_cancelled(world: World, rights: str) -> None:
    with cluster(world, f"served-by-{rights}", service=True) as served:
        waiting = served.submit("true", sbatchArguments=["--begin=now+1hour"])
        running = served.submit("sleep 600")
        waiting.wait_for_state("PENDING")
        running.wait_for_state("RUNNING")
        with locked_out(world, "kirby"):
            waiting.patch(suspend=True)
            waiting.wait_for_reason("Held")
            assert waiting.job()["Reason"] == "JobHeldUser", "its user can release it himself"
            waiting.patch(suspend=False)
            world.eventually(waiting.job, lambda job: job["Reason"] != "JobHeldUser")
            running.patch(cancel=True)
            running.wait_for_phase("Cancelled")
            waiting.delete(wait=False)
            world.eventually(waiting.is_gone, bool)
        assert {job["state"] for job in world.jobs_of(running.token)} == {"CANCELLED"}


def test_a_job_of_its_own_user_is_cancelled_by_its_own_user(world: World) -> None:
    with cluster(world, "served", service=True) as served:
        submission = served.submit("sleep 600")
        status = submission.wait_for_state("RUNNING")
        submission.patch(cancel=True)
        submission.wait_for_phase("Cancelled")
        uid = world.slurm("sh", "-c", "id -u kirby").strip()
        state = world.slurm(
            "sacct", "--noheader", "--parsable2", "--allocations", "--format=state", "-j", status["slurm"]["jobId"]
        )
        assert state.strip() == f"CANCELLED by {uid}"


def test_without_a_service_user_they_wait_and_say_why(world: World) -> None:
    with cluster(world, "unserved", service=False) as alone:
        submission = alone.submit("sleep 600")
        submission.wait_for_state("RUNNING")
        with locked_out(world, "kirby"):
            submission.patch(cancel=True)
            submission.wait_for_reason("AuthenticationFailed")
            assert {job["state"] for job in world.jobs_of(submission.token)} == {"RUNNING"}
        submission.wait_for_phase("Cancelled")
