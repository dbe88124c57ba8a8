"""What tests of the sync with Jobbergate have in common: people there, their rows, and the JobSubmissions made of them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bed import valhalla
from bed.jobbergate.person import Person
from bed.jobbergate.person import Submission as Row
from bed.operator import NAMESPACE
from tests.api import Json, path
from tests.world import Cluster, Submission, World

KIRBY = f"kirby@{valhalla.MAIL_DOMAIN}"
DOVAHKIIN = f"dovahkiin@{valhalla.MAIL_DOMAIN}"
CLIENT = "valhalla"
UNTIL_CANCELLED = "#!/bin/bash\nsleep 600\n"
ENDED = {"DONE", "ABORTED", "REJECTED"}


@contextmanager
def cut_off(world: World) -> Iterator[None]:
    """Nobody is logged in to the cluster, or can."""
    sshd = world.bed.slurm.service("sshd")
    sshd.kill()
    world.bed.slurm.inside(["pkill", "-KILL", "sshd"])
    try:
        yield
    finally:
        sshd.start()


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """The operator does not run."""
    world.operator.stop()
    try:
        yield
    finally:
        world.operator = world.installation.start()


def name_of(row: Row | int) -> str:
    """What the JobSubmission of a submission in Jobbergate is called."""
    return f"jg-{CLIENT}-{row if isinstance(row, int) else row.id}"


def made(world: World, row: Row | int, namespace: str = valhalla.RESEARCH) -> Submission:
    """The JobSubmission of a submission in Jobbergate."""
    return Submission(world, namespace, name_of(row))


def appeared(world: World, row: Row) -> Submission:
    """The JobSubmission of a submission in Jobbergate once it is there."""
    submission = made(world, row)
    world.eventually(submission.is_gone, lambda gone: not gone)
    return submission


def recognised(world: World, row: Row) -> Submission:
    """The same once it is known to come from there."""
    submission = appeared(world, row)
    world.eventually(submission.status, lambda status: "jobbergate" in status)
    return submission


def until(world: World, person: Person, row: Row | int, good: Callable[[Row], bool], *, seconds: float = 90.0) -> Row:
    """The row once it is good."""
    number = row if isinstance(row, int) else row.id
    return world.eventually(lambda: person.seen(number), good, seconds=seconds)


def running(world: World, person: Person, row: Row | int) -> Row:
    """The row once its job runs."""
    return until(world, person, row, lambda row: row.slurm_job_state == "RUNNING")


def ended(world: World, person: Person, row: Row | int, status: str, *, seconds: float = 90.0) -> Row:
    """The row once it has ended; fails if it ends otherwise."""
    seen = until(world, person, row, lambda row: row.status in ENDED, seconds=seconds)
    assert seen.status == status, f"{seen}\n{world.log_end()}"
    return seen


def synced(world: World, cluster: str = valhalla.CLUSTER) -> Json:
    """The condition JobbergateSynced of a SlurmCluster; empty if it has none."""
    status = world.api.get(path("SlurmCluster", cluster)).get("status", {})
    return next((each for each in status.get("conditions", []) if each["type"] == "JobbergateSynced"), {})


def jobbergate_spec(world: World, *, client: str, **replaced: Any) -> Json:
    """spec.jobbergate of a SlurmCluster for a client whose secret is in the Secret of its name; `replaced`: parts of it."""
    return valhalla.jobbergate_spec(world.bed, clientId=client, clientSecretRef={"name": client, "key": "secret"}, **replaced)


@contextmanager
def second_cluster(world: World, name: str, *permissions: str, **replaced: Any) -> Iterator[Cluster]:
    """Another SlurmCluster for the same Slurm, with a client of its own."""
    secret = world.bed.jobbergate.realm.add(name, *permissions)
    world.make("Secret", name, namespace=NAMESPACE, stringData={"secret": secret})
    with world.cluster(name, jobbergate=jobbergate_spec(world, client=name, **replaced)) as cluster:
        yield cluster


def in_sync(world: World, cluster: str = valhalla.CLUSTER, *, seconds: float = 90.0) -> Json:
    """The condition JobbergateSynced once it is true."""
    return world.eventually(lambda: synced(world, cluster), lambda now: now.get("status") == "True", seconds=seconds)


def out_of_sync(world: World, words: str = "", cluster: str = valhalla.CLUSTER) -> str:
    """The message of the condition JobbergateSynced once it is false and has these words."""
    condition = world.eventually(
        lambda: synced(world, cluster), lambda now: now.get("status") == "False" and words in now.get("message", "")
    )
    return str(condition["message"])


def works(world: World, person: Person, client_id: str = CLIENT) -> Row:
    """A submission for this client, carried through."""
    return ended(world, person, person.submit(person.script(), client_id=client_id, directory=None), "DONE", seconds=180)


def reports(world: World, row: Row | int) -> list[str]:
    """What the API was asked to note of a submission after it was submitted, and whether it did, oldest first."""
    number = row if isinstance(row, int) else row.id
    log = world.bed.jobbergate.service("api").log.read_text()
    return re.findall(rf'"PUT /jobbergate/job-submissions/agent/{number} HTTP/1\.1" (\d+)', log)
