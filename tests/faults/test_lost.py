"""A job that Slurm has forgotten, queue and accounting alike: Lost, which is not failed, and can be deleted."""

from collections.abc import Iterator

import pytest

from bed.slurm.people import CLUSTER, DATABASE
from tests.faults.nursery import resting
from tests.world import Submission, World

pytestmark = pytest.mark.slow

SQL = ["setpriv", "--reuid=slurm", "--regid=slurm", "--clear-groups", "mariadb", "--no-defaults", DATABASE]
HASTY = {"pollIntervalSeconds": 1, "lostAfterSeconds": 10}


@pytest.fixture(scope="module")
def forgetful(world: World) -> Iterator[str]:
    """A SlurmCluster that is not patient, and a slurmctld that forgets within seconds what has ended."""
    remember(world, seconds=2)
    with world.cluster("forgetful", limits=HASTY) as cluster:
        cluster.wait_for("Ready", "True")
        yield cluster.name
    remember(world, seconds=world.bed.slurm.description.options.min_job_age)


def remember(world: World, *, seconds: int) -> None:
    world.slurm("sed", "--in-place", f"s/^MinJobAge=.*/MinJobAge={seconds}/", "/etc/slurm/slurm.conf")
    world.slurm("scontrol", "reconfigure")


def forget(world: World, job_id: str) -> None:
    """Slurm knows nothing of it any more."""
    world.slurm("scancel", job_id)
    world.eventually(lambda: world.bed.slurm.inside(["scontrol", "show", "job", job_id]).returncode, bool)
    world.eventually(lambda: world.slurm("sacct", "--noheader", f"--jobs={job_id}", "--state=CANCELLED"), bool)
    sql = f"delete from {CLUSTER}_job_table where id_job = {job_id}"
    done = world.bed.slurm.inside([*SQL, "--socket=/run/mysqld/mysqld.sock", f"--execute={sql}"])
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def lost(world: World, forgetful: str) -> Submission:
    submission = world.submit("sleep 600", clusterRef={"name": forgetful})
    job_id = submission.wait_for_state("RUNNING")["slurm"]["jobId"]
    with resting(world):
        forget(world, job_id)
    submission.wait_for_reason("Lost")
    return submission


def test_it_is_lost_and_not_failed(lost: Submission) -> None:
    status = lost.status()
    assert status["phase"] == "Submitted"
    conditions = lost.conditions()
    assert conditions["Stalled"] == ("True", "Lost")
    assert conditions["Failed"] == ("False", "Lost")
    assert conditions["Running"] == ("Unknown", "Lost")
    assert f"Neither squeue nor sacct has Slurm job {status['slurm']['jobId']}" in lost.said("Lost")


def test_it_can_be_deleted_at_once(world: World, lost: Submission) -> None:
    lost.delete(wait=False)
    world.eventually(lost.is_gone, bool, seconds=20)


def test_slurm_that_forgets_what_it_has_accounted_for_loses_nothing(world: World, forgetful: str) -> None:
    submission = world.submit("sleep 5; exit 3", clusterRef={"name": forgetful})
    job_id = submission.wait_for_state("RUNNING")["slurm"]["jobId"]
    with resting(world):
        world.eventually(lambda: world.bed.slurm.inside(["scontrol", "show", "job", job_id]).returncode, bool)
    assert submission.wait_for_phase("Aborted")["slurm"]["exitCode"] == 3
