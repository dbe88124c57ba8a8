"""Submissions that are made with kubectl are seen in Jobbergate, too, where they ask for it."""

import os
from collections.abc import Iterator

import pytest

from bed import valhalla
from bed.jobbergate.person import Person
from bed.jobbergate.realm import AGENT, PERSON
from tests.world import Cluster, World, operated

pytestmark = pytest.mark.slow

ROBOT = "slurmgate@example.org"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with operated(f"registers-{os.getpid()}", jobbergate=True) as world:
        yield world


@pytest.fixture(scope="module")
def registrar(world: World) -> Iterator[Cluster]:
    """A cluster whose client may make submissions."""
    secret = world.bed.jobbergate.realm.add("registrar", *AGENT, *PERSON, email=ROBOT)
    world.make("Secret", "registrar", namespace="slurmgate-system", stringData={"secret": secret})
    spec = valhalla.jobbergate_spec(world.bed, clientId="registrar", clientSecretRef={"name": "registrar", "key": "secret"})
    with world.cluster("registrar", jobbergate=spec) as cluster:
        yield cluster


@pytest.fixture
def robot(world: World) -> Person:
    return Person(world.bed.jobbergate, ROBOT)


def test_it_is_seen_there_and_hears_how_it_ends(registrar: Cluster, robot: Person) -> None:
    submission = registrar.submit("sleep 2", jobbergate={"register": True})

    status = submission.world.eventually(
        submission.status, lambda status: status.get("jobbergate", {}).get("reported") == "COMPLETED"
    )

    row = robot.seen(status["jobbergate"]["id"])
    assert (row.status, row.name, row.client_id) == ("DONE", f"research/{submission.name}", "registrar")
    assert str(row.slurm_job_id) == status["slurm"]["jobId"]


def test_it_is_registered_once_and_cancelled_there(world: World, registrar: Cluster, robot: Person) -> None:
    submission = registrar.submit("sleep 600", jobbergate={"register": True})
    number = submission.wait_for(lambda status: "id" in status.get("jobbergate", {}))["jobbergate"]["id"]
    job = submission.status()["slurm"]["jobId"]

    robot.cancel(number)

    submission.wait_for_phase("Cancelled")
    world.eventually(lambda: robot.seen(number).status, lambda status: status == "ABORTED")
    assert world.bed.jobbergate.sql(f"select count(*) from job_submissions where slurm_job_id = {job}").strip() == "1"


def test_a_row_that_is_deleted_deletes_nothing_here(registrar: Cluster, robot: Person) -> None:
    submission = registrar.submit("sleep 5", jobbergate={"register": True})
    number = submission.wait_for(lambda status: "id" in status.get("jobbergate", {}))["jobbergate"]["id"]

    robot.delete(number)

    submission.wait_for_phase("Done")


def test_a_client_that_may_not_is_told_so(world: World) -> None:
    submission = world.submit("sleep 3", jobbergate={"register": True})

    synced = world.eventually(lambda: submission.condition("Synced"), lambda condition: condition.get("status") == "False")

    assert synced["reason"] == "JobbergateRefused"
    submission.wait_for_phase("Done")
