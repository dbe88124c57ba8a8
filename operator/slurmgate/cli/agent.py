"""The Jobbergate Agent's settings, and what they are in Slurmgate.

Source of names, meanings and defaults: jobbergate_agent/settings.py of 4.0 to 5.12.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from slurmgate.cli.envfile import EnvFile
from slurmgate.jobbergate.dsn import Dsn, UnusableDsnError
from slurmgate.resources.base import GROUP, VERSION, KeyReference
from slurmgate.resources.cluster import Commands, Defaults, SlurmCluster
from slurmgate.resources.identity import Bind, Ldap
from slurmgate.resources.jobbergate import Jobbergate, JobMetrics

PREFIX: Final = "JOBBERGATE_AGENT_"
_CLIENT_KEY: Final = "client-secret"
_DSN_KEY: Final = "influxdb"
_LDAP_KEY: Final = "ldap-password"
"""Keys of the Secret."""
_HOME: Final = "/home/{username}"
_LDAP_MAPPER: Final = "ldap-cached-mapper"
_LDAP: Final = "spec.identity.ldap, if SLURM_USER_MAPPER is ldap-cached-mapper"
_ONE_USER: Final = (
    "spec.identity.singleUser would run everybody's jobs as one user, as the Agent did: if you want that, write it yourself. "
    "With a user mapping (spec.identity.mapping, docs/how-to/mapping-by-gitops.md) or a directory each runs as who he is"
)
_LOG_INS: Final = "spec.ssh.certificates, or spec.identity.ldap.keySecretTemplate"
_NOBODY_CHANGES_ITSELF: Final = "the operator's version is that of its image; helm upgrade"
_SENTRY: Final = "errors are in conditions, events, the log and Prometheus' metrics"
_PAGES: Final = "all pages are read, so that nothing waits for its turn"

_CARRIED: Final = {
    "BASE_API_URL": "spec.jobbergate.url",
    "OIDC_DOMAIN": "spec.jobbergate.oidcUrl",
    "OIDC_USE_HTTPS": "spec.jobbergate.oidcUrl",
    "OIDC_CLIENT_ID": "spec.jobbergate.clientId",
    "OIDC_CLIENT_SECRET": "the Secret that spec.jobbergate.clientSecretRef names",
    "TASK_JOBS_INTERVAL_SECONDS": "spec.jobbergate.healthIntervalSeconds. What is new is asked for every "
    "pollIntervalSeconds (3), in one or two requests however many jobs there are",
    "TASK_GARBAGE_COLLECTION_HOUR": "spec.jobbergate.collectGarbage. The hour cannot be chosen, and APIs from 5.7 on do it "
    "themselves",
    "SBATCH_PATH": "spec.commands: paths on the login node, where the Agent's were on its own host. What it did not need is "
    "taken to be beside sbatch",
    "SCONTROL_PATH": "spec.commands.scontrol",
    "SCANCEL_PATH": "spec.commands.scancel",
    "INFLUX_DSN": "spec.jobbergate.metrics.dsnSecretRef, a second key of the same Secret",
    "INFLUX_SSL": "spec.jobbergate.metrics.dsnSecretRef: what the address there begins with says it",
    "SLURM_USER_MAPPER": "spec.identity.ldap for ldap-cached-mapper. In place of a mapper of your own, a plugin says who is "
    "who (spec.identity.plugin)",
    "LDAP_DOMAIN": f"{_LDAP}: servers",
    "LDAP_PORT": f"{_LDAP}: servers",
    "LDAP_BIND_DN": f"{_LDAP}: bind.name",
    "LDAP_PASSWORD": f"{_LDAP}: bind.passwordSecretRef, another key of the same Secret",
    "LDAP_SEARCH_BASE": f"{_LDAP}: base",
    "LDAP_UID_ATTRIBUTE": f"{_LDAP}: userAttribute",
    "DEFAULT_SLURM_WORK_DIR": "spec.defaults.workingDirectory, below which each submission has a directory of its own",
}
"""Settings that have a counterpart, and which."""

_WITHOUT: Final = {
    "MAX_PAGES_PER_CYCLE": _PAGES,
    "ITEMS_PER_PAGE": _PAGES,
    "REQUESTS_TIMEOUT": "each request has a deadline, and is made again where that is safe",
    "CACHE_DIR": "nothing is kept on disk. Before the switch there must be no *.slurm_job_id in it: each is a job that "
    "Jobbergate has not heard of",
    "X_SLURM_USER_NAME": _ONE_USER,
    "SINGLE_USER_SUBMITTER": _ONE_USER,
    "WRITE_SUBMISSION_FILES": "script and supporting files are always put into the job's directory, which is its own",
    "GET_EXTRA_GROUPS": "jobs are submitted by a log-in of the user, which has all groups",
    "TASK_SELF_UPDATE_INTERVAL_SECONDS": _NOBODY_CHANGES_ITSELF,
    "INFLUX_POOL_SIZE": "one connection is enough",
    "INFLUX_VERIFY_SSL": "InfluxDB's certificate is always checked",
    "INFLUX_TIMEOUT": "each request has a deadline",
    "INFLUX_UDP_PORT": "by UDP InfluxDB can be written to, but not read from",
    "INFLUX_CERT_PATH": "put an authority that the operator's image does not know into a ConfigMap, and name that in "
    "spec.jobbergate.metrics.certificateAuthority",
    **dict.fromkeys(
        ("SENTRY_DSN", "SENTRY_ENV", "SENTRY_TRACES_SAMPLE_RATE", "SENTRY_SAMPLE_RATE", "SENTRY_PROFILING_SAMPLE_RATE"), _SENTRY
    ),
}
"""Settings that have none, and why."""

_SOURCES: Final = {
    "url": "BASE_API_URL",
    "oidc_url": "OIDC_DOMAIN",
    "client_id": "OIDC_CLIENT_ID",
    "health_interval_seconds": "TASK_JOBS_INTERVAL_SECONDS",
    "sbatch": "SBATCH_PATH",
    "scontrol": "SCONTROL_PATH",
    "scancel": "SCANCEL_PATH",
    "working_directory": "DEFAULT_SLURM_WORK_DIR",
    "servers": "LDAP_DOMAIN",
    "name": "LDAP_BIND_DN",
    "base": "LDAP_SEARCH_BASE",
    "user_attribute": "LDAP_UID_ATTRIBUTE",
}
"""Where a field of ours has its value from."""

Json = dict[str, Any]
_T = TypeVar("_T")


class AgentError(Exception):
    """The settings cannot be those of an Agent; each line says what is wrong with one."""


class Directory(BaseModel):
    """How the Agent asked a directory who is who: by LDAPS, for the attribute mail."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    ldap_domain: str
    ldap_port: int = 636
    ldap_bind_dn: str
    ldap_password: SecretStr
    ldap_search_base: str
    ldap_uid_attribute: str = "uid"


