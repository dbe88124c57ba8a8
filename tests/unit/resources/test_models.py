"""The models take and refuse what the API server does. What only they refused, nobody would ever be told of in kubectl."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from slurmgate.resources.base import Condition, Model
from slurmgate.resources.cluster import SlurmCluster, SlurmClusterSpec
from slurmgate.resources.submission import JobSubmission, JobSubmissionSpec, JobSubmissionStatus, LaunchMode, Phase
from tests.unit.resources.schema import Json, refusal, schema

MINIMAL: dict[str, Json] = {
    "JobSubmission": {
        "clusterRef": {"name": "valhalla"},
        "owner": "kirby@nintendo.example",
        "script": {"inline": "#!/bin/sh\nhostname\n"},
    },
    "SlurmCluster": {
        "ssh": {"hosts": [{"host": "login1"}], "knownHosts": {"inline": "login1 ssh-ed25519 AAAA"}},
        "identity": {"mapping": {"configMap": "users"}},
    },
}
MODELS: dict[str, type[Model]] = {"JobSubmission": JobSubmissionSpec, "SlurmCluster": SlurmClusterSpec}
KEY = {"name": "scripts", "key": "run.sh"}


def file(**fields: Any) -> Json:
    return {"files": [{"name": "input.dat", "inline": "x", **fields}]}


def variable(**fields: Any) -> Json:
    return {"environment": [{"name": "MESH", "value": "x", **fields}]}


TAKEN: dict[str, Json] = {
    "nothing but what is needed": {},
    "a script from a ConfigMap": {"script": {"configMapKeyRef": KEY}},
    "a script in the home directory": {"script": {"remotePath": "~/run.sh"}},
    "a script anywhere": {"script": {"remotePath": "/scratch/run me.sh"}},
    "a script with every quoting horror": {"script": {"inline": "#!/bin/sh\r\necho '\"$`\\ !ü\t\x7f\n"}},
    "a script of one byte": {"script": {"inline": "x"}},
    "a script as long as it may be": {"script": {"inline": "x" * 1048576}},
    "a file": file(),
    "a file in a folder": file(name="input/mesh.dat"),
    "a hidden file": file(name=".config"),
    "a file with a strange name": file(name="-rf $(id) ü;'"),
    "a binary file": {"files": [{"name": "x", "inlineBase64": base64.b64encode(bytes(256)).decode()}]},
    "a binary file in lines": {"files": [{"name": "x", "inlineBase64": "AAAA\nAAAA\n"}]},
    "an empty file": file(inline=""),
    "an executable file": file(executable=True),
    "a file from a Secret": {"files": [{"name": "key", "secretKeyRef": KEY}]},
    "arguments": {"sbatchArguments": ["--exclusive", "--mail-type=END", "--comment=two words ü"]},
    "nodes as a number": {"nodes": 2},
    "nodes as text": {"nodes": "2"},
    "nodes as a range": {"nodes": "2-4"},
    "GPUs as a number": {"gpus": 0},
    "GPUs of a type": {"gpus": "a100:2"},
    "memory in megabytes": {"memory": "500"},
    "memory in gigabytes": {"memory": "4G"},
    "minutes": {"timeLimit": "90"},
    "days and hours": {"timeLimit": "1-12"},
    "everything of a time": {"timeLimit": "1-12:30:00"},
    "no time limit": {"timeLimit": "UNLIMITED"},
    "an array": {"array": "0-9"},
    "an array with everything": {"array": "1,3-9:2,20%4"},
    "home as directory": {"executionDirectory": "~"},
    "a directory below home": {"executionDirectory": "~/runs/1"},
    "a directory": {"executionDirectory": "/scratch/kirby's runs"},
    "a variable": variable(),
    "a variable in several lines": variable(value="a\nb"),
    "an empty variable": variable(value=""),
    "a variable from a Secret": {"environment": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": KEY}}]},
    "launched by srun": {"launch": {"mode": "Srun", "srunArguments": ["--mpi=pmix"]}},
    "launched as the cluster does": {"launch": {}},
    "held": {"suspend": True},
    "orphaned": {"deletionPolicy": "Orphan"},
    "ready once it runs": {"readyWhen": "Running"},
    "no files left": {"writeSubmissionFiles": False},
}

REFUSED: dict[str, Json] = {
    "no cluster": {"clusterRef": None},
    "a cluster without a name": {"clusterRef": {}},
    "a cluster's name in capitals": {"clusterRef": {"name": "Valhalla"}},
    "a cluster's name with a path in it": {"clusterRef": {"name": "../valhalla"}},
    "no owner": {"owner": None},
    "an owner without a domain": {"owner": "kirby"},
    "an owner with two at signs": {"owner": "kirby@nintendo.example@sega.example"},
    "two owners": {"owner": "kirby@nintendo.example,mario@nintendo.example"},
    "an owner with a line end": {"owner": "kirby@nintendo.example\n"},
    "an owner with a blank": {"owner": "kirby @nintendo.example"},
    "no script": {"script": None},
    "an empty script": {"script": {"inline": ""}},
    "a script that is too long": {"script": {"inline": "x" * 1048577}},
    "a script somewhere": {"script": {"remotePath": "run.sh"}},
    "a script of somebody else's home": {"script": {"remotePath": "~mario/run.sh"}},
    "a script's path with a line end": {"script": {"remotePath": "/run.sh\nrm"}},
    "a script from a key without a name": {"script": {"configMapKeyRef": {"name": "scripts"}}},
    "a script from a ConfigMap of another namespace": {
        "script": {"configMapKeyRef": {"name": "kube-system/scripts", "key": "x"}}
    },
    "a file without a name": file(name=""),
    "a file at the root": file(name="/etc/passwd"),
    "a file's name with a line end": file(name="a\nb"),
    "a file's name that is too long": file(name="x" * 256),
    "a file that is no base64": {"files": [{"name": "x", "inlineBase64": "?"}]},
    "too many files": {"files": [{"name": str(number), "inline": ""} for number in range(33)]},
    "an argument with a line end": {"sbatchArguments": ["--comment=a\nb"]},
    "an argument that ends with a line end": {"sbatchArguments": ["--exclusive\n"]},
    "an argument with a NUL": {"sbatchArguments": ["--comment=a\x00"]},
    "an argument with an escape sequence": {"sbatchArguments": ["--comment=\x1b[2J"]},
    "an empty argument": {"sbatchArguments": [""]},
    "an argument that is too long": {"sbatchArguments": ["x" * 1025]},
    "too many arguments": {"sbatchArguments": ["--exclusive"] * 129},
    "one argument that is no list": {"sbatchArguments": "--exclusive"},
    "a partition with a blank": {"partition": "a b"},
    "a partition with a quote": {"partition": "a'b"},
    "an account with a line end": {"account": "a\n"},
    "no nodes": {"nodes": 0},
    "a node too few": {"nodes": -1},
    "nodes in words": {"nodes": "many"},
    "half a node": {"nodes": 1.5},
    "no tasks": {"tasks": 0},
    "more tasks than a number holds": {"tasks": 2**31},
    "no CPUs": {"cpusPerTask": 0},
    "memory in words": {"memory": "lots"},
    "memory in fractions": {"memory": "1.5G"},
    "GPUs that are owed": {"gpus": -1},
    "GPUs of a type without a number": {"gpus": "a100"},
    "a time in words": {"timeLimit": "1 day"},
    "a time that lacks a part": {"timeLimit": "1-"},
    "an array in words": {"array": "all"},
    "an array from below": {"array": "-1"},
    "an array that is too long": {"array": "1," * 128 + "1"},
    "a directory somewhere": {"executionDirectory": "runs"},
    "a directory of somebody else's": {"executionDirectory": "~mario"},
    "a directory with a line end": {"executionDirectory": "/tmp\n"},
    "a variable's name with an equals sign": variable(name="A=B"),
    "a variable's name with a line end": variable(name="A\n"),
    "a variable's name that begins with a digit": variable(name="1A"),
    "a variable with a NUL": variable(value="a\x00b"),
    "a variable that is too long": variable(value="x" * 32769),
    "a mode of launching that does not exist": {"launch": {"mode": "Mpirun"}},
    "an argument of srun with a line end": {"launch": {"srunArguments": ["--mpi\n"]}},
    "a deletion policy that does not exist": {"deletionPolicy": "Retain"},
    "ready at some time": {"readyWhen": "Whenever"},
}

LDAP: Json = {
    "servers": ["ldaps://ldap1.example.org"],
    "bind": {"name": "cn=slurmgate,dc=example,dc=org", "passwordSecretRef": KEY},
    "base": "dc=example,dc=org",
}


def ldap(**fields: Any) -> Json:
    return {"identity": {"ldap": {**LDAP, **fields}}}


CLUSTERS_TAKEN: dict[str, Json] = {
    "nothing but what is needed": {},
    "an address": {"ssh": {"hosts": [{"host": "2001:db8::1", "port": 2222}], "knownHosts": {"inline": "x"}}},
    "host keys from a Secret": {"ssh": {"hosts": [{"host": "a"}], "knownHosts": {"secretKeyRef": KEY}}},
    "a mapping in a Secret": {"identity": {"mapping": {"secret": "users", "key": "m.yaml"}}},
    "a plugin": {"identity": {"plugin": {"name": "staff-v2", "parameters": {"url": "ldaps://x", "Base DN": ""}}}},
    "a directory": ldap(),
    "servers of a directory": ldap(servers=["ldaps://a:1636", "ldap://b", "ldap://[2001:db8::1]:389"], startTls=True),
    "an Active Directory": ldap(
        filter="(&(objectClass=user)(|(mail={mail})(userPrincipalName={mail})))", userAttribute="sAMAccountName"
    ),
    "a Secret for each user": ldap(keySecretTemplate="slurm-key-{user}"),
    "one for everybody": {"identity": {"singleUser": {"name": "jarvice", "privateKeySecretRef": KEY}}},
    "options that are allowed and denied": {"allowOptions": ["chdir"], "denyOptions": ["reservation"]},
    "other paths": {"commands": {"sbatch": "/opt/slurm/22.05/bin/sbatch"}},
    "a slow poll": {"limits": {"pollIntervalSeconds": 3600}},
    "defaults": {"defaults": {"partition": "batch", "workingDirectory": "/scratch/{user}/{uid}", "launch": {"mode": "None"}}},
}
CLUSTERS_REFUSED: dict[str, Json] = {
    "no login node": {"ssh": {"hosts": [], "knownHosts": {"inline": "x"}}},
    "no host keys": {"ssh": {"hosts": [{"host": "a"}]}},
    "a login node with an option in its name": {
        "ssh": {"hosts": [{"host": "-oProxyCommand=id x"}], "knownHosts": {"inline": "x"}}
    },
    "a port that does not exist": {"ssh": {"hosts": [{"host": "a", "port": 65536}], "knownHosts": {"inline": "x"}}},
    "nobody who knows anybody": {"identity": None},
    "a plugin without a name": {"identity": {"plugin": {"parameters": {}}}},
    "two plugins in one": {"identity": {"plugin": {"name": "a,b"}}},
    "a parameter that is no text": {"identity": {"plugin": {"name": "a", "parameters": {"port": 636}}}},
    "a parameter that is too long": {"identity": {"plugin": {"name": "a", "parameters": {"filter": "x" * 1025}}}},
    "a directory without servers": ldap(servers=[]),
    "a server that is no address": ldap(servers=["ldaps://a/dc=org"]),
    "a server by HTTP": ldap(servers=["https://a"]),
    "a server with a password in its address": ldap(servers=["ldaps://me:secret@a"]),
    "a filter without parentheses": ldap(filter="mail={mail}"),
    "a filter with a line end": ldap(filter="(mail={mail}\n)"),
    "an attribute that is a filter": ldap(userAttribute="uid)(uid=*"),
    "a Secret that cannot be": ldap(keySecretTemplate="{user}_key"),
    "a bind without a password": ldap(bind={"name": "cn=slurmgate"}),
    "a relative path": {"commands": {"sbatch": "sbatch"}},
    "a path with an option": {"commands": {"sbatch": "/usr/bin/sbatch --uid=0"}},
    "a path with a line end": {"commands": {"sbatch": "/usr/bin/sbatch\n"}},
    "a poll without a pause": {"limits": {"pollIntervalSeconds": 0}},
    "an option with its dashes": {"allowOptions": ["--chdir"]},
    "a working directory somewhere": {"defaults": {"workingDirectory": "runs/{uid}"}},
}

CASES = [
    *(("JobSubmission", name, change, True) for name, change in TAKEN.items()),
    *(("JobSubmission", name, change, False) for name, change in REFUSED.items()),
    *(("SlurmCluster", name, change, True) for name, change in CLUSTERS_TAKEN.items()),
    *(("SlurmCluster", name, change, False) for name, change in CLUSTERS_REFUSED.items()),
]


@pytest.mark.parametrize(
    ("kind", "change", "taken"),
    [(kind, change, taken) for kind, _, change, taken in CASES],
    ids=[name for _, name, _, _ in CASES],
)
def test_model_and_schema_agree(kind: str, change: Json, *, taken: bool) -> None:
    body = {key: value for key, value in {**MINIMAL[kind], **change}.items() if value is not None}
    assert (refusal(kind, "spec", body) is None) is taken
    assert _model_takes(MODELS[kind], body) is taken


def _model_takes(model: type[Model], body: Json) -> bool:
    try:
        model.model_validate(body)
    except ValidationError:
        return False
    return True


def test_text_that_the_schema_takes_for_base64_and_that_is_none_is_refused_by_the_model() -> None:
    body = {**MINIMAL["JobSubmission"], "files": [{"name": "x", "inlineBase64": "abc"}]}
    assert refusal("JobSubmission", "spec", body) is None
    with pytest.raises(ValidationError, match="padding"):
        JobSubmissionSpec.model_validate(body)


# Defaults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODELS)
def test_model_and_schema_have_the_same_defaults(kind: str) -> None:
    """What the API server fills in is what the model would have taken."""
    read = MODELS[kind].model_validate(MINIMAL[kind])
    assert MODELS[kind].model_validate(_filled_in(schema(kind, "spec"), MINIMAL[kind])) == read


@pytest.mark.parametrize("kind", MODELS)
def test_defaults_are_valid(kind: str) -> None:
    assert refusal(kind, "spec", _filled_in(schema(kind, "spec"), MINIMAL[kind])) is None


def _filled_in(node: Json, value: Any) -> Any:
    if isinstance(value, list):
        return [_filled_in(node["items"], item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {name: field["default"] for name, field in node.get("properties", {}).items() if "default" in field}
    filled |= value
    return {name: _filled_in(node["properties"][name], item) for name, item in filled.items()}


def test_a_cluster_launches_by_itself_unless_it_says_otherwise() -> None:
    spec = SlurmClusterSpec.model_validate(MINIMAL["SlurmCluster"])
    assert spec.defaults.launch.mode is LaunchMode.AUTO
    assert "{uid}" in spec.defaults.working_directory


# How they are read and written ---------------------------------------------------------------------------------------

METADATA = {"name": "hello", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-22T12:00:00Z"}


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {}}], ids=["absent", "null", "empty"])
@pytest.mark.parametrize("kind", [JobSubmission, SlurmCluster])
def test_an_object_that_nobody_has_worked_on_has_an_empty_status(
    kind: type[JobSubmission | SlurmCluster], status: Json
) -> None:
    read = kind.model_validate({"metadata": METADATA, "spec": MINIMAL[kind.KIND], **status})
    assert read.status.conditions == ()


def test_fields_of_a_newer_version_are_no_obstacle() -> None:
    body = {"metadata": {**METADATA, "managedFields": []}, "spec": {**MINIMAL["JobSubmission"], "dependsOn": ["x"]}}
    assert JobSubmission.model_validate(body).spec.owner == "kirby@nintendo.example"


def test_what_is_unset_is_not_written() -> None:
    assert JobSubmissionStatus(phase=Phase.CREATED).wire() == {"phase": "Created", "conditions": []}


def test_models_do_not_change() -> None:
    spec = JobSubmissionSpec.model_validate(MINIMAL["JobSubmission"])
    with pytest.raises(ValidationError, match="frozen"):
        spec.owner = "mario@nintendo.example"  # type: ignore[misc]


@pytest.mark.parametrize("reason", ["", "two words", "9lives", "Trailing,", "ü"])
def test_a_reason_is_one_word(reason: str) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(
            {"type": "Ready", "status": "True", "reason": reason, "message": "", "lastTransitionTime": "2026-11-22T12:00:00Z"}
        )


ENDED = {
    Phase.CREATED: False,
    Phase.SUBMITTED: False,
    Phase.DONE: True,
    Phase.ABORTED: True,
    Phase.REJECTED: True,
    Phase.CANCELLED: True,
}


@pytest.mark.parametrize("phase", Phase)
def test_which_phases_are_ends(phase: Phase) -> None:
    assert phase.ended is ENDED[phase]
