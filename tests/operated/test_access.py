"""Who may use a cluster and what of it, several mappings, and what the login node says of people: on a real Slurm."""

import re
from collections.abc import Iterator

import pytest

from bed import valhalla
from bed.operator import NAMESPACE
from tests.api import Json
from tests.mapping import entry
from tests.world import Cluster, Submission, World

pytestmark = pytest.mark.slow

LAB, OTHER = "access-lab", "access-other"
HET = "#SBATCH --partition=batch\n#SBATCH hetjob\n#SBATCH --partition={}\ntrue"
"""Lines of a heterogeneous job."""


@pytest.fixture(scope="module", autouse=True)
def _namespaces(world: World) -> None:
    for namespace in (LAB, OTHER):
        world.make("Namespace", namespace, annotations={"slurmgate.dev/owners": "*@example.org"})


def write(world: World, name: str, *entries: Json) -> None:
    """A mapping, as GitOps writes it."""
    world.make(
        "ConfigMap", name, namespace=NAMESPACE, data={"ssh_mapping.yaml": world.yaml({"users_id_mapping": list(entries)})}
    )


def denied(submission: Submission, reason: str = "AccessDenied") -> str:
    """Why it was refused, and that Slurm never heard of it."""
    submission.wait_for_phase("Rejected")
    ready = submission.condition("Ready")
    assert ready["reason"] == reason
    assert submission.world.jobs_of(submission.token) == []
    return str(ready["message"])


# Who, and from where -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(world: World) -> Iterator[Cluster]:
    """A cluster for kirby and for everybody of another domain, from the lab, in one partition."""
    access = {"namespaces": ["access-l*"], "owners": ["kirby@example.org", "*@example.com"], "partitions": ["batch"]}
    with world.cluster("limited", access=access) as cluster:
        yield cluster


def test_other_namespaces_are_refused(limited: Cluster) -> None:
    assert denied(limited.submit(namespace=OTHER, partition="batch")) == (
        "metadata.namespace: submissions from access-other do not run on this cluster, only those from access-l* "
        "(spec.access.namespaces of the SlurmCluster)"
    )


def test_other_people_are_refused(limited: Cluster) -> None:
    assert denied(limited.submit(user="mario", namespace=LAB, partition="batch")).startswith(
        "spec.owner: mario@example.org is not"
    )


REFUSED: dict[str, tuple[str, Json, str]] = {
    "a field": ("true", {"partition": "night"}, "spec.partition: --partition=night is not allowed"),
    "one of several": ("true", {"partition": "batch,night"}, "spec.partition: --partition=batch,night"),
    "a letter": ("true", {"sbatchArguments": ["-pnight"]}, r"spec.sbatchArguments\[0\]: --partition=night"),
    "an abbreviation": ("true", {"sbatchArguments": ["--parti", "night"]}, r"spec.sbatchArguments\[0\]: --partition=night"),
    "a line of the script": ("#SBATCH -n1 '-p' night\ntrue", {}, "line 2 of the script: --partition=night"),
    "a component": (HET.format("night"), {}, "line 4 of the script: --partition=night"),
    "a component behind a field": (HET.format("night"), {"partition": "batch"}, "line 4 of the script: --partition=night"),
    "nothing, which would be slurm's default": ("true", {}, "spec.partition: is not set, and Slurm's own default is not used"),
}


@pytest.fixture(scope="module")
def refused(limited: Cluster) -> dict[str, Submission]:
    """All of them, applied at once."""
    return {case: limited.submit(script, namespace=LAB, **spec) for case, (script, spec, _) in REFUSED.items()}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_cluster_does_not_allow_is_refused_wherever_it_stands(refused: dict[str, Submission], case: str) -> None:
    words = denied(refused[case])
    assert re.match(REFUSED[case][2], words)
    assert "which allows batch (spec.access.partitions of the SlurmCluster)" in words


def test_what_it_allows_runs_there_whatever_start_files_say(world: World, limited: Cluster) -> None:
    world.write("/home/kirby/.bashrc", "export SBATCH_PARTITION=night\n", user="kirby")
    try:
        by_field = limited.submit(namespace=LAB, partition="batch")
        by_script = limited.submit("#SBATCH --partition=batch\ntrue", namespace=LAB)
        by_components = limited.submit(HET.format("batch"), namespace=LAB)
        for submission in (by_field, by_script):
            assert submission.wait_for_phase("Done")["slurm"]["partition"] == "batch"
        job_id = by_components.wait_for(lambda status: bool(status.get("slurm", {}).get("jobId")))["slurm"]["jobId"]
        rows = world.slurm("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%P")
        assert set(rows.split()) == {"batch"}
        by_components.delete()
    finally:
        world.slurm("rm", "/home/kirby/.bashrc")


