"""What an admin, or Slurm by itself, does to jobs: it is shown as it is, and taken for an end only if it is one."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api import Json
from tests.world import Submission, World

pytestmark = pytest.mark.slow

WHOLE: Json = {"nodes": 4, "sbatchArguments": ["--exclusive"]}
UNTIL_TOLD = "until [ -e go ]; do sleep 0.2; done; echo over"


@pytest.fixture(autouse=True)
def _empty_queue(world: World) -> Iterator[None]:
    yield
    cancel_all(world)
    resume_nodes(world)


def cancel_all(world: World) -> None:
    for user in ("kirby", "mario"):
        world.slurm("scancel", f"--user={user}")


def running(world: World, script: str = "sleep 600", **spec: Any) -> tuple[Submission, str]:
    submission = world.submit(script, **spec)
    return submission, submission.wait_for_state("RUNNING")["slurm"]["jobId"]


def go(submission: Submission) -> None:
    submission.world.slurm("touch", f"{submission.status()['workingDirectory']}/go")


def update(world: World, job_id: str, change: str) -> None:
    """As root; for a moment Slurm refuses that for jobs that have just begun or been requeued."""
    command = ["scontrol", "update", f"jobid={job_id}", change]
    world.eventually(lambda: world.bed.slurm.inside(command).returncode, lambda status: status == 0)


def start_now(world: World, job_id: str) -> None:
    """A requeued job waits for two minutes otherwise."""
    update(world, job_id, "StartTime=now")


def fail_node_of(submission: Submission) -> None:
    """And keep it out until nothing is left of it there, or Slurm takes the end of its old step for that of the next one."""
    world, slurm = submission.world, submission.status()["slurm"]
    script = ["pgrep", "--full", f"/job0*{slurm['jobId']}/slurm_script"]
    assert world.slurm(*script)
    for state in ("down", "drain"):
        world.slurm("scontrol", "update", f"nodename={slurm['nodes']}", f"state={state}", "reason=test")
    world.eventually(lambda: world.bed.slurm.inside(script).returncode, lambda status: status != 0)


def resume_nodes(world: World) -> None:
    """Slurm refuses that for nodes that are well."""
    for number in range(1, 5):
        world.bed.slurm.inside(["scontrol", "update", f"nodename=node{number}", "state=resume"])


def again(submission: Submission, job_id: str) -> None:
    """It runs again, comes to its end, and counts as started once more."""
    submission.wait_for(lambda status: status["slurm"]["state"] == "PENDING")
    assert submission.status()["phase"] == "Submitted"
    start_now(submission.world, job_id)
    submission.wait_for_state("RUNNING")
    go(submission)
    status = submission.wait_for_phase("Done")
    assert (status["slurm"]["restarts"], status["slurm"]["jobId"]) == (1, job_id)


def test_one_that_is_preempted_runs_again(world: World) -> None:
    submission, job_id = running(world, UNTIL_TOLD, user="mario", **WHOLE)
    urgent = world.submit("true", qos="high", **WHOLE)
    urgent.wait_for_phase("Done")
    again(submission, job_id)


def test_one_whose_node_fails_runs_again(world: World) -> None:
    submission, job_id = running(world, UNTIL_TOLD)
    fail_node_of(submission)
    again(submission, job_id)


def test_one_whose_node_fails_and_that_may_not_be_requeued_has_failed(world: World) -> None:
    submission, _ = running(world, sbatchArguments=["--no-requeue"])
    fail_node_of(submission)
    status = submission.wait_for_phase("Aborted")
    assert status["slurm"]["state"] == "NODE_FAIL"
    assert submission.conditions()["Failed"] == ("True", "NodeFail")


@pytest.mark.parametrize("how", [["requeuehold"], ["requeuehold", "state=SpecialExit"]], ids=" ".join)
def test_one_that_is_requeued_on_hold_waits_until_it_is_released(world: World, how: list[str]) -> None:
    submission, job_id = running(world, UNTIL_TOLD)
    world.slurm("scontrol", *how, job_id)
    submission.wait_for_reason("Held")
    assert submission.status()["phase"] == "Submitted"
    world.slurm("scontrol", "release", job_id)
    again(submission, job_id)


def test_tasks_of_an_array_are_requeued_one_by_one(world: World) -> None:
    submission = world.submit(f"[ $SLURM_ARRAY_TASK_ID = 1 ] || exit 0; {UNTIL_TOLD}; exit 4", array="0-2")
    submission.wait_for(lambda status: status.get("slurm", {}).get("array", {}).get("succeededIndexes") == "0,2")
    job_id = submission.status()["slurm"]["jobId"]
    world.slurm("scontrol", "requeue", f"{job_id}_1")
    submission.wait_for(lambda status: status["slurm"]["array"].get("pending") == 1)
    start_now(world, f"{job_id}_1")
    submission.wait_for(lambda status: status["slurm"]["array"].get("running") == 1)
    go(submission)
    array = submission.wait_for_phase("Aborted")["slurm"]["array"]
    assert (array["succeededIndexes"], array["failedIndexes"]) == ("0,2", "1")


def test_one_that_an_admin_changes_is_followed(world: World) -> None:
    submission = world.submit("sleep 600", sbatchArguments=["--begin=now+1hour"])
    job_id = submission.wait_for_state("PENDING")["slurm"]["jobId"]
    changes = ["JobName=renamed", "Partition=night", "TimeLimit=7", "Comment=by an admin", "StartTime=now"]
    for change in changes:
        update(world, job_id, change)
    status = submission.wait_for_state("RUNNING")
    assert status["slurm"]["partition"] == "night"
    submission.patch(cancel=True)
    submission.wait_for_phase("Cancelled")


def test_one_that_runs_out_of_time_says_so(world: World) -> None:
    submission, job_id = running(world)
    update(world, job_id, "EndTime=now")
    submission.wait_for_phase("Aborted")
    assert submission.conditions()["Failed"] == ("True", "TimeLimit")


def test_why_one_waits_and_until_when(world: World) -> None:
    running(world, timeLimit="30", **WHOLE)
    submission = world.submit("true", user="mario", timeLimit="5", **WHOLE)
    submission.wait_for_reason("QueuedResources")
    assert "once enough nodes" in submission.condition("Ready")["message"]
    submission.wait_for(lambda status: "estimatedStartTime" in status["slurm"])
    world.slurm("scontrol", "hold", submission.status()["slurm"]["jobId"])
    submission.wait_for_reason("Held")
    assert "an admin holds it, and only an admin can release it" in submission.condition("Ready")["message"]


def begin_anew(world: World, first_id: str) -> None:
    """slurmctld with an empty state directory."""
    controller = world.bed.slurm.service("slurmctld")
    controller.kill()
    world.slurm("find", "/run/bed/state", "-mindepth", "1", "-not", "-name", "jobcomp.log", "-delete")
    world.slurm("sed", "--in-place", "/^FirstJobId=/d", "/etc/slurm/slurm.conf")
    world.slurm("sed", "--in-place", f"$ a FirstJobId={first_id}", "/etc/slurm/slurm.conf")
    controller.start()
    world.eventually(lambda: world.slurm("sinfo", "--noheader", "--states=idle", "--format=%D"), bool)


def test_a_slurm_that_begins_anew_and_counts_from_one_again_ends_nothing(world: World) -> None:
    """The ids of our jobs are given to others."""
    cancel_all(world)
    submission, job_id = running(world)
    begin_anew(world, job_id)
    other = world.slurm("sbatch", "--parsable", "--wrap=exit 5", user="kirby").strip()
    assert other == job_id
    world.submit("true").wait_for_phase("Done")  # several looks later
    status = submission.status()
    # slurmdbd lets the jobs of a Slurm that forgot them end as cancelled; the other one cannot be launched beside the old step
    assert (status["phase"], status["slurm"]["state"]) in {("Submitted", "RUNNING"), ("Cancelled", "CANCELLED")}
    assert "restarts" not in status["slurm"]


@pytest.mark.parametrize("wish", ["deleted", "held"])
def test_the_job_that_has_our_id_now_is_not_touched(world: World, wish: str) -> None:
    cancel_all(world)
    with world.cluster("looked-at-seldom", limits={"pollIntervalSeconds": 20}) as cluster:
        submission = cluster.submit("sleep 600")
        job_id = submission.wait_for_state("RUNNING")["slurm"]["jobId"]
        begin_anew(world, job_id)
        options = ["--hold"] if wish == "deleted" else ["--begin=now+1hour"]
        other = world.slurm("sbatch", "--parsable", *options, "--wrap=true", user="kirby").strip()
        assert other == job_id
        before = world.slurm("squeue", "--noheader", f"--jobs={job_id}", "--format=%T %r")
        if wish == "deleted":
            submission.delete(wait=False)
            world.eventually(submission.is_gone, bool)
        else:
            submission.patch(suspend=True)
            submission.wait_for_phase("Cancelled")  # as slurmdbd says
        assert world.slurm("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T %r") == before
