"""What people do in Jobbergate happens on the cluster, and Jobbergate hears how it goes."""

import pytest

from bed.jobbergate.person import Person
from tests.synced import ended, made, running
from tests.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    return synced_world


def test_a_submission_runs_as_its_owner_and_is_done(world: World, kirby: Person) -> None:
    script = kirby.script(
        "#!/bin/bash\nid --user --name\ncat data.bin deep/note.txt\n",
        files={"data.bin": b"\x00\xff!", "deep/note.txt": b"hello\n"},
    )
    row = kirby.submit(script, "--time=5", "--job-name='two words'", directory="/home/kirby/by-jobbergate")

    done = ended(world, kirby, row, "DONE")

    submission = made(world, row)
    status = submission.status()
    assert (status["phase"], status["user"]) == ("Done", "kirby")
    assert str(done.slurm_job_id) == status["slurm"]["jobId"]
    assert (status["jobbergate"]["id"], status["jobbergate"]["reported"]) == (row.id, "COMPLETED")
    assert submission.conditions()["Synced"] == ("True", "Synced")
    assert submission.output().startswith("kirby\n")
    assert "hello" in submission.output()
    assert status["workingDirectory"] == "/home/kirby/by-jobbergate"
    progress = [state for state, _ in kirby.progress(row.id)]
    assert progress[-1] == "COMPLETED"


def test_one_that_fails_says_how(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\nexit 3\n"), directory=None)

    aborted = ended(world, kirby, row, "ABORTED")

    assert aborted.slurm_job_state == "FAILED"
    assert "exit code 3" in (aborted.report_message or "")


def test_an_owner_whom_nobody_knows_is_rejected_with_the_reason(world: World) -> None:
    stranger = Person(world.bed.jobbergate, "stranger@example.org")
    row = stranger.submit(stranger.script())

    rejected = ended(world, stranger, row, "REJECTED")

    assert "stranger@example.org is not in the user mapping" in (rejected.report_message or "")


def test_an_owner_whom_the_namespace_does_not_list_may_submit_in_jobbergate(world: World, dovahkiin: Person) -> None:
    row = dovahkiin.submit(dovahkiin.script("#!/bin/bash\nid --user --name\n"), directory=None)

    ended(world, dovahkiin, row, "DONE")

    assert made(world, row).output() == "dovahkiin\n"


def test_a_running_job_is_cancelled_in_jobbergate(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\nsleep 600\n"), directory=None)
    running(world, kirby, row)

    kirby.cancel(row.id)

    aborted = ended(world, kirby, row, "ABORTED")
    assert aborted.slurm_job_state == "CANCELLED"
    assert made(world, row).status()["phase"] == "Cancelled"


def test_a_row_that_is_deleted_takes_its_job_with_it(world: World, kirby: Person) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\nsleep 600\n"), directory=None)
    running(world, kirby, row)
    submission = made(world, row)
    token = submission.token

    kirby.delete(row.id)

    world.eventually(submission.is_gone, bool, seconds=60)
    world.eventually(lambda: [job["state"] for job in world.jobs_of(token)], lambda states: states == ["CANCELLED"])


def test_a_job_submitted_on_the_cluster_is_followed(world: World, kirby: Person) -> None:
    job = world.slurm("sbatch", "--parsable", "--chdir=/home/kirby", "--wrap=sleep 3", user="kirby").strip()
    row = kirby.submit(kirby.script(), slurm_job_id=int(job))

    done = ended(world, kirby, row, "DONE")

    assert done.slurm_job_id == int(job)
    assert made(world, row).status()["slurm"]["jobId"] == job
