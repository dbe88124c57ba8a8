"""Jobbergate, its issuer, its database, Slurm, or a namespace is not there for a while; and what has ended goes."""

import pytest

from bed import valhalla
from bed.jobbergate.person import Person
from bed.operator import NAMESPACE
from tests.synced import ended, in_sync, out_of_sync, second_cluster, stopped, synced, works
from tests.world import Submission, World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(synced_world: World) -> World:
    synced_world.bed.jobbergate.realm.change(token_seconds=4)  # so that they end while somebody looks
    return synced_world


@pytest.mark.parametrize("service", ["api", "issuer", "postgres"])
def test_it_waits_for_what_is_away_and_goes_on(world: World, kirby: Person, service: str) -> None:
    row = kirby.submit(kirby.script("#!/bin/bash\nsleep 4\n"), directory=None)
    part = world.bed.jobbergate.service(service)
    part.kill()
    try:
        out_of_sync(world)
        assert synced(world)["reason"] == "JobbergateUnavailable"
    finally:
        part.start()

    ended(world, kirby, row, "DONE", seconds=180)
    in_sync(world)


def test_it_starts_without_jobbergate(world: World, kirby: Person) -> None:
    api, issuer = (world.bed.jobbergate.service(name) for name in ("api", "issuer"))
    with stopped(world):
        api.stop()
        issuer.stop()
    out_of_sync(world, "cannot be reached")
    plain = world.submit("true")
    plain.wait_for_phase("Done")

    issuer.start()
    api.start()

    works(world, kirby)


@pytest.mark.slow  # Slurm's own commands give up late
def test_the_cluster_is_well_only_while_slurm_answers(world: World) -> None:
    def health() -> list[str]:
        told = world.bed.jobbergate.sql(
            "select interval, last_reported + make_interval(secs => interval) >= now() from cluster_statuses "
            "where client_id = 'healthy'"
        )
        return told.strip().split("|")

    with second_cluster(world, "healthy", healthIntervalSeconds=5):
        world.eventually(health, lambda now: now == ["15", "t"])
        controller = world.bed.slurm.service("slurmctld")
        controller.kill()
        world.eventually(health, lambda now: now == ["15", "f"], seconds=150)
        controller.start()
        world.eventually(health, lambda now: now == ["15", "t"], seconds=150)


def test_each_user_has_the_namespace_that_an_admin_has_made(world: World, kirby: Person) -> None:
    with second_cluster(world, "teams", namespace="team-{user}"):
        row = kirby.submit(kirby.script(), client_id="teams", directory=None)
        message = out_of_sync(world, "team-kirby", "teams")
        assert f"submission {row.id} waits: " in message
        assert "an admin makes the namespace" in message
        assert kirby.seen(row.id).status == "CREATED"

        world.make("Namespace", "team-kirby")
        world.kubectl(
            "create", "role", "jobbergate", "--namespace=team-kirby", "--verb=create,delete", "--resource=jobsubmissions"
        )
        account = f"--serviceaccount={NAMESPACE}:slurmgate"
        world.kubectl("create", "rolebinding", "jobbergate", "--namespace=team-kirby", "--role=jobbergate", account)

        ended(world, kirby, row, "DONE")
        in_sync(world, "teams")
        assert Submission(world, "team-kirby", f"jg-teams-{row.id}").status()["user"] == "kirby"


def test_what_has_ended_and_is_heard_goes_after_a_while(world: World, kirby: Person) -> None:
    with second_cluster(world, "brief", retentionSeconds=60):
        row = works(world, kirby, "brief")
        kept = Submission(world, valhalla.RESEARCH, f"jg-brief-{row.id}")
        assert not kept.is_gone()
        mine = world.submit("true", clusterRef={"name": "brief"})
        mine.wait_for_phase("Done")

        world.eventually(kept.is_gone, bool, seconds=120)

        assert not mine.is_gone()
        assert kirby.seen(row.id).status == "DONE"
