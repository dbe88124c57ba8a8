"""From the real Jobbergate Agent to Slurmgate and back, as the how-to has it: nothing is submitted twice, nothing is lost."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bed import valhalla
from bed.jobbergate.agent import agent
from bed.jobbergate.person import Person
from tests.api import path
from tests.world import Submission, World, operated

pytestmark = pytest.mark.slow

SHORTEST_INTERVAL = 10
LONG = "#!/bin/bash\nsleep 600\n"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with operated(f"switch-{os.getpid()}", jobbergate=True) as world:
        yield world


@pytest.fixture
def kirby(world: World) -> Person:
    return Person(world.bed.jobbergate, f"kirby@{valhalla.MAIL_DOMAIN}")


@contextmanager
def agent_running(world: World) -> Iterator[None]:
    """The Agent, which submits everything as kirby."""
    service = agent(world.bed, user="kirby", interval_seconds=SHORTEST_INTERVAL)
    service.start()
    try:
        yield
    finally:
        service.stop()


def test_the_switch_takes_over_what_the_agent_has_submitted_and_what_it_has_not(world: World, kirby: Person) -> None:
    end_sync(world)
    old = kirby.submit(kirby.script(LONG), directory="/home/kirby").id
    with agent_running(world):
        world.eventually(lambda: kirby.seen(old).slurm_job_state, lambda state: state == "RUNNING")
    new = kirby.submit(kirby.script(), directory=None).id

    sync = valhalla.jobbergate_spec(world.bed)
    world.api.patch(path("SlurmCluster", valhalla.CLUSTER), {"spec": {"jobbergate": sync}})

    world.eventually(lambda: kirby.seen(new).status, lambda status: status == "DONE")
    followed = made(world, old)
    followed.wait_for_state("RUNNING")
    assert followed.status()["slurm"]["jobId"] == str(kirby.seen(old).slurm_job_id)
    world.eventually(lambda: jobs(world), lambda ids: ids == {job_of(kirby, old), job_of(kirby, new)})
    kirby.cancel(old)
    world.eventually(lambda: kirby.seen(old).status, lambda status: status == "ABORTED")


def test_the_way_back_leaves_nothing_that_would_be_submitted_twice(world: World, kirby: Person) -> None:
    before = jobs(world)
    runs = kirby.submit(kirby.script(LONG), directory=None).id
    world.eventually(lambda: kirby.seen(runs).slurm_job_state, lambda state: state == "RUNNING")
    world.slurm("sacctmgr", "--immediate", "modify", "user", "kirby", "set", "MaxSubmitJobs=1")
    waits = kirby.submit(kirby.script(), directory=None).id
    world.eventually(lambda: unheard(world), lambda names: names == {f"jg-valhalla-{waits}"})

    # Let no more in.
    world.kubectl("delete", "rolebinding", "slurmgate-jobbergate", f"--namespace={valhalla.RESEARCH}")
    late = kirby.submit(kirby.script(LONG), directory="/home/kirby").id
    world.eventually(lambda: synced(world), lambda words: f"submission {late} waits" in words)

    # Settle what was let in.
    made(world, waits).patch(cancel=True)
    world.eventually(lambda: unheard(world), lambda names: not names)
    world.slurm("sacctmgr", "--immediate", "modify", "user", "kirby", "set", "MaxSubmitJobs=-1")
    assert [kirby.seen(number).status for number in (runs, waits, late)] == ["SUBMITTED", "REJECTED", "CREATED"]

    end_sync(world)

    with agent_running(world):
        world.eventually(lambda: kirby.seen(late).slurm_job_state, lambda state: state == "RUNNING")
        world.slurm("scancel", job_of(kirby, runs))
        world.eventually(lambda: kirby.seen(runs).status, lambda status: status == "ABORTED")
    made(world, runs).wait_for_phase("Cancelled")
    assert f"jg-valhalla-{late}" not in world.submissions()
    world.eventually(lambda: jobs(world) - before, lambda ids: ids == {job_of(kirby, runs), job_of(kirby, late)})


def end_sync(world: World) -> None:
    patch = '--patch=[{"op": "remove", "path": "/spec/jobbergate"}]'
    world.kubectl("patch", "slurmcluster", valhalla.CLUSTER, "--type=json", patch)


def made(world: World, number: int) -> Submission:
    """The JobSubmission of a submission in Jobbergate."""
    return Submission(world, valhalla.RESEARCH, f"jg-valhalla-{number}")


def unheard(world: World) -> set[str]:
    """What the how-to's query prints: what is here and Jobbergate has not heard of."""
    found = world.submissions(query=f"?labelSelector=slurmgate.dev/jobbergate-cluster={valhalla.CLUSTER}")
    statuses = {name: item.get("status", {}) for name, item in found.items()}
    return {
        name
        for name, status in statuses.items()
        if "reported" not in status.get("jobbergate", {})
        and all(each["reason"] != "NotFromJobbergate" for each in status.get("conditions", []))
    }


def synced(world: World) -> str:
    """What the SlurmCluster says of the sync."""
    conditions = world.api.get(path("SlurmCluster", valhalla.CLUSTER)).get("status", {}).get("conditions", [])
    return next((str(each["message"]) for each in conditions if each["type"] == "JobbergateSynced"), "")


def jobs(world: World) -> set[str]:
    """The ids of all jobs of which slurmdbd has heard; it does so in its own time."""
    return set(
        world.slurm("sacct", "--noheader", "--allocations", "--allusers", "--format=jobid%20", "--starttime=now-1day").split()
    )


def job_of(kirby: Person, number: int) -> str:
    return str(kirby.seen(number).slurm_job_id)
