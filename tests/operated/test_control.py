"""Cancel, hold and delete: what the person wants is what Slurm does, and what an admin does is shown, not fought."""

import time
from datetime import UTC, datetime

import pytest

from bed import valhalla
from tests.world import Submission, World

UNTIL_TOLD = "until [ -e go ]; do sleep 0.2; done"
IN_AN_HOUR = ["--begin=now+1hour"]
SEVERAL_POLLS = 4.0


def go(submission: Submission) -> None:
    """Let a job of `UNTIL_TOLD` come to its end."""
    submission.world.slurm("touch", f"{submission.status()['workingDirectory']}/go", user=submission.status()["user"])


def wait_for_output(submission: Submission, text: str) -> None:
    """Return once its job has written this, and nothing else."""
    command = ["cat", submission.status()["slurm"]["stdoutPath"]]
    submission.world.eventually(lambda: submission.world.bed.slurm.inside(command).stdout, lambda found: found == text)


def slurms_state(submission: Submission) -> list[str]:
    """The states of all Slurm jobs of a submission, in Slurm's own words."""
    return [job["state"] for job in submission.world.jobs_of(submission.token)]


def cancelled_in_slurm(world: World, token: str) -> None:
    """Slurm's accounting has one job of this token, and that it was cancelled."""
    world.eventually(lambda: [job["state"] for job in world.jobs_of(token)], lambda states: states == ["CANCELLED"])


def test_a_running_job_is_cancelled(world: World) -> None:
    submission = world.submit("sleep 600")
    submission.wait_for_state("RUNNING")

    submission.patch(cancel=True)

    status = submission.wait_for_phase("Cancelled")
    assert status["slurm"]["state"] == "CANCELLED"
    assert status["observedGeneration"] == 2
    conditions = submission.conditions()
    assert conditions["Failed"] == ("True", "Cancelled")
    assert conditions["Complete"] == ("False", "Cancelled")
    assert submission.events() == ["Submitted", "Running", "Cancelling", "Cancelled"]
    cancelled_in_slurm(world, submission.token)


@pytest.fixture(scope="module")
def never_started(world: World) -> Submission:
    """Cancelled in the queue."""
    submission = world.submit(sbatchArguments=IN_AN_HOUR)
    submission.wait_for_state("PENDING")
    submission.patch(cancel=True)
    submission.wait_for_phase("Cancelled")
    return submission


def test_a_waiting_job_is_cancelled(world: World, never_started: Submission) -> None:
    cancelled_in_slurm(world, never_started.token)
    assert never_started.events() == ["Submitted", "Cancelling", "Cancelled"]


def test_a_job_that_is_cancelled_in_the_queue_never_started(never_started: Submission) -> None:
    """Slurm's accounting says that it started when it was cancelled."""
    assert "startTime" not in never_started.status()["slurm"]


def test_an_array_is_cancelled_as_a_whole(world: World) -> None:
    submission = world.submit("sleep 600", array="0-3%2")
    submission.wait_for(lambda status: status.get("slurm", {}).get("array", {}).get("running") == 2)

    submission.patch(cancel=True)

    array = submission.wait_for_phase("Cancelled")["slurm"]["array"]
    assert (array["failed"], array["failedIndexes"], array["running"], array["pending"]) == (4, "0-3", 0, 0)


def test_what_was_never_submitted_is_cancelled_without_slurm(world: World) -> None:
    waiting = world.submit(clusterRef={"name": "not-there-yet"})
    waiting.wait_for_reason("ClusterNotFound")
    born_cancelled = world.submit(cancel=True)

    waiting.patch(cancel=True)

    for submission in (waiting, born_cancelled):
        submission.wait_for_phase("Cancelled")
        assert submission.condition("Failed")["message"] == "Cancelled before it was submitted."
        assert submission.conditions()["Submitted"][0] == "False"
        assert world.jobs_of(submission.token) == []


def test_cancelling_what_is_over_changes_nothing(world: World) -> None:
    submission = world.submit()
    before = submission.wait_for_phase("Done")

    submission.patch(cancel=True)
    time.sleep(2)

    after = submission.status()
    assert (after["phase"], after["slurm"]) == (before["phase"], before["slurm"])


def test_a_suspended_submission_is_held_until_it_is_let_go(world: World) -> None:
    submission = world.submit("echo ran", suspend=True)
    submission.wait_for_reason("Held")
    assert submission.conditions()["Suspended"] == ("True", "Held")
    job = submission.job()
    assert (job["JobState"], job["Reason"], job["Priority"]) == ("PENDING", "JobHeldUser", "0")

    submission.patch(suspend=False)

    submission.wait_for_phase("Done")
    assert "Suspended" not in submission.conditions()
    assert submission.output() == "ran\n"


