"""A whole life of submissions through slurmgate-shell: the operator's keys let nothing else through."""

import shutil
from collections.abc import Iterator

import pytest

from bed import valhalla
from bed.operator import NAMESPACE
from generate.login_node import SHELL
from tests.world import Cluster, World

pytestmark = pytest.mark.slow

SERVICE = "jarvice"


@pytest.fixture(scope="module")
def restricted(world: World) -> Iterator[Cluster]:
    """A cluster whose users' keys are restricted; the service user's account has slurmgate-shell as its login shell."""
    slurm = world.bed.slurm.description
    shutil.copy(SHELL, slurm.homes / "slurmgate-shell")
    for user in valhalla.USERS:
        keys = slurm.homes / user / ".ssh" / "authorized_keys"
        keys.write_text(f'restrict,command="/home/slurmgate-shell" {keys.read_text()}')
    world.slurm("sh", "-c", "pkill -u kirby,mario,dovahkiin sshd; true")  # connections that were made before
    world.slurm("sed", "-i", f"s,:/home/{SERVICE}:.*,:/home/{SERVICE}:/home/slurmgate-shell,", "/etc/passwd")
    key = slurm.users[SERVICE].read_text()
    world.make("Secret", f"{SERVICE}-ssh-key", namespace=NAMESPACE, stringData={"key": key})
    service = {"name": SERVICE, "privateKeySecretRef": {"name": f"{SERVICE}-ssh-key", "key": "key"}}
    with world.cluster("restricted", ssh={**world.login_nodes(slurm.port), "serviceUser": service}) as cluster:
        cluster.wait_for("Ready", "True")
        yield cluster


def test_the_keys_open_nothing_else(world: World, restricted: Cluster) -> None:
    slurm = world.bed.slurm.description
    with pytest.raises(AssertionError, match="this is no command of Slurmgate"):
        world.slurm(
            *(
                "ssh",
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ),
            *("-i", str(slurm.users["kirby"]), "-p", str(slurm.port), f"kirby@{slurm.host}", "id"),
        )
    assert restricted.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("user", ["kirby", "mario"], ids=["a quiet shell", "a shell that talks"])
def test_a_submission_runs_with_its_files_and_is_told(restricted: Cluster, user: str) -> None:
    submission = restricted.submit(
        "cat in/data; echo $GREETING",
        user=user,
        files=[{"name": "in/data", "inline": "mesh\n"}],
        environment=[{"name": "GREETING", "value": "it's $me"}],
    )
    status = submission.wait_for_phase("Done")
    assert status["slurm"]["exitCode"] == 0
    assert submission.output() == "mesh\nit's $me\n"


def test_a_script_on_the_cluster_is_read_where_that_is_allowed(world: World, restricted: Cluster) -> None:
    world.write("/home/kirby/slurmgate/run.sh", "#!/bin/sh\necho from there\n", user="kirby")
    submission = restricted.submit({"remotePath": "~/slurmgate/run.sh"})
    submission.wait_for_phase("Done")
    assert submission.output() == "from there\n"
    world.write("/home/kirby/private.sh", "#!/bin/sh\necho from there\n", user="kirby")
    refused = restricted.submit({"remotePath": "~/private.sh"})
    assert "slurmgate-shell on the login node allows only" in refused.wait_for_phase("Rejected")["conditions"][0]["message"]


def test_jobs_are_held_released_and_cancelled(world: World, restricted: Cluster) -> None:
    waiting = restricted.submit("true", suspend=True)
    waiting.wait_for_reason("Held")
    waiting.patch(suspend=False)
    waiting.wait_for_phase("Done")
    running = restricted.submit("sleep 600")
    running.wait_for_state("RUNNING")
    running.patch(cancel=True)
    running.wait_for_phase("Cancelled")
    array = restricted.submit("sleep 600", array="0-3")
    array.wait_for_state("RUNNING")
    token = array.token
    array.delete()
    world.eventually(lambda: {job["state"] for job in world.jobs_of(token)}, lambda states: states == {"CANCELLED"})
