"""A cluster on which nobody has authorized_keys, behind a jump host: certificates and nothing else open it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bed import valhalla
from bed.keys import ssh_key
from bed.operator import NAMESPACE
from bed.slurm.options import Options
from tests.api import Json
from tests.world import Cluster, World, operated

pytestmark = pytest.mark.slow

NAME = "certified"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with operated(f"certificates-{os.getpid()}", Options(jump=True)) as world:
        world.slurm("sh", "-c", "rm /home/*/.ssh/authorized_keys")
        sign_with(world, world.bed.slurm.description.user_authority)
        yield world


def sign_with(world: World, authority: Path) -> None:
    world.make("Secret", "user-authority", namespace=NAMESPACE, stringData={"key": authority.read_text()})


def map_users(world: World, *users: str) -> None:
    """As GitOps does it: no word of keys."""
    entries = [{"mail": f"{user}@{valhalla.MAIL_DOMAIN}", "mapped_user": user} for user in users]
    world.make("ConfigMap", NAME, namespace=NAMESPACE, data={"ssh_mapping.yaml": world.yaml({"users_id_mapping": entries})})


def know(world: World, text: str) -> None:
    """Write known_hosts."""
    world.make("ConfigMap", "hosts", namespace=NAMESPACE, data={"known_hosts": text})


def certificates(**more: Any) -> Json:
    return {"authority": {"privateKeySecretRef": {"name": "user-authority", "key": "key"}}, **more}


def ssh(world: World, **more: Any) -> Json:
    slurm = world.bed.slurm.description
    return {
        "hosts": [{"host": slurm.host, "port": slurm.port}],
        "knownHosts": {"configMapKeyRef": {"name": "hosts", "key": "known_hosts"}},
        "jumpHosts": [{"host": slurm.host, "port": slurm.ports["jump"], "user": "jarvice"}],
        "certificates": certificates(),
        **more,
    }


@pytest.fixture
def cluster(world: World) -> Iterator[Cluster]:
    know(world, f"@cert-authority * {world.bed.slurm.description.host_authority}\n")
    map_users(world, *valhalla.USERS)
    with world.cluster(NAME, ssh=ssh(world), identity={"mapping": {"configMap": NAME}}) as cluster:
        yield cluster


def log(world: World, daemon: str = "sshd") -> str:
    return (world.bed.slurm.description.logs / f"{daemon}.log").read_text()


def test_a_submission_runs_by_certificate_only(world: World, cluster: Cluster) -> None:
    submission = cluster.submit("id -un")
    submission.wait_for_phase("Done")

    assert submission.output() == "kirby\n"
    cluster.wait_for("Ready", "True")
    named = r"Accepted publickey for kirby .* ED25519-CERT .* ID slurmgate/\S+ cluster=certified user=kirby "
    assert re.search(named, log(world))
    assert re.search(r"Accepted publickey for jarvice .* ED25519-CERT .* cluster=certified user=jarvice ", log(world, "jump"))
    assert not re.search(r"Accepted publickey for \w+ from \S+ port \d+ ssh2: ED25519 SHA", log(world, "jump"))


def test_who_is_not_mapped_any_more_has_no_certificate_and_no_connection_within_seconds(world: World, cluster: Cluster) -> None:
    submission = cluster.submit("sleep 300", user="mario")
    submission.wait_for_state("RUNNING")

    map_users(world, "kirby", "dovahkiin")

    def connections() -> list[str]:
        return [line for line in world.slurm("ps", "-e", "-o", "args=").splitlines() if line.startswith("sshd: mario")]

    world.eventually(connections, lambda found: not found, seconds=10)
    map_users(world, *valhalla.USERS)
    submission.patch(cancel=True)
    submission.wait_for_phase("Cancelled")


def test_another_authority_opens_nothing_and_the_right_one_is_used_without_a_restart(
    world: World, cluster: Cluster, tmp_path: Path
) -> None:
    cluster.wait_for("Ready", "True")
    sign_with(world, ssh_key(tmp_path / "stranger").private)
    cluster.describe(ssh=ssh(world, jumpHosts=[]), identity={"mapping": {"configMap": NAME}})

    condition = cluster.wait_for("Authenticated", "False")
    assert condition["reason"] == "AuthenticationFailed"
    assert "that authority must be in TrustedUserCAKeys" in condition["message"]

    sign_with(world, world.bed.slurm.description.user_authority)
    cluster.wait_for("Ready", "True")


def test_a_secret_that_is_not_there_is_named(world: World, cluster: Cluster) -> None:
    nowhere = {"authority": {"privateKeySecretRef": {"name": "nowhere", "key": "key"}}}
    cluster.describe(ssh=ssh(world, certificates=nowhere), identity={"mapping": {"configMap": NAME}})
    condition = cluster.wait_for("Authenticated", "False")
    assert condition["reason"] == "KeyUnavailable"
    assert "spec.ssh.certificates.authority: Secret slurmgate-system/nowhere does not exist" in condition["message"]


@pytest.mark.parametrize("host", ["sshd", "jump"])
def test_a_host_with_another_key_stops_the_cluster_until_it_is_known(
    world: World, cluster: Cluster, tmp_path: Path, host: str
) -> None:
    slurm, process = world.bed.slurm.description, world.operator.process.pid
    cluster.wait_for("Ready", "True")
    port = slurm.port if host == "sshd" else slurm.ports["jump"]
    (line,) = (line for line in slurm.known_hosts.splitlines() if f":{port} " in line)
    others = [other for other in slurm.known_hosts.splitlines() if other != line]
    wrong = ssh_key(tmp_path / "wrong").public

    know(world, "\n".join([*others, f"{line.split()[0]} {wrong}", ""]))

    condition = cluster.wait_for("HostKeyVerified", "False")
    assert condition["reason"] == "HostKeyMismatch"
    assert re.search(rf"\[{slurm.host}\]:{port} presented SHA256:\S+, expected SHA256:\S+", condition["message"])
    assert condition["message"].startswith("jump host ") == (host == "jump")
    waiting = cluster.submit("true")
    waiting.wait_for_reason("HostKeyMismatch")
    assert "HostKeyMismatch" in {event["reason"] for event in cluster.events()}

    know(world, slurm.known_hosts)
    waiting.wait_for_phase("Done")
    cluster.wait_for("HostKeyVerified", "True")
    assert world.operator.process.pid == process
    assert world.operator.process.poll() is None


def test_what_makes_no_sense_is_refused(world: World) -> None:
    spec = {"apiVersion": "slurmgate.dev/v1alpha1", "kind": "SlurmCluster", "metadata": {"name": "odd"}}

    def words(**more: Any) -> str:
        said = {name: value for name, value in ssh(world, **more).items() if value is not None}
        return world.refused({**spec, "spec": {**valhalla.cluster_spec(world.bed), "ssh": said}})

    vault = {"url": "https://vault", "role": "x", "tokenSecretRef": {"name": "v", "key": "t"}}
    assert "exactly one of authority, vault must be set" in words(certificates=certificates(vault=vault))
    assert "exactly one of authority, vault must be set" in words(certificates={"validitySeconds": 60})
    assert "should be less than or equal to 300" in words(certificates=certificates(validitySeconds=301))
    assert "privateKeySecretRef of jumpHosts with a user must be set without certificates" in words(certificates=None)
    own = {"jumpHosts": [], "serviceUser": {"name": "jarvice"}}
    assert "serviceUser.privateKeySecretRef must be set without certificates" in words(certificates=None, **own)
    everybody = {**valhalla.cluster_spec(world.bed), "identity": {"singleUser": {"name": "jarvice"}}}
    refusal = world.refused({**spec, "spec": everybody})
    assert "identity.singleUser.privateKeySecretRef must be set without ssh.certificates" in refusal
    lost = {"host": "gate", "privateKeySecretRef": {"name": "gate", "key": "key"}}
    assert "privateKeySecretRef is the key of user: name it" in words(jumpHosts=[lost])
