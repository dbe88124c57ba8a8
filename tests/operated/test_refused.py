"""What `kubectl apply` refuses at once, with which words: nothing is accepted and ignored."""

import re

import pytest

from bed import valhalla
from tests.api import Json
from tests.world import Submission, World, manifest

LONG = "x" * 1025
FILE = {"name": "data", "inline": "1"}
SCRIPT = {"inline": "#!/bin/sh\n"}
REFERENCE = {"name": "somewhere", "key": "it"}
LDAP: Json = {
    "servers": ["ldaps://a"],
    "bind": {"name": "cn=slurmgate", "passwordSecretRef": REFERENCE},
    "base": "dc=example,dc=org",
}

WRONG: dict[str, tuple[Json, str]] = {
    "no script at all": ({"script": {}}, "exactly one of inline, configMapKeyRef, remotePath, slurmJobId must be set"),
    "two scripts": ({"script": {**SCRIPT, "remotePath": "/bin/true"}}, "exactly one of inline, configMapKeyRef, remotePath"),
    "an empty script": ({"script": {"inline": ""}}, "spec.script.inline"),
    "a script of more than one mib": ({"script": {"inline": "#" * (2**20 + 1)}}, "spec.script.inline"),
    "a relative path": ({"script": {"remotePath": "jobs/a.sh"}}, "spec.script.remotePath"),
    "a path with a line end": ({"script": {"remotePath": "/a\n/b"}}, "spec.script.remotePath"),
    "an owner that is no address": ({"owner": "kirby"}, "spec.owner"),
    "two owners": ({"owner": "kirby@example.org,mario@example.org"}, "spec.owner"),
    "no owner": ({"owner": None}, "spec.owner"),
    "no cluster": ({"clusterRef": None}, "spec.clusterRef"),
    "an argument with a line end": ({"sbatchArguments": ["--comment=a\nb"]}, "spec.sbatchArguments[0]"),
    "an argument with a NUL": ({"sbatchArguments": ["--comment=a\0b"]}, "spec.sbatchArguments[0]"),
    "an argument that is too long": ({"sbatchArguments": [f"--comment={LONG}"]}, "spec.sbatchArguments[0]"),
    "an empty argument": ({"sbatchArguments": [""]}, "spec.sbatchArguments[0]"),
    "too many arguments": ({"sbatchArguments": ["--hold"] * 129}, "spec.sbatchArguments"),
    "a partition with a space": ({"partition": "batch --uid=0"}, "spec.partition"),
    "an account with a line end": ({"account": "a\nb"}, "spec.account"),
    "no nodes": ({"nodes": 0}, "spec.nodes"),
    "nonsense for nodes": ({"nodes": "some"}, "spec.nodes"),
    "no tasks": ({"tasks": 0}, "spec.tasks"),
    "memory in words": ({"memory": "much"}, "spec.memory"),
    "fewer than no gpus": ({"gpus": -1}, "spec.gpus"),
    "a time limit in words": ({"timeLimit": "tomorrow"}, "spec.timeLimit"),
    "an array in words": ({"array": "all"}, "spec.array"),
    "a relative directory": ({"executionDirectory": "runs"}, "spec.executionDirectory"),
    "another person's home": ({"executionDirectory": "~mario/runs"}, "spec.executionDirectory"),
    "a directory with a line end": ({"executionDirectory": "/a\n/b"}, "spec.executionDirectory"),
    "a file above the directory": ({"files": [{**FILE, "name": "../data"}]}, "must be a relative path without empty parts"),
    "an absolute file": ({"files": [{**FILE, "name": "/etc/passwd"}]}, "spec.files[0].name"),
    "a file of ours": ({"files": [{**FILE, "name": ".slurmgate/x"}]}, "the folder .slurmgate belongs to the operator"),
    "a file with a line end": ({"files": [{**FILE, "name": "a\nb"}]}, "spec.files[0].name"),
    "two files of one name": ({"files": [FILE, FILE]}, "duplicate"),
    "a file without content": (
        {"files": [{"name": "data"}]},
        "exactly one of inline, inlineBase64, configMapKeyRef, secretKeyRef",
    ),
    "a file with two contents": ({"files": [{**FILE, "configMapKeyRef": REFERENCE}]}, "exactly one of inline, inlineBase64"),
    "base64 that is none": ({"files": [{"name": "data", "inlineBase64": "a-b"}]}, "spec.files[0].inlineBase64"),
    "a variable that steers Slurm": ({"environment": [{"name": "SLURM_CONF", "value": "x"}]}, "this name steers Slurm"),
    "a variable that steers the loader": ({"environment": [{"name": "LD_PRELOAD", "value": "x"}]}, "this name steers Slurm"),
    "a variable that is none": ({"environment": [{"name": "A=B", "value": "x"}]}, "spec.environment[0].name"),
    "a variable without value": ({"environment": [{"name": "A"}]}, "exactly one of value, valueFrom"),
    "an unknown launch mode": ({"launch": {"mode": "srun"}}, "spec.launch.mode"),
    "srun arguments with a line end": ({"launch": {"srunArguments": ["--mpi=\npmix"]}}, "spec.launch.srunArguments[0]"),
    "an unknown deletion policy": ({"deletionPolicy": "Keep"}, "spec.deletionPolicy"),
    "an unknown kind of ready": ({"readyWhen": "Done"}, "spec.readyWhen"),
    "a field of a later version": ({"dependsOn": ["another"]}, "dependsOn"),
    "a misspelt field": ({"timelimit": "5"}, "timelimit"),
}

