"""What people do to submissions that are there already, on either side, is done on the other one."""

import time
from functools import partial

import pytest

from bed.jobbergate.person import Person
from bed.jobbergate.person import Submission as Row
from tests.synced import ENDED, UNTIL_CANCELLED, appeared, cut_off, ended, made, recognised, running, stopped, until
from tests.world import World

pytestmark = pytest.mark.slow

SOON = 15.0
"""Seconds; 5 where the machine has nothing else to do."""


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    return synced_world


def unsent(world: World, person: Person) -> Row:
    """A submission that is known to come from Jobbergate, and has no job."""
    row = person.submit(person.script(UNTIL_CANCELLED), directory=None)
    recognised(world, row)
    return row


def begun(world: World, person: Person) -> Row:
    """A submission whose job runs."""
    return running(world, person, person.submit(person.script(UNTIL_CANCELLED), directory=None))


def jobs(world: World, token: str) -> list[str]:
    return [job["state"] for job in world.jobs_of(token)]


def test_a_running_job_is_cancelled_soon(world: World, kirby: Person) -> None:
    row = begun(world, kirby)
    began = time.monotonic()

    kirby.cancel(row.id)

    ended(world, kirby, row, "ABORTED", seconds=SOON)
    print(f"cancelled within {time.monotonic() - began:.1f} s")  # noqa: T201


def test_what_is_cancelled_while_it_is_submitted_does_not_run(world: World, kirby: Person) -> None:
    rows = [kirby.submit(kirby.script(UNTIL_CANCELLED), directory=None) for _ in range(4)]
    for row in rows:
        appeared(world, row)
        kirby.cancel(row.id)

    for row in rows:
        # The API itself loses a cancel that comes in the moment in which it notes the job's id: then people cancel again.
        if until(world, kirby, row, lambda row: bool(row.slurm_job_id) or row.status in ENDED).status == "SUBMITTED":
            kirby.cancel(row.id)
        ended(world, kirby, row, "ABORTED")
        look = partial(jobs, world, made(world, row).token)
        world.eventually(look, lambda states: states in ([], ["CANCELLED"]))


def test_what_is_cancelled_while_the_cluster_is_away_never_runs(world: World, kirby: Person) -> None:
    with cut_off(world):
        row = unsent(world, kirby)
        kirby.cancel(row.id)
        ended(world, kirby, row, "ABORTED", seconds=SOON)
    assert made(world, row).status()["phase"] == "Cancelled"
    later = kirby.submit(kirby.script(), directory=None)
    ended(world, kirby, later, "DONE", seconds=150)
    assert jobs(world, made(world, row).token) == []


def test_a_job_that_runs_is_cancelled_once_the_cluster_is_back(world: World, kirby: Person) -> None:
    row = begun(world, kirby)
    with cut_off(world):
        kirby.cancel(row.id)
        world.eventually(lambda: made(world, row).get()["spec"].get("cancel"), bool)
        assert kirby.seen(row.id).status == "CANCELLED"

    assert ended(world, kirby, row, "ABORTED", seconds=150).slurm_job_state == "CANCELLED"


def test_what_was_cancelled_before_anybody_saw_it_is_never_made(world: World, kirby: Person) -> None:
    with stopped(world):
        row = kirby.submit(kirby.script(UNTIL_CANCELLED), directory=None)
        kirby.cancel(row.id)

    aborted = ended(world, kirby, row, "ABORTED")

    assert (aborted.slurm_job_state, aborted.report_message) == ("CANCELLED", "Cancelled before it was submitted.")
    assert made(world, row).is_gone()


def test_what_is_cancelled_while_the_operator_is_away_is_cancelled(world: World, kirby: Person) -> None:
    row = begun(world, kirby)
    with stopped(world):
        kirby.cancel(row.id)

    ended(world, kirby, row, "ABORTED")


def test_cancel_here_is_told_there(world: World, kirby: Person) -> None:
    row = begun(world, kirby)

    made(world, row).patch(cancel=True)

    assert ended(world, kirby, row, "ABORTED").slurm_job_state == "CANCELLED"