def test_a_default_of_the_cluster_is_enough(world: World) -> None:
    with world.cluster("defaulted", access={"partitions": ["night"]}, defaults={"partition": "night"}) as cluster:
        assert cluster.submit().wait_for_phase("Done")["slurm"]["partition"] == "night"


@pytest.mark.parametrize(
    "access",
    [{"partitions": []}, {"namespaces": ["Lab"]}, {"owners": ["*"]}, {"minimumUid": 0}],
    ids=str,
)
def test_rules_that_could_be_misread_are_refused(world: World, access: Json) -> None:
    spec = {**valhalla.cluster_spec(world.bed), "access": access}
    body = {"apiVersion": "slurmgate.dev/v1alpha1", "kind": "SlurmCluster", "metadata": {"name": "odd"}, "spec": spec}
    assert f"spec.access.{next(iter(access))}" in world.refused(body)


# Whom the login node knows -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd_accounts(world: World) -> Iterator[Cluster]:
    """Accounts that somebody could be mapped to: one that is mario's by another name, and one of the system."""
    add = 'echo "$1" >>/etc/passwd && echo "${1%%:*}:*:19000:0:99999:7:::" >>/etc/shadow'
    for line in ("toad:x:7002:7002::/home/mario:/bin/bash", "robot:x:900:900::/home/robot:/bin/bash"):
        world.slurm("sh", "-c", add, "sh", line)
    home = "mkdir -p /home/robot/.ssh && cp /home/kirby/.ssh/authorized_keys /home/robot/.ssh/ && chown -R 900:900 /home/robot"
    world.slurm("sh", "-c", home)
    write(
        world,
        "odd-accounts",
        entry("kirby"),
        entry("toad", ssh_private_key_secret=entry("mario")["ssh_private_key_secret"]),
        entry("robot", ssh_private_key_secret=entry("kirby")["ssh_private_key_secret"]),
    )
    with world.cluster("odd-accounts", identity={"mapping": {"configMap": "odd-accounts"}}) as cluster:
        yield cluster


@pytest.mark.parametrize("script", ["true", {"remotePath": "~/.ssh/authorized_keys"}], ids=["placed", "read"])
def test_whose_log_in_is_somebody_elses_is_refused_before_anything_is_touched(
    world: World, odd_accounts: Cluster, script: str | Json
) -> None:
    words = denied(odd_accounts.submit(script, user="toad", namespace=LAB), "WrongLogin")
    assert words.startswith("Logged in as toad one is mario on the cluster, so nothing was placed there.")
    assert world.slurm("find", "/home/mario", "-path", f"*{LAB}*") == ""


@pytest.mark.parametrize("script", ["true", {"remotePath": "~/.ssh/authorized_keys"}], ids=["placed", "read"])
def test_a_system_account_is_refused_whatever_its_name(world: World, odd_accounts: Cluster, script: str | Json) -> None:
    words = denied(odd_accounts.submit(script, user="robot", namespace=LAB), "WrongLogin")
    assert words.startswith("robot has uid 900 on the cluster: below 1000 (spec.access.minimumUid of the SlurmCluster)")
    assert world.slurm("find", "/home/robot", "-name", "slurmgate") == ""


def test_people_beside_them_are_not_disturbed(odd_accounts: Cluster) -> None:
    odd_accounts.submit(namespace=LAB).wait_for_phase("Done")


@pytest.mark.usefixtures("odd_accounts")
def test_a_cluster_says_who_is_of_the_system(world: World) -> None:
    identity, access = {"mapping": {"configMap": "odd-accounts"}}, {"systemUsers": ["kirby"], "minimumUid": 900}
    with world.cluster("particular", identity=identity, access=access) as cluster:
        assert "mapped to kirby, a system account (spec.access.systemUsers" in denied(cluster.submit(namespace=LAB))
        placed = cluster.submit(user="robot", namespace=LAB)
        world.eventually(lambda: world.slurm("find", "/home/robot", "-name", "slurmgate"), bool)
        placed.delete()