WRONG_CLUSTERS: dict[str, tuple[Json, str]] = {
    "no host keys": ({"ssh": {"hosts": [{"host": "a"}]}}, "knownHosts"),
    "two sources of host keys": (
        {"ssh": {"hosts": [{"host": "a"}], "knownHosts": {"inline": "a", "configMapKeyRef": REFERENCE}}},
        "exactly one of inline, configMapKeyRef, secretKeyRef",
    ),
    "no host": ({"ssh": {"hosts": [], "knownHosts": {"inline": "a"}}}, "spec.ssh.hosts"),
    "a host with options": (
        {"ssh": {"hosts": [{"host": "-oProxyCommand=id x"}], "knownHosts": {"inline": "a"}}},
        "spec.ssh.hosts",
    ),
    "a port that is none": ({"ssh": {"hosts": [{"host": "a", "port": 0}], "knownHosts": {"inline": "a"}}}, "spec.ssh.hosts"),
    "no mapping": ({"identity": None}, "spec.identity"),
    "nobody who knows anybody": ({"identity": {}}, "exactly one of mapping, plugin"),
    "a mapping and a plugin": (
        {"identity": {"mapping": {"configMap": "a"}, "plugin": {"name": "a"}}},
        "exactly one of mapping, plugin",
    ),
    "a directory in clear": (
        {"identity": {"ldap": {**LDAP, "servers": ["ldaps://a", "ldap://b"]}}},
        "with ldap:// servers, startTls must be true: nothing is ever said in clear",
    ),
    "a directory where everybody is meant": ({"identity": {"ldap": {**LDAP, "filter": "(mail=*)"}}}, "must contain {mail}"),
    "NTLM without a domain": (
        {"identity": {"ldap": {**LDAP, "bind": {**LDAP["bind"], "method": "NTLM"}}}},
        "with NTLM, name is DOMAIN\\name",
    ),
    "one key for everybody in a directory": (
        {"identity": {"ldap": {**LDAP, "keySecretTemplate": "key"}}},
        "must contain {user}",
    ),
    "a directory and one for everybody": (
        {"identity": {"ldap": LDAP, "singleUser": {"name": "jarvice", "privateKeySecretRef": REFERENCE}}},
        "exactly one of mapping, plugin, ldap, singleUser",
    ),
    "two mappings": ({"identity": {"mapping": {"configMap": "a", "secret": "b"}}}, "exactly one of configMap, secret"),
    "a command without its path": ({"commands": {"sbatch": "sbatch"}}, "spec.commands.sbatch"),
    "a command with arguments": ({"commands": {"sbatch": "/usr/bin/sbatch --uid=0"}}, "spec.commands.sbatch"),
    "one directory for all": ({"defaults": {"workingDirectory": "~/runs/{name}"}}, "must contain {uid}"),
    "a service user that is no name": (
        {
            "ssh": {
                "hosts": [{"host": "a"}],
                "knownHosts": {"inline": "a"},
                "serviceUser": {"name": "a b", "privateKeySecretRef": REFERENCE},
            }
        },
        "spec.ssh.serviceUser.name",
    ),
    "too many polls": ({"limits": {"pollIntervalSeconds": 0}}, "spec.limits.pollIntervalSeconds"),
}


