"""Somebody writes another status into Jobbergate by hand: what can be put right is, and what cannot is said, once."""

import time
from collections import Counter
from functools import partial

import pytest

from bed import valhalla
from bed.jobbergate.person import Person
from bed.jobbergate.person import Submission as Row
from tests.api import Json, path
from tests.synced import UNTIL_CANCELLED, cut_off, made, name_of, recognised, running, until
from tests.world import World

pytestmark = pytest.mark.slow

STATUSES = ("CREATED", "SUBMITTED", "REJECTED", "DONE", "ABORTED", "CANCELLED")
QUIET_SECONDS = 15.0


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    return synced_world


def all_of(world: World, person: Person, script: str, *arguments: str) -> dict[str, Row]:
    """A submission for each status that it will be forced to, once each of them has a job."""
    number = person.script(script)
    rows = {status: person.submit(number, *arguments, directory=None) for status in STATUSES}
    return {status: until(world, person, row, lambda row: row.slurm_job_id is not None) for status, row in rows.items()}


def force(person: Person, rows: dict[str, Row]) -> None:
    for status, row in rows.items():
        person.force(row.id, status)


def seen(person: Person, rows: dict[str, Row]) -> dict[str, str]:
    """What each is in Jobbergate now, by what it was forced to."""
    return {status: person.seen(row.id).status for status, row in rows.items()}


def told(world: World, row: Row, status: str) -> Json:
    """Its condition Synced once it has this status."""
    return world.eventually(partial(made(world, row).condition, "Synced"), lambda now: now["status"] == status)


def quiet(world: World, rows: dict[str, Row]) -> None:
    """Fails if anything is written about them, here or there, for some rounds."""

    def written() -> Counter[str]:
        log = world.bed.jobbergate.service("api").log.read_text().splitlines()
        # Reading is free; only what the operator says counts.
        said = sum("/agent/" in line and (" /jobbergate/job-submissions/agent/pending" not in line) for line in log)
        names = [name_of(row) for row in rows.values()]
        return Counter({"told": said} | {name: len(world.writes(name)) for name in names})

    before = written()
    time.sleep(QUIET_SECONDS)  # that nothing happens shows only by waiting
    assert written() == before


def test_of_running_ones(world: World, kirby: Person) -> None:
    rows = all_of(world, kirby, UNTIL_CANCELLED)
    for row in rows.values():
        running(world, kirby, row)

    force(kirby, rows)

    right = {**{status: status for status in STATUSES}, "CREATED": "SUBMITTED", "CANCELLED": "ABORTED"}
    world.eventually(lambda: seen(kirby, rows), lambda now: now == right)
    for status in ("DONE", "REJECTED", "ABORTED"):
        synced = told(world, rows[status], "False")
        assert synced["reason"] == "JobbergateDisagrees"
        assert f"Jobbergate has it as {status}" in synced["message"]
    for status in ("CREATED", "SUBMITTED"):
        told(world, rows[status], "True")
    quiet(world, rows)
    for status in ("DONE", "REJECTED", "ABORTED", "CREATED", "SUBMITTED"):
        made(world, rows[status]).patch(cancel=True)
    for status in STATUSES:
        submission = made(world, rows[status])
        submission.wait_for_phase("Cancelled")
        # Nobody holds on to what cannot be told.
        world.eventually(submission.get, lambda body: not body["metadata"].get("finalizers"))
    assert made(world, rows["DONE"]).conditions()["Synced"] == ("False", "JobbergateDisagrees")
    assert seen(kirby, rows) == {**right, "CREATED": "ABORTED", "SUBMITTED": "ABORTED"}


def test_of_ended_ones(world: World, kirby: Person) -> None:
    rows = all_of(world, kirby, "#!/bin/bash\ntrue\n")
    world.eventually(lambda: set(seen(kirby, rows).values()), lambda now: now == {"DONE"})
    jobs = {status: row.slurm_job_id for status, row in rows.items()}

    force(kirby, rows)

    right = {**dict.fromkeys(STATUSES, "DONE"), "REJECTED": "REJECTED", "ABORTED": "ABORTED"}
    world.eventually(lambda: seen(kirby, rows), lambda now: now == right)
    assert {status: kirby.seen(row.id).slurm_job_id for status, row in rows.items()} == jobs
    quiet(world, rows)


def test_of_those_without_a_job(world: World, kirby: Person) -> None:
    with cut_off(world):
        script = kirby.script("#!/bin/bash\ntrue\n")
        rows = {status: kirby.submit(script, directory=None) for status in STATUSES}
        for row in rows.values():
            recognised(world, row)

        force(kirby, rows)

        for status in ("REJECTED", "DONE", "ABORTED", "CANCELLED"):
            made(world, rows[status]).wait_for_phase("Cancelled")
    for status in ("CREATED", "SUBMITTED"):
        made(world, rows[status]).wait_for_phase("Done")
    right = {**{status: status for status in STATUSES}, "CREATED": "DONE", "SUBMITTED": "DONE", "CANCELLED": "ABORTED"}
    world.eventually(lambda: seen(kirby, rows), lambda now: now == right)
    quiet(world, rows)


def test_of_rejected_ones(world: World, kirby: Person) -> None:
    script = kirby.script()
    rows = {status: kirby.submit(script, "--partition=nowhere", directory=None) for status in STATUSES}
    world.eventually(lambda: set(seen(kirby, rows).values()), lambda now: now == {"REJECTED"})

    force(kirby, rows)

    right = {**{status: status for status in STATUSES}, "CREATED": "REJECTED", "SUBMITTED": "ABORTED", "CANCELLED": "ABORTED"}
    world.eventually(lambda: seen(kirby, rows), lambda now: now == right)
    assert world.api.has(path("JobSubmission", name_of(rows["CREATED"]), valhalla.RESEARCH))
    quiet(world, rows)