class Agent(BaseModel):
    """The Agent's settings that have a counterpart, with its defaults."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    base_api_url: str = "https://apis.vantagehpc.io"
    oidc_domain: str = "auth.vantagehpc.io/realms/vantage"
    oidc_use_https: bool = True
    oidc_client_id: str = "jobbergate-agent"
    oidc_client_secret: SecretStr
    task_jobs_interval_seconds: int | None = None
    task_garbage_collection_hour: int | None = None
    sbatch_path: str = "/usr/bin/sbatch"
    scontrol_path: str | None = None
    scancel_path: str | None = None
    default_slurm_work_dir: str = _HOME
    influx_dsn: SecretStr | None = None
    influx_ssl: bool = False
    directory: Directory | None = None
    """None: the Agent asked none."""


@dataclass(frozen=True)
class Destination:
    """Where the manifests go."""

    namespace: str
    """In which the JobSubmissions are made."""
    operator_namespace: str
    cluster: str | None = None
    """The SlurmCluster. None: of the same name as the OIDC client."""


def settings(file: EnvFile) -> Agent:
    """The Agent's settings as the file has them.

    Raises:
        AgentError: some are missing or wrong.
    """
    values = {name.removeprefix(PREFIX).lower(): value for name, value in file.values.items() if name.startswith(PREFIX)}
    return _checked(lambda: Agent.model_validate({**values, "directory": _directory(values)}))


def _directory(values: Mapping[str, str]) -> Directory | None:
    return Directory.model_validate(values) if values.get("slurm_user_mapper") == _LDAP_MAPPER else None


def manifests(agent: Agent, destination: Destination) -> tuple[Json, Json]:
    """The Secret with the client's secret, and the part of a SlurmCluster.

    Raises:
        AgentError: a setting is nothing that a SlurmCluster can have.
    """
    cluster = destination.cluster or agent.oidc_client_id
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", cluster):
        raise AgentError(f"{cluster!a} cannot be the name of a SlurmCluster: choose one by --cluster.")
    secret = f"{cluster}-jobbergate"
    data = {_CLIENT_KEY: agent.oidc_client_secret.get_secret_value()}
    if dsn := _dsn(agent):
        data[_DSN_KEY] = dsn
    spec: Json = {"jobbergate": _checked(lambda: _jobbergate(agent, destination.namespace, secret))}
    if directory := agent.directory:
        data[_LDAP_KEY] = directory.ldap_password.get_secret_value()
        spec["identity"] = {"ldap": _checked(lambda: _wire(_ldap(directory, secret)))}
    if commands := _checked(lambda: _commands(agent)):
        spec["commands"] = commands
    if template := _working_directory(agent):
        spec["defaults"] = _checked(lambda: _wire(Defaults(working_directory=template)))
    return (
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret, "namespace": destination.operator_namespace},
            "stringData": data,
        },
        {"apiVersion": f"{GROUP}/{VERSION}", "kind": SlurmCluster.KIND, "metadata": {"name": cluster}, "spec": spec},
    )


def remarks(file: EnvFile, agent: Agent) -> Iterator[str]:
    """A line for everything in the file, and for what the Agent did unasked. Without values: some are secrets."""
    for name in file.values:
        yield f"{_shown(name)}: {_fate(name)}"
    for name in file.valueless:
        yield f"{_shown(name)}: has no value, and is taken not to be there"
    for line in file.unreadable:
        yield f"line {line} of the file is no statement, and was skipped, as the Agent does"
    for name in ("BASE_API_URL", "OIDC_DOMAIN", "OIDC_CLIENT_ID"):
        if PREFIX + name not in file.values:
            yield f"{PREFIX}{name}: is not in the file, so the Agent's default is taken"
    if PREFIX + "SLURM_USER_MAPPER" not in file.values:
        yield f"{PREFIX}SLURM_USER_MAPPER: is not in the file, so the Agent ran every job as one user: {_ONE_USER}"
    if agent.directory:
        yield f"{PREFIX}SLURM_USER_MAPPER: the Agent submitted for everybody by itself; here each logs in. Add {_LOG_INS}"
    if agent.default_slurm_work_dir != _HOME and not _working_directory(agent):
        yield f"{PREFIX}DEFAULT_SLURM_WORK_DIR: has a form that spec.defaults.workingDirectory has not, and is NOT carried over"


def _fate(name: str) -> str:
    setting = name.removeprefix(PREFIX)
    if not name.startswith(PREFIX):
        return "is no setting of the Agent"
    if setting in _CARRIED:
        return f"-> {_CARRIED[setting]}"
    return (
        f"no counterpart: {_WITHOUT[setting]}" if setting in _WITHOUT else "is no setting of the Agent 4.0 to 5.12 that we know"
    )


def _shown(name: str) -> str:
    return name if re.fullmatch(r"[A-Z0-9_]+", name) else ascii(name)


def _jobbergate(agent: Agent, namespace: str, secret: str) -> Json:
    scheme = "https" if agent.oidc_use_https else "http"
    more: Json = {}
    if agent.task_jobs_interval_seconds is not None:
        more["health_interval_seconds"] = agent.task_jobs_interval_seconds
    if agent.task_garbage_collection_hour is not None:
        more["collect_garbage"] = True
    if agent.influx_dsn:
        more["metrics"] = JobMetrics(dsn_secret_ref=KeyReference(name=secret, key=_DSN_KEY))
    return _wire(
        Jobbergate(
            url=agent.base_api_url.rstrip("/"),
            oidc_url=f"{scheme}://{agent.oidc_domain.rstrip('/')}",
            client_id=agent.oidc_client_id,
            client_secret_ref=KeyReference(name=secret, key=_CLIENT_KEY),
            namespace=namespace,
            **more,
        )
    )


def _ldap(directory: Directory, secret: str) -> Ldap:
    return Ldap(
        servers=(f"ldaps://{directory.ldap_domain}:{directory.ldap_port}",),
        bind=Bind(name=directory.ldap_bind_dn, password_secret_ref=KeyReference(name=secret, key=_LDAP_KEY)),
        base=directory.ldap_search_base,
        user_attribute=directory.ldap_uid_attribute,
    )


def _dsn(agent: Agent) -> str | None:
    """The address of InfluxDB, which says here by itself whether it is encrypted."""
    if agent.influx_dsn is None:
        return None
    dsn = agent.influx_dsn.get_secret_value()
    if agent.influx_ssl:
        dsn = re.sub(r"^influxdb://", "https+influxdb://", dsn)
    try:
        Dsn.parse(dsn)
    except UnusableDsnError as problem:
        raise AgentError(f"{PREFIX}INFLUX_DSN: {problem}") from None
    return dsn


def _commands(agent: Agent) -> Json:
    """Paths that are not the default."""
    folder = PurePosixPath(agent.sbatch_path).parent
    usual = Commands()
    paths = {name: str(folder / name) for name in Commands.model_fields}
    paths["sbatch"] = agent.sbatch_path
    paths |= {name: path for name, path in {"scontrol": agent.scontrol_path, "scancel": agent.scancel_path}.items() if path}
    return _wire(Commands(**{name: path for name, path in paths.items() if path != getattr(usual, name)}))


def _working_directory(agent: Agent) -> str | None:
    """The template for submissions that name no directory; None where the default will do, or nothing can be said."""
    if agent.default_slurm_work_dir == _HOME:
        return None
    folder = agent.default_slurm_work_dir.replace("{username}", "{user}").rstrip("/")
    if re.search(r"[{}]", folder.replace("{user}", "")):
        return None
    return f"{folder}/slurmgate/{{namespace}}/{{name}}-{{uid}}"


def _wire(model: BaseModel) -> Json:
    return model.model_dump(mode="json", exclude_unset=True)


def _checked(make: Callable[[], _T]) -> _T:
    """What `make` returns, or the names of the Agent's settings that are at fault."""
    try:
        return make()
    except ValidationError as error:
        lines = [f"{_blamed(problem['loc'][0])}: {_words(problem)}" for problem in error.errors()]
        raise AgentError("\n".join(lines)) from None


def _words(problem: ErrorDetails) -> str:
    return "is not in the file" if problem["type"] == "missing" else problem["msg"]


def _blamed(field: int | str) -> str:
    if field == "namespace":
        return "--namespace"
    return PREFIX + _SOURCES.get(str(field), str(field).upper())
