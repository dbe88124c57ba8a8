"""From a submission to what travels."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.outcomes import Admission, Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import LaunchMode
from slurmgate.slurm.gateway import File, Package
from slurmgate.slurm.options import Option
from slurmgate.slurm.package import fill, prepare
from tests.unit.slurm.support import TOKEN, cluster, spec

SCRIPT = b"#!/bin/sh\n#SBATCH --ntasks=2\ntrue\n"


def prepared(script: bytes = SCRIPT, **fields: Any) -> tuple[Admission, Package] | Refused:
    own = {"files": (), "environment": (), "held": False, "token": TOKEN, "cluster": {}}
    own |= {"installation": "this-cluster", "accounting": True}
    own["added"] = ()
    given = {key: fields.pop(key, value) for key, value in own.items()}
    given["cluster"] = cluster(**given["cluster"])
    return prepare(spec(**fields), namespace="research", name="mesh", user="kirby", script=script, **given)


def accepted(script: bytes = SCRIPT, **fields: Any) -> tuple[Admission, Package]:
    outcome = prepared(script, **fields)
    assert not isinstance(outcome, Refused), outcome
    return outcome


def refused(script: bytes = SCRIPT, **fields: Any) -> Refused:
    outcome = prepared(script, **fields)
    assert isinstance(outcome, Refused)
    return outcome


def test_a_submission_becomes_a_package_and_what_status_tells() -> None:
    admission, package = accepted()
    assert admission.user == "kirby"
    assert admission.directory == package.directory == "~/slurmgate/research/mesh-7c9e6679"
    assert admission.script_sha256 == hashlib.sha256(SCRIPT).hexdigest()
    assert admission.arguments == package.arguments == ("--parsable", f"--comment=slurmgate:{TOKEN}", "--job-name=mesh")
    assert (admission.stdout, admission.stderr, admission.array) == ("slurm-%j.out", "slurm-%j.out", None)
    assert admission.launch.mode is LaunchMode.SRUN
    assert package.script == SCRIPT
    assert package.batch is not None
    assert b"#SBATCH --ntasks=2\n" in package.batch


def test_the_script_alone_travels_without_srun() -> None:
    assert accepted(launch={"mode": "None"})[1].batch is None


OUTPUTS: dict[str, tuple[bytes, dict[str, Any], tuple[str, str]]] = {
    "an array": (SCRIPT, {"array": "0-3"}, ("slurm-%A_%a.out", "slurm-%A_%a.out")),
    "an array in the script": (b"#!/bin/sh\n#SBATCH -a 1-2\n", {}, ("slurm-%A_%a.out", "slurm-%A_%a.out")),
    "spec over the script": (b"#!/bin/sh\n#SBATCH -o a -e b\n", {"sbatchArguments": ["-o", "%x-%u"]}, ("mesh-kirby", "b")),
    "the name that was given": (b"#!/bin/sh\n#SBATCH -J other -o %x\n", {}, ("other", "other")),
}


@pytest.mark.parametrize(("script", "fields", "paths"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_output_paths_are_told(script: bytes, fields: dict[str, Any], paths: tuple[str, str]) -> None:
    admission, _ = accepted(script, **fields)
    assert (admission.stdout, admission.stderr) == paths


LAUNCHES: dict[str, tuple[dict[str, Any] | None, dict[str, Any], LaunchMode, bool]] = {
    "the cluster's default": (None, {"mode": "None"}, LaunchMode.NONE, False),
    "the submission over it": ({"mode": "Srun"}, {"mode": "None"}, LaunchMode.SRUN, False),
    "the cluster's arguments": (None, {"mode": "Srun", "srunArguments": ["--mpi=pmix"]}, LaunchMode.SRUN, True),
    "arguments for the cluster's mode": ({"srunArguments": ["--mpi=pmix"]}, {"mode": "Srun"}, LaunchMode.SRUN, True),
}


@pytest.mark.parametrize(("wanted", "default", "mode", "pmix"), LAUNCHES.values(), ids=LAUNCHES.keys())
def test_the_submission_decides_before_the_cluster(
    wanted: dict[str, Any] | None, default: dict[str, Any], mode: LaunchMode, *, pmix: bool
) -> None:
    admission, package = accepted(cluster={"defaults": {"launch": default}}, launch=wanted)
    assert admission.launch.mode is mode
    assert (b"--mpi=pmix" in (package.batch or b"")) is pmix


REFUSED: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "a token that is no token": ({"token": "../x"}, Reason.INVALID_SPEC, "metadata.uid"),
    "a variable that steers the loader": (
        {"environment": [("LD_PRELOAD", "x")]},
        Reason.INVALID_SPEC,
        "spec.environment: LD_PRELOAD",
    ),
    "a variable that steers sbatch": ({"environment": [("SBATCH_PARTITION", "x")]}, Reason.INVALID_SPEC, "spec.environment"),
    "a variable that shells protect": ({"environment": [("UID", "0")]}, Reason.INVALID_SPEC, "spec.environment: UID"),
    "no name of a variable": ({"environment": [("a b", "0")]}, Reason.INVALID_SPEC, "spec.environment: a b"),
    "a value with a NUL byte": ({"environment": [("A", "\0")]}, Reason.INVALID_SPEC, "spec.environment: the value of A"),
    "a file outside": ({"files": [File("a/../../b", b"")]}, Reason.INVALID_SPEC, "spec.files: 'a/../../b'"),
    "an absolute file": ({"files": [File("/etc/x", b"")]}, Reason.INVALID_SPEC, "spec.files: '/etc/x'"),
    "a file with a line end": ({"files": [File("a\nb", b"")]}, Reason.INVALID_SPEC, "spec.files"),
    "a file of ours": ({"files": [File(".slurmgate/x", b"")]}, Reason.INVALID_SPEC, "spec.files: '.slurmgate/x'"),
    "two of one name for whoever reads them": (
        {"files": [File("\u00e9", b""), File("e\u0301", b"")]},
        Reason.INVALID_SPEC,
        "spec.files: there are two files 'e\u0301'",
    ),
    "two of one name": (
        {"files": [File("a", b""), File("a", b"")]},
        Reason.INVALID_SPEC,
        "spec.files: there are two files 'a'",
    ),
    "a file where the script is kept": ({"files": [File("mesh.sh", b"")]}, Reason.INVALID_SPEC, "spec.files: there are two"),
    "a file below a file": (
        {"files": [File("a", b""), File("a/b/c", b"")]},
        Reason.INVALID_SPEC,
        "spec.files: 'a/b/c' lies below",
    ),
    "too much": (
        {"files": [File("a", b"x" * 3_000_000), File("b", b"x" * 3_000_000)]},
        Reason.INVALID_SPEC,
        "spec.files: 6000000",
    ),
    "arguments for an srun that is not used": (
        {"launch": {"mode": "None", "srunArguments": ["--mpi=pmix"]}},
        Reason.INVALID_SPEC,
        "spec.launch.srunArguments: srun is not used (asked for",
    ),
    "arguments for srun in a script that calls it": (
        {"launch": {"srunArguments": ["--mpi=pmix"]}, "script": b"#!/bin/sh\nsrun x\n"},
        Reason.INVALID_SPEC,
        "spec.launch.srunArguments: srun is not used (line 2 of the script names srun)",
    ),
    "no script": ({"script": b" "}, Reason.SCRIPT_INVALID, "the script is empty"),
    "a bad line": ({"script": b"#!/bin/sh\n#SBATCH x\n"}, Reason.OPTION_NOT_ALLOWED, "line 2 of the script: 'x'"),
    "a line of PBS": ({"script": b"#!/bin/sh\n#PBS -N x\n"}, Reason.OPTION_NOT_ALLOWED, "line 2 of the script: #PBS"),
    "what the cluster denies": (
        {"sbatchArguments": ["--exclusive"], "cluster": {"denyOptions": ["exclusive"]}},
        Reason.OPTION_NOT_ALLOWED,
        "spec.sbatchArguments[0]: --exclusive",
    ),
    "DOS line ends, once srun is decided on": (
        {"script": b"#!/bin/sh\r\ntrue\r\n"},
        Reason.SCRIPT_INVALID,
        "Batch script contains",
    ),
}


@pytest.mark.parametrize(("fields", "reason", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_refused_by_name(fields: dict[str, Any], reason: Reason, message: str) -> None:
    outcome = refused(**fields)
    assert outcome.reason is reason
    assert outcome.message.startswith(message)


def test_lines_of_pbs_may_be_ignored_on_purpose() -> None:
    script = b"#!/bin/sh\n#PBS -N x\n"
    assert accepted(script, sbatchArguments=["--ignore-pbs"])
    assert accepted(b"#!/bin/sh\n#SBATCH --ignore-pbs\n#PBS -N x\n")


def test_lines_of_pbs_are_not_ignored_for_one_component_of_several() -> None:
    outcome = refused(script=b"#!/bin/sh\n#SBATCH --ignore-pbs\n#SBATCH hetjob\n#SBATCH -n 1\n#PBS -N x\n")
    assert outcome.reason is Reason.OPTION_NOT_ALLOWED


def test_the_clusters_arguments_for_srun_may_go_unused() -> None:
    _, package = accepted(cluster={"defaults": {"launch": {"srunArguments": ["--mpi=pmix"]}}}, launch={"mode": "None"})
    assert package.batch is None


def test_a_file_may_have_the_name_of_a_script_that_is_not_kept() -> None:
    assert accepted(files=[File("mesh.sh", b"")], writeSubmissionFiles=False)


def test_dos_line_ends_are_left_to_sbatch_without_srun() -> None:
    assert accepted(b"#!/bin/sh\r\ntrue\r\n", launch={"mode": "None"})


def test_directories_are_filled_in_once() -> None:
    filled = fill("~/{user}/{namespace}/{name}/{x}/{{uid}}", user="{name}", namespace="n", name="m", uid="u")
    assert filled == "~/{name}/n/m/{x}/{u}"


@given(st.binary(max_size=200))
def test_any_script_becomes_a_package_unaltered_or_is_refused(script: bytes) -> None:
    outcome = prepared(script)
    if not isinstance(outcome, Refused):
        assert outcome[1].script == script
        assert b"\0" not in script


ACCESS: dict[str, tuple[dict[str, Any], str]] = {
    "a field": ({"partition": "cpu"}, ""),
    "another in a field": ({"partition": "gpu"}, "spec.partition: --partition=gpu is not allowed"),
    "an argument": ({"sbatchArguments": ["-p", "cpu"]}, ""),
    "another in an argument": ({"sbatchArguments": ["-pgpu"]}, "spec.sbatchArguments[0]: --partition=gpu"),
    "one abbreviated": ({"sbatchArguments": ["--part=gpu"]}, "spec.sbatchArguments[0]: --partition=gpu"),
    "a line of the script": ({"script": b"#!/bin/sh\n#SBATCH -p cpu\n"}, ""),
    "another in the script": ({"script": b"#!/bin/sh\n#SBATCH -n1 -p gpu\n"}, "line 2 of the script: --partition=gpu"),
    "the last line counts": ({"script": b"#!/bin/sh\n#SBATCH -p cpu\n#SBATCH -p gpu\n"}, "line 3 of the script"),
    "a field over the script": ({"partition": "cpu", "script": b"#!/bin/sh\n#SBATCH -p gpu\n"}, ""),
    "several": ({"partition": "cpu,gpu"}, "spec.partition: --partition=cpu,gpu"),
    "none": ({}, "spec.partition: is not set, and Slurm's own default is not used"),
    "the cluster's default": ({"cluster": {"defaults": {"partition": "cpu"}}}, ""),
    "another as default": ({"cluster": {"defaults": {"partition": "gpu"}}}, "spec.defaults.partition: --partition=gpu"),
    "an option of a hook": ({"added": [Option("partition", "cpu", "hook h")]}, ""),
    "another of a hook": ({"added": [Option("partition", "gpu", "hook h")]}, "hook h: --partition=gpu"),
    "every component of a het job": ({"script": b"#!/bin/sh\n#SBATCH -p cpu\n#SBATCH hetjob\n#SBATCH -p cpu\n"}, ""),
    "another in the first component": (
        {"script": b"#!/bin/sh\n#SBATCH -p gpu\n#SBATCH hetjob\n#SBATCH -p cpu\n"},
        "line 2 of the script: --partition=gpu",
    ),
    "another in the first component, with a field over it": (
        {"partition": "cpu", "script": b"#!/bin/sh\n#SBATCH -p gpu\n#SBATCH hetjob\n#SBATCH -p cpu\n"},
        "line 2 of the script: --partition=gpu",
    ),
    "none in the second component": (
        {"partition": "cpu", "script": b"#!/bin/sh\n#SBATCH -p cpu\n#SBATCH hetjob\n#SBATCH -n1\n"},
        "spec.partition: is not set in component 2 of the script",
    ),
    "another field over a het job": (
        {"partition": "gpu", "script": b"#!/bin/sh\n#SBATCH -p cpu\n#SBATCH hetjob\n#SBATCH -p cpu\n"},
        "spec.partition: --partition=gpu",
    ),
}


@pytest.mark.parametrize(("fields", "message"), ACCESS.values(), ids=ACCESS.keys())
def test_what_the_cluster_limits_is_looked_at_wherever_it_stands(fields: dict[str, Any], message: str) -> None:
    described = {"access": {"partitions": ["cpu"]}, **fields.get("cluster", {})}
    outcome = prepared(**{"script": b"#!/bin/sh\n", **fields, "cluster": described})
    if message:
        assert isinstance(outcome, Refused)
        assert outcome.reason is Reason.ACCESS_DENIED
        assert outcome.message.startswith(message)
    else:
        assert not isinstance(outcome, Refused)
