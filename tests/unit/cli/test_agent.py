"""What becomes of an Agent's settings: each is carried over, or it is said why not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from slurmgate.cli.commands import app
from slurmgate.resources.cluster import SlurmClusterSpec

NEEDED = {"OIDC_CLIENT_ID": "valhalla", "OIDC_CLIENT_SECRET": "s3cret"}
# What is no business of the Agent's settings.
CONNECTED = {
    "ssh": {"hosts": [{"host": "login"}], "knownHosts": {"inline": "login ssh-ed25519 AAAA"}},
    "identity": {"mapping": {"configMap": "slurmgate-mapping"}},
}
Json = dict[str, Any]


def imported(settings: Mapping[str, str], *options: str, more: str = "") -> Result:
    text = "".join(f"JOBBERGATE_AGENT_{name}='{value}'\n" for name, value in {**NEEDED, **settings}.items())
    return CliRunner().invoke(app, ["jobbergate", "import-env", "-", *options], input=text + more)


def made(settings: Mapping[str, str], *options: str) -> tuple[Json, Json]:
    result = imported(settings, *options)
    assert result.exit_code == 0, result.output
    secret, cluster = yaml.safe_load_all(result.stdout)
    SlurmClusterSpec.model_validate({**CONNECTED, **cluster["spec"]})
    return secret, cluster


def remark(settings: Mapping[str, str], name: str) -> str:
    lines = imported(settings).stdout.splitlines()
    (line,) = (each for each in lines if each.startswith(f"# JOBBERGATE_AGENT_{name}:"))
    return line


def test_the_least_gives_a_secret_and_a_cluster_named_as_the_client() -> None:
    secret, cluster = made({})
    assert secret["metadata"] == {"name": "valhalla-jobbergate", "namespace": "slurmgate-system"}
    assert secret["stringData"] == {"client-secret": "s3cret"}
    assert cluster["metadata"] == {"name": "valhalla"}
    assert cluster["spec"] == {
        "jobbergate": {
            "url": "https://apis.vantagehpc.io",
            "oidcUrl": "https://auth.vantagehpc.io/realms/vantage",
            "clientId": "valhalla",
            "clientSecretRef": {"name": "valhalla-jobbergate", "key": "client-secret"},
            "namespace": "jobbergate",
        }
    }


def test_names_can_be_chosen() -> None:
    secret, cluster = made({}, "--cluster=asgard", "--namespace=team-{user}", "--operator-namespace=ops")
    assert secret["metadata"] == {"name": "asgard-jobbergate", "namespace": "ops"}
    assert cluster["metadata"]["name"] == "asgard"
    assert cluster["spec"]["jobbergate"]["namespace"] == "team-{user}"
    assert cluster["spec"]["jobbergate"]["clientId"] == "valhalla"


CARRIED: dict[str, tuple[dict[str, str], str, Json]] = {
    "addresses": (
        {"BASE_API_URL": "http://api:8000/", "OIDC_DOMAIN": "auth/realms/a", "OIDC_USE_HTTPS": "false"},
        "jobbergate",
        {"url": "http://api:8000", "oidcUrl": "http://auth/realms/a"},
    ),
    "the period": ({"TASK_JOBS_INTERVAL_SECONDS": "30"}, "jobbergate", {"healthIntervalSeconds": 30}),
    "the hour of garbage": ({"TASK_GARBAGE_COLLECTION_HOUR": "0"}, "jobbergate", {"collectGarbage": True}),
    "an influxdb": (
        {"INFLUX_DSN": "influxdb://u:p@influx/slurm"},
        "jobbergate",
        {"metrics": {"dsnSecretRef": {"name": "valhalla-jobbergate", "key": "influxdb"}}},
    ),
    "another sbatch": (
        {"SBATCH_PATH": "/opt/slurm/bin/sbatch", "SCANCEL_PATH": "/opt/wrapped/scancel"},
        "commands",
        {"sbatch": "/opt/slurm/bin/sbatch", "scancel": "/opt/wrapped/scancel", "sacct": "/opt/slurm/bin/sacct"},
    ),
    "another scontrol": ({"SCONTROL_PATH": "/opt/scontrol"}, "commands", {"scontrol": "/opt/scontrol"}),
    "another directory": (
        {"DEFAULT_SLURM_WORK_DIR": "/scratch/{username}/"},
        "defaults",
        {"workingDirectory": "/scratch/{user}/slurmgate/{namespace}/{name}-{uid}"},
    ),
}


@pytest.mark.parametrize("case", CARRIED)
def test_carried_over(case: str) -> None:
    settings, part, expected = CARRIED[case]
    _, cluster = made(settings)
    assert expected.items() <= cluster["spec"][part].items()
    assert all("-> " in remark(settings, name) for name in settings)


def test_what_is_as_usual_is_left_to_the_defaults() -> None:
    usual = {name: f"/usr/bin/{name.split('_')[0].lower()}" for name in ("SBATCH_PATH", "SCONTROL_PATH", "SCANCEL_PATH")}
    _, cluster = made({**usual, "DEFAULT_SLURM_WORK_DIR": "/home/{username}"})
    assert set(cluster["spec"]) == {"jobbergate"}


def test_a_directory_that_cannot_be_said_is_not_carried_over_and_that_is_said() -> None:
    settings = {"DEFAULT_SLURM_WORK_DIR": "/scratch/{username[0]}/x"}
    _, cluster = made(settings)
    assert "defaults" not in cluster["spec"]
    assert "and is NOT carried over" in imported(settings).stdout


@pytest.mark.parametrize(
    ("dsn", "ssl", "expected"),
    [
        ("influxdb://u:p@influx/slurm", "false", "influxdb://u:p@influx/slurm"),
        ("influxdb://u:p@influx/slurm", "true", "https+influxdb://u:p@influx/slurm"),
        ("https+influxdb://influx/slurm", "true", "https+influxdb://influx/slurm"),
    ],
)
def test_the_address_of_influxdb_is_in_the_secret_and_says_whether_it_is_encrypted(dsn: str, ssl: str, expected: str) -> None:
    secret, _ = made({"INFLUX_DSN": dsn, "INFLUX_SSL": ssl})
    assert secret["stringData"] == {"client-secret": "s3cret", "influxdb": expected}


@pytest.mark.parametrize(
    ("settings", "options", "complaint"),
    [
        ({"BASE_API_URL": "https://u:p@api"}, [], "JOBBERGATE_AGENT_BASE_API_URL: String should match"),
        ({"OIDC_DOMAIN": "a b"}, [], "JOBBERGATE_AGENT_OIDC_DOMAIN: String should match"),
        ({"OIDC_USE_HTTPS": "perhaps"}, [], "JOBBERGATE_AGENT_OIDC_USE_HTTPS: Input should be a valid boolean"),
        ({"OIDC_CLIENT_ID": "a b"}, ["--cluster=x"], "JOBBERGATE_AGENT_OIDC_CLIENT_ID: String should match"),
        ({"OIDC_CLIENT_ID": "Our Cluster"}, [], "'Our Cluster' cannot be the name of a SlurmCluster: choose one by --cluster."),
        ({"OIDC_CLIENT_SECRET": ""}, [], "JOBBERGATE_AGENT_OIDC_CLIENT_SECRET: is not in the file"),
        (
            {"TASK_JOBS_INTERVAL_SECONDS": "soon"},
            [],
            "JOBBERGATE_AGENT_TASK_JOBS_INTERVAL_SECONDS: Input should be a valid int",
        ),
        ({"TASK_JOBS_INTERVAL_SECONDS": "1"}, [], "JOBBERGATE_AGENT_TASK_JOBS_INTERVAL_SECONDS: Input should be greater"),
        ({"SBATCH_PATH": "sbatch"}, [], "JOBBERGATE_AGENT_SBATCH_PATH: String should match"),
        ({"DEFAULT_SLURM_WORK_DIR": "runs"}, [], "JOBBERGATE_AGENT_DEFAULT_SLURM_WORK_DIR: String should match"),
        ({"INFLUX_DSN": "udp+influxdb://a/b"}, [], "JOBBERGATE_AGENT_INFLUX_DSN: the DSN of InfluxDB begins with udp+influxdb"),
        ({}, ["--namespace=Team"], "--namespace: String should match"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_made(settings: dict[str, str], options: list[str], complaint: str) -> None:
    result = imported(settings, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert complaint in result.stderr


def test_bytes_that_are_no_text_are_refused() -> None:
    result = CliRunner().invoke(app, ["jobbergate", "import-env", "-"], input=b"JOBBERGATE_AGENT_OIDC_CLIENT_ID=\xff\n")
    assert result.exit_code == 1
    assert "is not UTF-8" in result.stderr


def test_what_the_agent_did_unasked_is_said() -> None:
    assert "the Agent ran every job as one user" in remark({}, "SLURM_USER_MAPPER")
    assert "the Agent's default is taken" in remark({}, "BASE_API_URL")


def test_strangers_are_named() -> None:
    said = imported({"COLOUR": "blue"}, more="EDITOR=vi\n'a\n- b'=c\nnot a statement\n").stdout
    assert "# JOBBERGATE_AGENT_COLOUR: is no setting of the Agent 4.0 to 5.12 that we know\n" in said
    assert "# EDITOR: is no setting of the Agent\n" in said
    assert "# 'A\\n- B': is no setting of the Agent\n" in said
    assert "# line 7 of the file is no statement, and was skipped, as the Agent does\n" in said


LDAP = {
    "SLURM_USER_MAPPER": "ldap-cached-mapper",
    "LDAP_DOMAIN": "ldap.example.org",
    "LDAP_BIND_DN": "cn=agent,dc=example,dc=org",
    "LDAP_PASSWORD": "hush",
    "LDAP_SEARCH_BASE": "ou=people,dc=example,dc=org",
}


def test_a_directory_that_the_agent_asked_is_asked_for_the_same() -> None:
    secret, cluster = made({**LDAP, "LDAP_PORT": "1636", "LDAP_UID_ATTRIBUTE": "sAMAccountName"})
    assert secret["stringData"]["ldap-password"] == "hush"
    assert cluster["spec"]["identity"] == {
        "ldap": {
            "servers": ["ldaps://ldap.example.org:1636"],
            "bind": {
                "name": "cn=agent,dc=example,dc=org",
                "passwordSecretRef": {"name": "valhalla-jobbergate", "key": "ldap-password"},
            },
            "base": "ou=people,dc=example,dc=org",
            "userAttribute": "sAMAccountName",
        }
    }


@pytest.mark.parametrize("missing", ["LDAP_DOMAIN", "LDAP_BIND_DN", "LDAP_PASSWORD", "LDAP_SEARCH_BASE"])
def test_what_the_directory_needs_and_is_not_there_is_named(missing: str) -> None:
    result = imported({name: value for name, value in LDAP.items() if name != missing})
    assert result.exit_code != 0
    assert f"JOBBERGATE_AGENT_{missing}: is not in the file" in result.output


@pytest.mark.parametrize(
    ("name", "value"),
    [("LDAP_DOMAIN", "two words"), ("LDAP_BIND_DN", ""), ("LDAP_SEARCH_BASE", ""), ("LDAP_UID_ATTRIBUTE", "1;x")],
)
def test_what_no_directory_can_have_is_named(name: str, value: str) -> None:
    result = imported({**LDAP, name: value})
    assert result.exit_code != 0
    assert f"JOBBERGATE_AGENT_{name}: " in result.output


def test_settings_of_a_directory_that_nobody_asked_are_not_carried_over() -> None:
    secret, cluster = made({name: value for name, value in LDAP.items() if name != "SLURM_USER_MAPPER"})
    assert "identity" not in cluster["spec"]
    assert "ldap-password" not in secret["stringData"]


def test_one_user_for_everybody_has_to_be_written_by_hand() -> None:
    settings = {"SINGLE_USER_SUBMITTER": "ubuntu", "SLURM_USER_MAPPER": "single-user-mapper"}
    _, cluster = made(settings)
    assert "identity" not in cluster["spec"]
    assert "spec.identity.singleUser" in remark(settings, "SINGLE_USER_SUBMITTER")


# Every setting of the Agent, by its own documentation.
SETTINGS = [
    "BASE_API_URL",
    "OIDC_DOMAIN",
    "OIDC_USE_HTTPS",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "TASK_JOBS_INTERVAL_SECONDS",
    "MAX_PAGES_PER_CYCLE",
    "ITEMS_PER_PAGE",
    "REQUESTS_TIMEOUT",
    "CACHE_DIR",
    "SBATCH_PATH",
    "SCONTROL_PATH",
    "SCANCEL_PATH",
    "X_SLURM_USER_NAME",
    "SINGLE_USER_SUBMITTER",
    "SLURM_USER_MAPPER",
    "DEFAULT_SLURM_WORK_DIR",
    "WRITE_SUBMISSION_FILES",
    "GET_EXTRA_GROUPS",
    "TASK_SELF_UPDATE_INTERVAL_SECONDS",
    "TASK_GARBAGE_COLLECTION_HOUR",
    "INFLUX_DSN",
    "INFLUX_POOL_SIZE",
    "INFLUX_SSL",
    "INFLUX_VERIFY_SSL",
    "INFLUX_TIMEOUT",
    "INFLUX_UDP_PORT",
    "INFLUX_CERT_PATH",
    "SENTRY_DSN",
    "SENTRY_ENV",
    "SENTRY_TRACES_SAMPLE_RATE",
    "SENTRY_SAMPLE_RATE",
    "SENTRY_PROFILING_SAMPLE_RATE",
    "LDAP_DOMAIN",
    "LDAP_PASSWORD",
    "LDAP_BIND_DN",
    "LDAP_SEARCH_BASE",
    "LDAP_PORT",
    "LDAP_UID_ATTRIBUTE",
]
FITTING = {
    "OIDC_USE_HTTPS": "true",
    "TASK_JOBS_INTERVAL_SECONDS": "60",
    "TASK_GARBAGE_COLLECTION_HOUR": "3",
    "BASE_API_URL": "https://api",
    "SBATCH_PATH": "/bin/sbatch",
    "SCONTROL_PATH": "/bin/scontrol",
    "SCANCEL_PATH": "/bin/scancel",
    "DEFAULT_SLURM_WORK_DIR": "/data",
    "INFLUX_DSN": "influxdb://hush-hush@influx/slurm",
    "INFLUX_SSL": "true",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_its_line_and_no_value_stands_in_it(name: str) -> None:
    line = remark({name: FITTING.get(name, "hush-hush")}, name)
    assert ": -> " in line or ": no counterpart: " in line
    assert "hush-hush" not in line


def test_the_how_to_has_a_row_for_every_setting() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "replace-the-jobbergate-agent.md").read_text()
    assert not [name for name in SETTINGS if f"`{name}`" not in page]


@given(st.text(st.characters(exclude_characters="'\\$", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1))
def test_a_secret_arrives_as_it_is_and_stands_nowhere_else(secret: str) -> None:
    hidden = f"<{secret}>"
    result = imported({"OIDC_CLIENT_SECRET": hidden, "LDAP_PASSWORD": hidden})
    made, _ = yaml.safe_load_all(result.stdout)
    assert made["stringData"]["client-secret"] == hidden
    assert hidden not in "".join(line for line in result.stdout.splitlines() if line.startswith("#"))