def test_a_waiting_job_is_held_and_let_go(world: World) -> None:
    submission = world.submit(sbatchArguments=IN_AN_HOUR)
    submission.wait_for_state("PENDING")

    submission.patch(suspend=True)
    submission.wait_for_reason("Held")
    assert submission.job()["Reason"] == "JobHeldUser"

    submission.patch(suspend=False)
    world.eventually(lambda: submission.job()["Reason"], lambda reason: reason == "BeginTime")
    world.eventually(submission.conditions, lambda conditions: conditions["Ready"][1] == "Queued")
    assert submission.events() == ["Submitted", "Held"]

    submission.patch(cancel=True)


def test_a_held_job_can_be_cancelled(world: World) -> None:
    submission = world.submit(suspend=True)
    submission.wait_for_reason("Held")

    submission.patch(cancel=True)

    submission.wait_for_phase("Cancelled")
    assert "Suspended" not in submission.conditions()
    cancelled_in_slurm(world, submission.token)


def test_suspending_a_running_job_lets_it_run(world: World) -> None:
    submission = world.submit(UNTIL_TOLD)
    submission.wait_for_state("RUNNING")

    submission.patch(suspend=True)
    time.sleep(2)

    assert slurms_state(submission) == ["RUNNING"]
    go(submission)
    submission.wait_for_phase("Done")


def test_deleting_cancels_a_running_job(world: World) -> None:
    submission = world.submit("sleep 600")
    submission.wait_for_state("RUNNING")
    token = submission.token

    submission.delete()  # kubectl waits until the object is gone

    assert submission.is_gone()
    cancelled_in_slurm(world, token)


def test_deleting_cancels_a_waiting_job(world: World) -> None:
    submission = world.submit(sbatchArguments=IN_AN_HOUR)
    submission.wait_for_state("PENDING")
    token = submission.token

    submission.delete()

    cancelled_in_slurm(world, token)


def test_an_orphan_runs_on(world: World) -> None:
    orphan = world.submit(UNTIL_TOLD, deletionPolicy="Orphan")
    status = orphan.wait_for_state("RUNNING")
    token = orphan.token

    orphan.delete()
    time.sleep(2)

    assert [job["state"] for job in world.jobs_of(token)] == ["RUNNING"]
    world.slurm("touch", f"{status['workingDirectory']}/go", user="kirby")
    world.eventually(lambda: world.jobs_of(token)[0]["state"], lambda state: state == "COMPLETED")


def test_the_deletion_policy_may_change_until_the_end(world: World) -> None:
    submission = world.submit("sleep 600", deletionPolicy="Orphan")
    submission.wait_for_state("RUNNING")
    token = submission.token

    submission.patch(deletionPolicy="Cancel")
    submission.delete()

    cancelled_in_slurm(world, token)


def test_what_is_over_can_be_deleted_at_once(world: World) -> None:
    submission = world.submit()
    submission.wait_for_phase("Done")
    world.eventually(submission.get, lambda body: "finalizers" not in body["metadata"])
    token = submission.token

    submission.delete()

    assert [job["state"] for job in world.jobs_of(token)] == ["COMPLETED"]


def test_what_was_never_submitted_can_be_deleted_at_once(world: World) -> None:
    submission = world.submit(clusterRef={"name": "not-there-yet"})
    submission.wait_for_reason("ClusterNotFound")
    assert "finalizers" not in submission.get()["metadata"]

    submission.delete()

    assert submission.is_gone()


def test_a_deleted_submission_may_be_made_again_under_the_same_name(world: World) -> None:
    first = world.submit("echo first", executionDirectory="~/again")
    first.wait_for_phase("Done")
    first_token = first.token
    first.delete()

    second = world.submit("echo second", executionDirectory="~/again", name=first.name)

    second.wait_for_phase("Done")
    assert second.token != first_token
    assert second.output() == "second\n"
    assert len(world.jobs_of(first_token)) == len(world.jobs_of(second.token)) == 1