def named(case: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", case.lower()).strip("-")


def cluster(world: World, case: str, spec: Json) -> Json:
    return {
        "apiVersion": "slurmgate.dev/v1alpha1",
        "kind": "SlurmCluster",
        "metadata": {"name": named(case)},
        "spec": without_unset({**valhalla.cluster_spec(world.bed), **spec}),
    }


def without_unset(spec: Json) -> Json:
    return {name: value for name, value in spec.items() if value is not None}


@pytest.fixture(scope="module")
def refusals(world: World) -> dict[str, str]:
    """kubectl's words about each case, all asked in one go."""
    submissions = [manifest(name=named(case), **spec) for case, (spec, _) in WRONG.items() if "script" not in spec]
    submissions += [manifest(name=named(case), **spec) for case, (spec, _) in WRONG.items() if "script" in spec]
    for body in submissions:
        body["spec"] = without_unset(body["spec"])
    clusters = [cluster(world, case, spec) for case, (spec, _) in WRONG_CLUSTERS.items()]
    words = world.refused(*submissions, *clusters)
    pieces = re.split(r"^(?=The |Error from server)", words, flags=re.MULTILINE)
    return {case: "".join(p for p in pieces if re.search(rf"[\"/]{named(case)}[\";]", p)) for case in (*WRONG, *WRONG_CLUSTERS)}


@pytest.mark.parametrize("case", [*WRONG, *WRONG_CLUSTERS])
def test_nonsense_is_refused_and_its_field_is_named(refusals: dict[str, str], case: str) -> None:
    _, words = {**WRONG, **WRONG_CLUSTERS}[case]
    assert words in refusals[case]


def test_nothing_of_it_came_through(world: World, refusals: dict[str, str]) -> None:
    assert refusals
    listed = world.kubectl("get", "jsub,slurmclusters", "--all-namespaces", "--output=name").split()
    assert not {name.rpartition("/")[2] for name in listed} & {named(case) for case in (*WRONG, *WRONG_CLUSTERS)}


# What stays as it was created ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def created(world: World) -> Submission:
    """Waits for a cluster that never comes."""
    return world.submit(
        clusterRef={"name": "never-there"},
        partition="batch",
        environment=[{"name": "A", "value": "1"}],
        sbatchArguments=["--nice=1"],
    )


CHANGES: dict[str, Json] = {
    "the script": {"script": {"inline": "#!/bin/sh\nanother\n"}},
    "the owner": {"owner": "mario@example.org"},
    "the cluster": {"clusterRef": {"name": "valhalla"}},
    "an option": {"partition": "night"},
    "an option taken away": {"partition": None},
    "an option added": {"timeLimit": "5"},
    "an argument": {"sbatchArguments": ["--nice=2"]},
    "the arguments taken away": {"sbatchArguments": None},
    "a variable": {"environment": [{"name": "A", "value": "2"}]},
    "files added": {"files": [FILE]},
    "the directory": {"executionDirectory": "/tmp"},
    "how it is launched": {"launch": {"mode": "None"}},
    "what is kept": {"writeSubmissionFiles": False},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_defines_the_job_cannot_be_changed(created: Submission, change: str) -> None:
    assert "create another submission" in created.refused_patch(**CHANGES[change])


def test_a_cancelled_submission_stays_cancelled(world: World) -> None:
    submission = world.submit(clusterRef={"name": "never-there"}, cancel=True)

    assert "a cancelled submission stays cancelled" in submission.refused_patch(cancel=False)


def test_what_may_change_can_be_changed(created: Submission) -> None:
    assert created.get()["metadata"]["generation"] == 1  # for all that was refused above
    created.patch(suspend=True, deletionPolicy="Orphan", readyWhen="Running")
    created.patch(suspend=False, deletionPolicy="Cancel", readyWhen="Complete")
    created.delete()
