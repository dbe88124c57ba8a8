"""People who are known by a directory, and people who are all the same, in a running operator."""

import os
from collections.abc import Iterator

import pytest

from bed.directory import slapd as openldap
from bed.directory.people import PASSWORD
from bed.directory.slapd import Slapd
from bed.operator import NAMESPACE
from tests.api import Json
from tests.world import Cluster, World, operated

pytestmark = pytest.mark.slow

LAB = "lab"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with operated(f"directory-{os.getpid()}") as world:
        world.make("Namespace", LAB, annotations={"slurmgate.dev/owners": "*@example.org"})
        for user, key in world.bed.slurm.description.users.items():
            secret = {"ssh-privatekey": key.read_text()}
            world.make("Secret", f"slurm-key-{user}", namespace=NAMESPACE, stringData=secret)
        yield world


@pytest.fixture(scope="module")
def slapd(world: World) -> Iterator[Slapd]:
    with openldap.slapd() as running:
        world.make("ConfigMap", "ldap-ca", namespace=NAMESPACE, data={"ca.crt": running.authority})
        world.make("Secret", "ldap-bind", namespace=NAMESPACE, stringData={"password": PASSWORD})
        yield running


def ldap(slapd: Slapd, **changes: object) -> Json:
    """spec.identity of a SlurmCluster; None takes a field out."""
    fields = {
        "servers": [slapd.url, slapd.tls_url],
        "startTls": True,
        "certificateAuthority": {"configMapKeyRef": {"name": "ldap-ca", "key": "ca.crt"}},
        "bind": {"name": openldap.SERVICE_NAME, "passwordSecretRef": {"name": "ldap-bind", "key": "password"}},
        "base": openldap.PEOPLE,
        "accountAttribute": "departmentNumber",
        "homeAttribute": "homeDirectory",
        "restrictToGroup": {"name": openldap.group("everybody")},
        "keySecretTemplate": "slurm-key-{user}",
        "timeoutSeconds": 2,
        **changes,
    }
    return {"ldap": {name: value for name, value in fields.items() if value is not None}}


@pytest.fixture(scope="module")
def by_ldap(world: World, slapd: Slapd) -> Iterator[Cluster]:
    with world.cluster("by-ldap", identity=ldap(slapd)) as cluster:
        yield cluster


def test_a_person_of_the_directory_runs_as_that_user_at_home_and_for_that_account(by_ldap: Cluster) -> None:
    submission = by_ldap.submit("id -un; pwd", user="dovahkiin", namespace=LAB)

    assert submission.wait_for_phase("Done")["user"] == "dovahkiin"
    assert submission.job()["Account"] == "pc"
    directory = submission.status()["workingDirectory"]
    assert directory.startswith(f"/home/dovahkiin/slurmgate/{LAB}/")
    assert submission.output() == f"dovahkiin\n{directory}\n"
    assert by_ldap.wait_for("Ready", "True")["reason"] == "Available"
    assert by_ldap.condition("MappingValid")["status"] == "True"


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("luigi", "luigi@example.org is nobody in the directory"),
        ("twin", "twin@example.org is several people in the directory"),
        ("mario", f"mario@example.org is not in {openldap.group('everybody')}"),
        ("*", "'*@example.org' is not an e-mail address"),
    ],
)
def test_whom_the_directory_does_not_know_is_refused(by_ldap: Cluster, who: str, words: str) -> None:
    submission = by_ldap.submit(user=who, namespace=LAB)
    submission.wait_for_phase("Rejected")
    ready = submission.condition("Ready")
    assert ready["reason"] == "UserNotMapped"
    assert ready["message"].startswith(f"spec.owner: {words}")


def test_a_directory_that_hangs_is_waited_for_and_holds_up_nobody_else(by_ldap: Cluster, slapd: Slapd) -> None:
    world = by_ldap.world
    by_ldap.submit(user="dovahkiin", namespace=LAB).wait_for_phase("Done")
    slapd.freeze()
    try:
        waiting = by_ldap.submit(user="kirby", namespace=LAB)
        ready = waiting.wait_for_reason("DirectoryUnavailable")
        assert ready["message"].startswith("the directory of SlurmCluster by-ldap ")
        by_ldap.submit(user="dovahkiin", namespace=LAB).wait_for_phase("Done")  # who he is was asked a moment ago
        world.submit().wait_for_phase("Done")  # another cluster
        assert by_ldap.wait_for("MappingValid", "False")["reason"] == "ProblemsFound"
    finally:
        slapd.thaw()
    assert waiting.wait_for_phase("Done")["user"] == "kirby"
    by_ldap.wait_for("MappingValid", "True")
    assert PASSWORD not in world.log_end()
    assert 'slurmgate_directory_calls_total{cluster="by-ldap",outcome="answered"}' in world.operator.get("/metrics")


def test_a_directory_that_takes_no_password_is_shown_before_anybody_submits(world: World, slapd: Slapd) -> None:
    world.make("Secret", "ldap-old", namespace=NAMESPACE, stringData={"password": "old"})
    bind = {"name": openldap.SERVICE_NAME, "passwordSecretRef": {"name": "ldap-old", "key": "password"}}
    with world.cluster("locked-out", identity=ldap(slapd, bind=bind)) as cluster:
        valid = cluster.wait_for("MappingValid", "False")
        assert valid["reason"] == "DirectoryUnavailable"
        assert f"refuses the password of {openldap.SERVICE_NAME}: invalidCredentials" in valid["message"]
        assert cluster.condition("Ready")["status"] == "False"


def test_without_keys_it_is_said_what_to_do(world: World, slapd: Slapd) -> None:
    with world.cluster("keyless", identity=ldap(slapd, keySecretTemplate=None)) as cluster:
        submission = cluster.submit(user="kirby", namespace=LAB)
        message = submission.wait_for_reason("KeyUnavailable")["message"]
        assert "set spec.ssh.certificates, or spec.identity.ldap.keySecretTemplate" in message
        submission.delete()


def test_everybody_is_the_same_user_where_the_cluster_says_so_and_it_says_so_loudly(world: World) -> None:
    reference = {"name": "slurm-key-jarvice", "key": "ssh-privatekey"}
    with world.cluster("single", identity={"singleUser": {"name": "jarvice", "privateKeySecretRef": reference}}) as cluster:
        submissions = [cluster.submit("id -un", user=who, namespace=LAB) for who in ("kirby", "luigi")]
        for submission in submissions:
            assert submission.wait_for_phase("Done")["user"] == "jarvice"
            assert submission.output() == "jarvice\n"
        ready = cluster.wait_for("Ready", "True")
        assert ready["reason"] == cluster.condition("MappingValid")["reason"] == "SingleUser"
        assert ready["message"].startswith("Everybody's jobs run as jarvice: ")
