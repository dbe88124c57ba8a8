"""Jobbergate hears how each submission goes and how it ends, in words that a person can act on, and nothing twice."""

import json

import pytest

from bed.jobbergate.person import Person
from tests.synced import UNTIL_CANCELLED, ended, made, reports, running, until
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    return synced_world


def test_a_submitted_job_is_told_with_its_id_state_and_user(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(UNTIL_CANCELLED), "--begin=now+1hour", "--comment=mine", directory=None)

    submitted = until(world, kirby, row, lambda row: row.status == "SUBMITTED")

    submission = made(world, row)
    assert str(submitted.slurm_job_id) == submission.status()["slurm"]["jobId"]
    assert submitted.slurm_job_state == "PENDING"
    info = json.loads(submitted.slurm_job_info or "")
    assert (info["user"], info["job_id"]) == ("kirby", submission.status()["slurm"]["jobId"])
    world.eventually(lambda: submission.status()["jobbergate"].get("reported"), "PENDING".__eq__)
    kirby.cancel(row.id)
    ended(world, kirby, row, "ABORTED")


REFUSED = {
    "a partition that is not there": (["--partition=nowhere"], "invalid partition specified: nowhere"),
    "an option that sbatch does not have": (["--no-such-option"], "--no-such-option"),
    "a line break": (["--comment=a\n#SBATCH --uid=root"], "sbatch argument 1 has control characters"),
    "quotes that do not end": (["--comment='a"], "sbatch argument 1"),
    "another user": (["--uid=root"], "--uid"),
    "a limit that is none": (["--time=soon"], "time"),
}


def test_what_cannot_be_submitted_is_rejected_in_words(world: World, kirby: Person) -> None:
    script = kirby.script()
    rows = {case: kirby.submit(script, *arguments, directory=None) for case, (arguments, _) in REFUSED.items()}

    for case, (_, words) in REFUSED.items():
        assert words in (ended(world, kirby, rows[case], "REJECTED").report_message or ""), case


def test_a_directory_that_cannot_be_made_is_said(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(), directory="/root/not-mine")

    assert "cannot create directory '/root'" in (ended(world, kirby, row, "REJECTED").report_message or "")


def test_only_changes_are_told(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\nsleep 12\n"), directory=None)

    ended(world, kirby, row, "DONE")

    assert reports(world, row) in (["202"] * 2, ["202"])  # RUNNING if it was submitted as PENDING, and COMPLETED
    assert [state for state, _ in kirby.progress(row.id)] in (["PENDING", "RUNNING", "COMPLETED"], ["RUNNING", "COMPLETED"])


def test_a_job_whose_time_is_up_is_aborted(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(UNTIL_CANCELLED), directory=None)
    job = running(world, kirby, row).slurm_job_id
    world.slurm("scontrol", "update", f"jobid={job}", "EndTime=now")

    aborted = ended(world, kirby, row, "ABORTED")

    assert aborted.slurm_job_state == "TIMEOUT"
    assert (aborted.report_message or "").startswith("TimeLimit")


def test_a_requeued_job_is_not_the_end(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\nwhile [ ! -e ~/go-on ]; do sleep 0.2; done\n"), "--requeue", directory=None)
    job = running(world, kirby, row).slurm_job_id
    world.slurm("scontrol", "requeue", str(job))

    until(world, kirby, row, lambda row: row.slurm_job_state != "RUNNING")
    world.slurm("scontrol", "update", f"jobid={job}", "StartTime=now")
    assert running(world, kirby, row).status == "SUBMITTED"
    world.slurm("touch", "/home/kirby/go-on", user="kirby")

    assert ended(world, kirby, row, "DONE").slurm_job_id == job


def test_a_node_that_dies_under_a_job_that_runs_again_is_not_the_end(world: World, kirby: Person) -> None:
    script = kirby.script('#!/bin/bash\nif [ -n "$SLURM_RESTART_COUNT" ]; then exit 0; fi\nsleep 600\n')
    row = kirby.submit(script, "--requeue", "--nodelist=node4", directory=None)
    job = running(world, kirby, row).slurm_job_id
    node = world.bed.slurm.service("node4")

    node.kill()
    until(world, kirby, row, lambda row: row.slurm_job_state != "RUNNING")
    # on another node: what a slurmd leaves behind that was killed would meet the next run there
    world.slurm("scontrol", "update", f"jobid={job}", "ReqNodeList=node3", "StartTime=now")

    assert ended(world, kirby, row, "DONE").slurm_job_id == job
    assert not {"NODE_FAIL", "FAILED"} & {state for state, _ in kirby.progress(row.id)}
    node.start()


def test_a_node_that_dies_under_a_job_that_does_not_run_again_is(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(UNTIL_CANCELLED), "--no-requeue", "--nodelist=node3", directory=None)
    running(world, kirby, row)
    node = world.bed.slurm.service("node3")

    node.kill()

    assert ended(world, kirby, row, "ABORTED").slurm_job_state == "NODE_FAIL"
    node.start()


@pytest.mark.parametrize(("failing", "status"), [("2", "ABORTED"), ("", "DONE")])
def test_an_array_is_done_when_all_of_it_is(world: World, kirby: Person, failing: str, status: str) -> None:
    script = kirby.script(f'#!/bin/bash\ntest "$SLURM_ARRAY_TASK_ID" != "{failing}"\n')
    row = kirby.submit(script, "--array=1-3", directory=None)

    seen = ended(world, kirby, row, status)

    assert seen.slurm_job_state == ("FAILED" if failing else "COMPLETED")
    array = made(world, row).status()["slurm"]["array"]
    assert (array["total"], array.get("failed", 0)) == (3, 1 if failing else 0)
