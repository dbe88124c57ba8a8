"""The faults: one row each."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random

from tests.faults.soak.faults import jobbergate, kubernetes, login, network, operator, slurm
from tests.faults.soak.ground import Ground


@dataclass(frozen=True)
class Fault:
    """A way in which something breaks."""

    name: str
    part: str
    """What it breaks. Of two faults of the same part only one is there at a time."""
    inject: Callable[[Ground, Random], AbstractContextManager[None]]
    """Begins it, and ends it."""
    weight: int = 4
    """How often it comes, compared with others."""


OF_JOBBERGATE = {"way to Jobbergate", "Jobbergate", "issuer"}
"""Parts that are there only if Jobbergate is."""
CONTROLLER_KILLED = "slurmctld: killed"
_SSH, _API, _JOBBERGATE = network.to_login_nodes, network.to_api_server, network.to_jobbergate

FAULTS = (
    Fault("operator: kill -9", "operator", operator.killed, weight=6),
    Fault("operator: kill -9 at a step", "operator", operator.killed_at_a_step, weight=10),
    Fault("operator: SIGTERM", "operator", operator.told_to_stop),
    Fault("operator: SIGSTOP, SIGCONT", "operator", operator.frozen, weight=6),
    Fault("SSH: cut", "ssh", network.cut(_SSH), weight=8),
    Fault("SSH: cut at byte N", "ssh", network.cut_after_bytes(_SSH), weight=8),
    Fault("SSH: stalled, then cut", "ssh", network.stalled(_SSH)),
    Fault("SSH: stalled, goes on", "ssh", network.frozen(_SSH)),
    Fault("SSH: refused", "ssh", network.refused(_SSH)),
    Fault("SSH: throttled", "ssh", network.throttled(_SSH)),
    Fault("sshd: killed with its sessions", "sshd", login.sshd_away),
    Fault("sshd: MaxSessions exhausted", "sshd", login.few_sessions),
    Fault("sshd: MaxStartups exhausted", "sshd", login.many_startups),
    Fault("sshd: host key rotated", "sshd", login.host_key_rotated),
    Fault("user: key rotated", "user", login.user_key_rotated),
    Fault("user: account locked", "user", login.account_locked),
    Fault("home: full", "user", login.home_full),
    Fault("home: read-only", "user", login.home_read_only),
    Fault("home: gone", "user", login.home_gone),
    Fault("shell: prints megabytes", "user", login.shell_prints),
    Fault("shell: hangs", "user", login.shell_hangs),
    Fault("login node: clock off by an hour", "user", login.clock_off, weight=2),
    Fault(CONTROLLER_KILLED, "slurmctld", slurm.killed("slurmctld")),
    Fault("slurmctld: restarted", "slurmctld", slurm.stopped("slurmctld")),
    Fault("slurmctld: frozen", "slurmctld", slurm.frozen("slurmctld"), weight=6),
    Fault("slurmdbd: killed", "accounting", slurm.killed("slurmdbd")),
    Fault("slurmdbd: frozen", "accounting", slurm.frozen("slurmdbd")),
    Fault("MariaDB: killed", "accounting", slurm.killed("mariadbd")),
    Fault("MariaDB: frozen", "accounting", slurm.frozen("mariadbd")),
    Fault("slurmd: killed", "nodes", slurm.killed("node1", "node2", "node3", "node4")),
    Fault("slurmd: frozen", "nodes", slurm.frozen("node1", "node2", "node3", "node4")),
    Fault("admin: node set down", "nodes", slurm.node_down, weight=2),
    Fault("admin: jobs requeued", "jobs", slurm.by_admin("running", "requeue")),
    Fault("admin: jobs held", "jobs", slurm.by_admin("pending", "hold", "release")),
    Fault("admin: jobs requeued and held", "jobs", slurm.by_admin("running", "requeuehold", "release")),
    Fault("admin: jobs suspended", "jobs", slurm.by_admin("running", "suspend", "resume")),
    Fault("admin: jobs preempted", "jobs", slurm.preempted, weight=2),
    Fault("API: cut", "api", network.cut(_API)),
    Fault("API: stalled, then cut", "api", network.stalled(_API)),
    Fault("API: stalled, goes on", "api", network.frozen(_API)),
    Fault("API: refused", "api", network.refused(_API)),
    Fault("API: throttled", "api", network.throttled(_API), weight=2),
    Fault("API server: killed", "api", kubernetes.killed("kube-apiserver"), weight=2),
    Fault("API server: frozen", "api", kubernetes.frozen("kube-apiserver")),
    Fault("etcd: killed", "api", kubernetes.killed("etcd"), weight=2),
    Fault("etcd: frozen", "api", kubernetes.frozen("etcd"), weight=2),
    Fault("Jobbergate: cut", "way to Jobbergate", network.cut(_JOBBERGATE), weight=6),
    Fault("Jobbergate: cut at byte N", "way to Jobbergate", network.cut_after_bytes(_JOBBERGATE), weight=6),
    Fault("Jobbergate: stalled, then cut", "way to Jobbergate", network.stalled(_JOBBERGATE)),
    Fault("Jobbergate: refused", "way to Jobbergate", network.refused(_JOBBERGATE)),
    Fault("Jobbergate: throttled", "way to Jobbergate", network.throttled(_JOBBERGATE), weight=2),
    Fault("Jobbergate: API killed", "Jobbergate", jobbergate.killed("api"), weight=2),
    Fault("Jobbergate: API frozen", "Jobbergate", jobbergate.frozen("api")),
    Fault("Jobbergate: PostgreSQL killed", "Jobbergate", jobbergate.killed("postgres"), weight=2),
    Fault("Jobbergate: PostgreSQL frozen", "Jobbergate", jobbergate.frozen("postgres")),
    Fault("Jobbergate: S3 frozen", "Jobbergate", jobbergate.frozen("s3")),
    Fault("Jobbergate: issuer killed", "issuer", jobbergate.killed("issuer"), weight=2),
    Fault("Jobbergate: issuer frozen", "issuer", jobbergate.frozen("issuer"), weight=2),
    Fault("mapping: edited", "mapping", kubernetes.mapping_edited, weight=2),
)
