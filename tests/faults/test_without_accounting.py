"""A cluster without slurmdbd: what ended while nobody looked is known from what the batch script left beside the output."""

import os
from collections.abc import Iterator
from functools import partial

import pytest

from bed.slurm.options import Options
from tests.api import Json
from tests.faults.nursery import resting
from tests.world import Submission, World, operated

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def forgetful() -> Iterator[World]:
    """No accounting, and a slurmctld that forgets within seconds what has ended."""
    with operated(f"unaccounted-{os.getpid()}", Options(accounting=False, min_job_age=2)) as world:
        world.eventually(lambda: accounting(world), lambda reason: reason == "NoAccounting")
        yield world


def accounting(world: World) -> str:
    conditions = world.api.get("/apis/slurmgate.dev/v1alpha1/slurmclusters/valhalla").get("status", {}).get("conditions", [])
    return next((each["reason"] for each in conditions if each["type"] == "AccountingAvailable"), "")


ENDS: dict[str, tuple[str, Json, tuple[str, str, int, int | None]]] = {
    "exit 0": ("sleep 3", {}, ("Done", "COMPLETED", 0, None)),
    "exit 3": ("sleep 3; exit 3", {}, ("Aborted", "FAILED", 3, None)),
    "exit 137": ("sleep 3; exit 137", {}, ("Aborted", "FAILED", 137, None)),
    "killed": ("sleep 3; kill -KILL $$", {}, ("Aborted", "FAILED", 0, 9)),
    "without srun": ("sleep 3; exit 4", {"launch": {"mode": "None"}}, ("Aborted", "FAILED", 4, None)),
    "several tasks": ("sleep 3; exit 5", {"nodes": 2, "tasks": 2}, ("Aborted", "FAILED", 5, None)),
}


def forgotten(world: World, submission: Submission) -> bool:
    job_id = submission.status()["slurm"]["jobId"]
    return world.bed.slurm.inside(["scontrol", "show", "job", job_id]).returncode != 0


@pytest.fixture(scope="module")
def ended(forgetful: World) -> dict[str, Submission]:
    """They ended, and slurmctld forgot them, while no operator lived."""
    submissions = {name: forgetful.submit(script, **spec) for name, (script, spec, _) in ENDS.items()}
    submissions["array"] = forgetful.submit("sleep 3; exit $SLURM_ARRAY_TASK_ID", array="0-2")
    for each in submissions.values():
        each.wait_for_state("RUNNING")
    with resting(forgetful):
        for each in submissions.values():
            forgetful.eventually(partial(forgotten, forgetful, each), bool)
    return submissions


@pytest.mark.parametrize("name", ENDS)
def test_it_ended_as_its_record_says(ended: dict[str, Submission], name: str) -> None:
    phase, state, exit_code, signal = ENDS[name][2]
    status = ended[name].wait_for_phase(phase)
    slurm = status["slurm"]
    assert (slurm["state"], slurm.get("exitCode"), slurm.get("signal")) == (state, exit_code, signal)
    assert status["usage"]["elapsedSeconds"] >= 3


def test_each_task_of_an_array_left_its_own(ended: dict[str, Submission]) -> None:
    array = ended["array"].wait_for_phase("Aborted")["slurm"]["array"]
    assert (array["succeededIndexes"], array["failedIndexes"]) == ("0", "1-2")


def test_one_that_left_nothing_waits_to_be_lost(forgetful: World) -> None:
    with forgetful.cluster("hasty", limits={"pollIntervalSeconds": 1, "lostAfterSeconds": 10}) as cluster:
        cluster.wait_for("Ready", "True")
        submission = cluster.submit("sleep 600")
        submission.wait_for_state("RUNNING")
        with resting(forgetful):
            status = submission.status()
            forgetful.slurm("scancel", status["slurm"]["jobId"])
            forgetful.eventually(lambda: forgotten(forgetful, submission), bool)
            forgetful.slurm("rm", f"{status['workingDirectory']}/.slurmgate/{submission.token}/exit.job")
        submission.wait_for_reason("Lost")
    assert "neither accounting nor an exit record" in submission.said("Lost")
    assert submission.status()["phase"] == "Submitted"


def test_signals_reach_a_script_that_srun_does_not_start(forgetful: World) -> None:
    script = "trap 'echo caught; exit 6' USR1; while :; do sleep 0.2; done"
    submission = forgetful.submit(script, launch={"mode": "None"})
    job_id = submission.wait_for_state("RUNNING")["slurm"]["jobId"]
    forgetful.slurm("scancel", "--signal=USR1", "--batch", job_id)
    status = submission.wait_for_phase("Aborted")
    assert status["slurm"]["exitCode"] == 6
    assert forgetful.slurm("cat", status["slurm"]["stdoutPath"]) == "caught\n"