# Several mappings ----------------------------------------------------------------------------------------------------


@pytest.fixture
def teams(world: World) -> Iterator[Cluster]:
    """A cluster whose mapping is one ConfigMap of each team."""
    write(world, "team-a", entry("kirby"))
    write(world, "team-b", entry("mario"))
    mapping = {"configMap": "team-a", "more": [{"configMap": "team-b"}, {"secret": "team-c"}]}
    with world.cluster("teams", identity={"mapping": mapping}) as cluster:
        yield cluster


def test_teams_have_a_mapping_each_and_a_missing_one_harms_no_other(world: World, teams: Cluster) -> None:
    for user in ("kirby", "mario"):
        assert teams.submit(user=user, namespace=LAB).wait_for_phase("Done")["user"] == user
    waiting = teams.submit(user="dovahkiin", namespace=LAB)
    waiting.wait_for_reason("MappingNotLoaded")
    assert teams.wait_for("MappingValid", "False")["message"] == "Secret team-c does not exist in the operator's namespace"
    assert teams.condition("Ready")["status"] == "True"

    text = world.yaml({"users_id_mapping": [entry("dovahkiin")]})
    world.make("Secret", "team-c", namespace=NAMESPACE, stringData={"ssh_mapping.yaml": text})

    waiting.wait_for_phase("Done")
    assert teams.wait_for("MappingValid", "True")["message"] == "3 users"


def test_whom_two_teams_claim_differently_is_nobody_and_both_are_told(world: World, teams: Cluster) -> None:
    write(
        world,
        "team-b",
        entry("mario"),
        entry("kirby", mapped_user="mario", ssh_private_key_secret=entry("mario")["ssh_private_key_secret"]),
    )

    problems = world.eventually(lambda: str(teams.condition("MappingValid").get("message")), lambda words: "kirby@" in words)

    assert "ConfigMap team-a: users_id_mapping[0] (kirby@example.org), line 2: kirby@example.org is written 2 times" in problems
    assert "ConfigMap team-b: users_id_mapping[1] (kirby@example.org), line 7: kirby@example.org is written 2 times" in problems
    assert "is written 2 times and none of them is used" in denied(teams.submit(namespace=LAB), "UserNotMapped")
    teams.submit(user="mario", namespace=LAB).wait_for_phase("Done")


def test_a_broken_mapping_of_one_team_harms_no_other(world: World, teams: Cluster) -> None:
    teams.submit(user="mario", namespace=LAB).wait_for_phase("Done")
    world.make("ConfigMap", "team-b", namespace=NAMESPACE, data={"ssh_mapping.yaml": "users_id_mapping: ["})
    world.eventually(
        lambda: str(teams.condition("MappingValid").get("message")), lambda words: "ConfigMap team-b: line" in words
    )
    for user in ("kirby", "mario"):
        teams.submit(user=user, namespace=LAB).wait_for_phase("Done")


# What an entry says --------------------------------------------------------------------------------------------------


def test_account_and_directory_of_a_person(world: World) -> None:
    theirs = {"slurm_account": "pc", "work_directory": "/home/{user}/runs/{name}-{uid}"}
    key = world.bed.slurm.description.users["jarvice"].read_text()
    world.make("Secret", "jarvice-ssh-key", namespace=NAMESPACE, stringData={"ssh-privatekey": key})
    write(world, "with-accounts", entry("jarvice", **theirs), entry("kirby"))
    access = {"accounts": ["pc", "nintendo"]}
    with world.cluster("with-accounts", identity={"mapping": {"configMap": "with-accounts"}}, access=access) as cluster:
        own = cluster.submit("sleep 600", user="jarvice", namespace=LAB, name="own")
        asked = cluster.submit("sleep 600", user="jarvice", namespace=LAB, account="nintendo")
        lined = cluster.submit("#SBATCH --account=nintendo\nsleep 600", user="jarvice", namespace=LAB)
        for submission, account in ((own, "pc"), (asked, "nintendo"), (lined, "nintendo")):
            submission.wait_for(lambda status: "jobId" in status.get("slurm", {}))
            assert submission.job()["Account"] == account
            assert submission.status()["workingDirectory"].startswith("/home/jarvice/runs/")
            submission.delete()
        assert "spec.account: is not set" in denied(cluster.submit(namespace=LAB))