def test_a_running_one_that_is_deleted_here_is_aborted_there(world: World, kirby: Person) -> None:
    row = begun(world, kirby)
    token = made(world, row).token

    made(world, row).delete()

    assert kirby.seen(row.id).status == "ABORTED"
    world.eventually(lambda: jobs(world, token), lambda states: states == ["CANCELLED"])


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_one_without_a_job_that_is_taken_back_here_is_rejected_there(world: World, kirby: Person, how: str) -> None:
    with cut_off(world):
        row = unsent(world, kirby)
        if how == "cancel":
            made(world, row).patch(cancel=True)
        else:
            made(world, row).delete(wait=False)
        rejected = ended(world, kirby, row, "REJECTED")
    assert (rejected.report_message or "").startswith("Cancelled: ")


def test_a_script_that_is_deleted_takes_what_waits_with_it(world: World, kirby: Person) -> None:
    with cut_off(world):
        row = unsent(world, kirby)
        kirby.delete_script(row.job_script_id or 0)
        made(world, row).wait_for_phase("Cancelled")
    assert kirby.seen(row.id).status == "REJECTED"


def test_a_script_that_is_deleted_leaves_what_runs(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\nsleep 15\n"), directory=None)
    script = running(world, kirby, row).job_script_id

    kirby.delete_script(script or 0)

    ended(world, kirby, row, "DONE")


def test_a_row_that_is_deleted_before_it_has_a_job_takes_the_resource_with_it(world: World, kirby: Person) -> None:
    with cut_off(world):
        row = unsent(world, kirby)
        token = made(world, row).token
        kirby.delete(row.id)
        world.eventually(made(world, row).is_gone, bool)
    assert jobs(world, token) == []


def test_an_archived_one_goes_on(world: World, kirby: Person) -> None:
    row = begun(world, kirby)
    kirby.archive(row.id)
    kirby.cancel(row.id)

    assert ended(world, kirby, row, "ABORTED").is_archived


def test_a_clone_is_another_one(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(), directory=None)
    done = ended(world, kirby, row, "DONE")

    clone = kirby.clone(row.id)

    again = ended(world, kirby, clone, "DONE")
    assert (again.cloned_from_id, again.id != row.id, again.slurm_job_id != done.slurm_job_id) == (row.id, True, True)


def by_hand(world: World, person: Person, script: str = "sleep 600") -> tuple[int, Row]:
    """A job that somebody has submitted himself and told Jobbergate of."""
    job = int(world.slurm("sbatch", "--parsable", "--chdir=/home/kirby", f"--wrap={script}", user="kirby"))
    return job, person.submit(person.script(), slurm_job_id=job)


def test_a_job_submitted_by_hand_is_cancelled_there(world: World, kirby: Person) -> None:
    job, row = by_hand(world, kirby)
    running(world, kirby, row)

    kirby.cancel(row.id)

    ended(world, kirby, row, "ABORTED")
    state = world.slurm("sacct", "--noheader", "--allocations", "--parsable2", "--format=state", f"--jobs={job}", "--allusers")
    assert state.startswith("CANCELLED")


def test_a_job_that_never_was_is_said_so(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script(), slurm_job_id=987654)

    aborted = ended(world, kirby, row, "ABORTED", seconds=150)

    assert "kirby has no job 987654" in (aborted.report_message or "")


def test_nobody_cancels_somebody_elses_job_by_its_number(world: World, kirby: Person, dovahkiin: Person) -> None:
    job, _ = by_hand(world, kirby)
    row = dovahkiin.submit(dovahkiin.script(), slurm_job_id=job)
    appeared(world, row)
    dovahkiin.cancel(row.id)

    ended(world, dovahkiin, row, "ABORTED", seconds=150)

    assert "RUNNING" in world.slurm("squeue", "--noheader", "--format=%T", f"--jobs={job}", "--all")
    world.slurm("scancel", str(job))