def test_the_finalizer_is_there_before_sbatch_runs(world: World) -> None:
    submission = world.submit()
    status = submission.wait_for_phase("Done")

    marker = f"{status['workingDirectory']}/.slurmgate/{submission.token}/attempt.1/started"
    sbatch_began = datetime.fromtimestamp(float(world.slurm("stat", "--format=%.Y", marker)), UTC)
    writes = [request for request in world.requests(submission.name) if request.verb == "patch"]

    assert writes[0].resource == "jobsubmissions"  # the finalizer, before anything else is written
    fixed = [datetime.fromtimestamp(request.at, UTC) for request in writes[:2]]  # and the user in its status
    assert max(fixed) < sbatch_began


def test_a_job_that_an_admin_cancels_stays_cancelled(world: World) -> None:
    submission = world.submit("sleep 600")
    job_id = submission.wait_for_state("RUNNING")["slurm"]["jobId"]

    world.slurm("scancel", job_id)

    submission.wait_for_phase("Cancelled")
    assert submission.events() == ["Submitted", "Running", "Cancelled"]
    time.sleep(2)
    assert slurms_state(submission) == ["CANCELLED"]


def test_a_job_that_an_admin_holds_stays_held_until_the_admin_lets_it_go(world: World) -> None:
    submission = world.submit(sbatchArguments=IN_AN_HOUR)
    job_id = submission.wait_for_state("PENDING")["slurm"]["jobId"]

    world.slurm("scontrol", "hold", job_id)

    submission.wait_for_reason("Held")
    assert "JobHeldAdmin" in submission.condition("Ready")["message"]
    time.sleep(SEVERAL_POLLS)
    assert submission.job()["Reason"] == "JobHeldAdmin"  # nobody let it go
    world.slurm("scontrol", "release", job_id)
    world.slurm("scontrol", "update", f"JobId={job_id}", "StartTime=now")
    submission.wait_for_phase("Done")


def test_a_suspended_submission_that_an_admin_lets_go_runs(world: World) -> None:
    submission = world.submit("echo ran", suspend=True)
    submission.wait_for_reason("Held")

    world.slurm("scontrol", "release", submission.status()["slurm"]["jobId"])

    submission.wait_for_phase("Done")
    assert submission.output() == "ran\n"


def test_a_job_that_an_admin_suspends_is_shown_so(world: World) -> None:
    submission = world.submit(f"echo begun\n{UNTIL_TOLD}")
    job_id = submission.wait_for_state("RUNNING")["slurm"]["jobId"]
    wait_for_output(submission, "begun\n")  # a step that is suspended while slurmd starts it may stay so

    world.slurm("scontrol", "suspend", job_id)
    submission.wait_for_state("SUSPENDED")
    assert submission.conditions()["Running"] == ("True", "Suspended")

    world.slurm("scontrol", "resume", job_id)
    submission.wait_for_state("RUNNING")
    go(submission)
    submission.wait_for_phase("Done")


def test_a_requeued_job_runs_again_and_ends_once(world: World) -> None:
    submission = world.submit(UNTIL_TOLD, sbatchArguments=["--requeue"])
    job_id = submission.wait_for_state("RUNNING")["slurm"]["jobId"]

    world.slurm("scontrol", "requeue", job_id)
    status = submission.wait_for(lambda status: (status["slurm"]["state"], status["slurm"].get("restarts")) == ("PENDING", 1))
    assert status["phase"] == "Submitted"
    assert submission.conditions()["Ready"] == ("False", "Requeued")
    world.slurm("scontrol", "update", f"JobId={job_id}", "StartTime=now")
    go(submission)

    status = submission.wait_for_phase("Done")
    assert status["slurm"]["jobId"] == job_id
    assert submission.events()[-1] == "Completed"


def test_a_job_that_cannot_be_cancelled_holds_its_deletion_up_no_longer_than_the_cluster_allows(world: World) -> None:
    commands = {**valhalla.cluster_spec(world.bed)["commands"], "scancel": "/bin/false"}
    limits = {"pollIntervalSeconds": 1, "deletionDeadlineSeconds": 10}
    with world.cluster("stubborn", commands=commands, limits=limits) as cluster:
        submission = cluster.submit("sleep 600")
        status = submission.wait_for_state("RUNNING")
        token, job_id = submission.token, status["slurm"]["jobId"]

        submission.delete(wait=False)
        world.eventually(submission.is_gone, bool)

        assert [job["state"] for job in world.jobs_of(token)] == ["RUNNING"]
        world.slurm("scancel", job_id)
        left = f"Could not cancel Slurm job {job_id} within 10 s; it may still run."
        world.eventually(lambda: world.events(submission.name), lambda events: left in str(events))
        assert 'slurmgate_jobs_left_behind_total{cluster="stubborn"} 1.0' in world.operator.get("/metrics")
