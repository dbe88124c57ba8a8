"""Jobs whose submission is gone: reported or cancelled as the cluster says, left alone if that was meant, and taken back."""

from collections.abc import Iterator

import pytest

from bed import valhalla
from tests.faults.nursery import resting
from tests.world import Cluster, Submission, World, manifest

pytestmark = pytest.mark.slow

ADOPT = "slurmgate.dev/adopt"
LIMITS = {"pollIntervalSeconds": 1, "sweepIntervalSeconds": 10}


@pytest.fixture(scope="module")
def reporting(world: World) -> Iterator[Cluster]:
    """It only says so."""
    with world.cluster("reporting", limits=LIMITS) as cluster:
        cluster.wait_for("NoStrayJobs", "True")
        yield cluster


def running(cluster: Cluster, **spec: object) -> Submission:
    submission = cluster.submit("sleep 600", **spec)
    submission.wait_for_state("RUNNING")
    return submission


def state(world: World, token: str) -> str:
    (job,) = world.jobs_of(token)
    return str(job["state"])


def torn(cluster: Cluster) -> str:
    """A job whose submission was torn away while no operator lived."""
    submission = running(cluster)
    with resting(cluster.world):
        return submission.tear_away()


def test_it_is_reported_and_runs_on(world: World, reporting: Cluster) -> None:
    submission = running(reporting)
    job_id = submission.status()["slurm"]["jobId"]
    with resting(world):
        token = submission.tear_away()
    condition = reporting.wait_for("NoStrayJobs", "False")
    assert condition["reason"] == "StrayJobs"
    assert (
        f"Slurm job {job_id} of kirby: JobSubmission research/{submission.name} (uid {token}) is gone." in condition["message"]
    )
    assert reporting.condition("Ready")["status"] == "True"
    assert 'slurmgate_stray_jobs{cluster="reporting"} 1.0' in world.operator.get("/metrics")
    assert state(world, token) == "RUNNING"
    world.slurm("scancel", job_id)
    reporting.wait_for("NoStrayJobs", "True")


def test_it_is_cancelled_if_the_cluster_says_so(world: World) -> None:
    with world.cluster("strict", limits=LIMITS, strayJobs="Cancel") as cluster:
        cluster.wait_for("NoStrayJobs", "True")
        kept = running(cluster)
        token = torn(cluster)
        world.eventually(lambda: state(world, token), lambda now: now == "CANCELLED")
        said = world.eventually(lambda: [each["message"] for each in cluster.events() if each["reason"] == "StrayJobs"], bool)
        assert "Slurm was asked to cancel it." in said[0]
        assert kept.status()["slurm"]["state"] == "RUNNING"
        kept.delete()


def test_one_left_on_purpose_is_none(world: World) -> None:
    with world.cluster("careful", limits=LIMITS, strayJobs="Cancel") as cluster:
        cluster.wait_for("NoStrayJobs", "True")
        orphan = running(cluster, deletionPolicy="Orphan")
        token = orphan.token
        orphan.delete()
        stray = torn(cluster)  # once it is cancelled, both have been looked at
        world.eventually(lambda: state(world, stray), lambda now: now == "CANCELLED")
        assert state(world, token) == "RUNNING"
        world.slurm("scancel", world.jobs_of(token)[0]["id"])


def test_one_of_another_kubernetes_cluster_is_none(world: World) -> None:
    with world.cluster("neighbourly", limits=LIMITS, strayJobs="Cancel") as cluster:
        cluster.wait_for("NoStrayJobs", "True")
        submission = running(cluster)
        directory = submission.status()["workingDirectory"]
        with resting(world):
            token = submission.tear_away()
            world.write(f"{directory}/.slurmgate/{token}/origin", f"elsewhere research x {token}\n", user="kirby")
        stray = torn(cluster)
        world.eventually(lambda: state(world, stray), lambda now: now == "CANCELLED")
        assert state(world, token) == "RUNNING"
        world.slurm("scancel", world.jobs_of(token)[0]["id"])


def adopt(cluster: Cluster, token: str, *, user: str = "kirby") -> Submission:
    """Submit with the annotation that takes over a job."""
    body = manifest("sleep 600", user=user, clusterRef={"name": cluster.name})
    body["metadata"]["annotations"] = {ADOPT: token}
    cluster.world.apply(body)
    return Submission(cluster.world, valhalla.RESEARCH, body["metadata"]["name"])


@pytest.mark.parametrize("how", ["orphaned", "torn away"])
def test_it_is_taken_back(world: World, reporting: Cluster, how: str) -> None:
    first = running(reporting, deletionPolicy="Orphan")
    before, token = first.status(), first.token
    if how == "orphaned":
        first.delete()
    else:
        first.tear_away()
    second = adopt(reporting, token)
    after = second.wait_for_state("RUNNING")
    assert after["slurm"]["jobId"] == before["slurm"]["jobId"]
    assert after["slurm"]["token"] == token
    assert after["workingDirectory"] == before["workingDirectory"]
    assert after["slurm"]["stdoutPath"] == before["slurm"]["stdoutPath"]
    with resting(world):
        pass  # an operator that starts anew knows it, too
    second.patch(cancel=True)
    second.wait_for_phase("Cancelled")
    assert [job["state"] for job in world.jobs_of(token)] == ["CANCELLED"]
    assert world.jobs_of(second.token) == []


def test_what_cannot_be_taken(world: World, reporting: Cluster) -> None:
    mine = running(reporting)
    mistakes = {
        mine.token: "is still there",
        "00000000-0000-4000-8000-000000000000": "Slurm has no job of kirby",
        "no uid; rm -rf /": "is no uid",
    }
    submissions = {token: adopt(reporting, token) for token in mistakes}
    for token, submission in submissions.items():
        submission.wait_for_phase("Rejected")
        assert mistakes[token] in submission.condition("Failed")["message"]
        assert world.jobs_of(submission.token) == []
    mine.delete()
