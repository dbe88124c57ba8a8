"""The Slurm half of a bed: a whole cluster on this machine, behind an sshd."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bed.keys import ssh_key
from bed.processes import wait_until
from bed.requirements import require_debian, require_root
from bed.slurm import files, influx, namespace
from bed.slurm.database import admit, prepared
from bed.slurm.namespace import Namespace
from bed.slurm.options import Options
from bed.slurm.people import ACCOUNTS, CLUSTER, PEOPLE, crowd
from bed.slurm.services import Service, choose_ports, services
from bed.state import Influxdb, Slurm

_PACKAGES = (
    "btrfs-progs",  # a file system with quotas
    "mariadb-client-core",
    "mariadb-server-core",
    "munge",
    "openssh-client",
    "openssh-server",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "slurm-wlm-jwt-plugin",
    "slurm-wlm-mysql-plugin",
    "slurmctld",
    "slurmd",
    "slurmdbd",
    "slurmrestd",
)
_PROFILE_PACKAGES = ("ca-certificates", "influxdb", "slurm-wlm-influxdb-plugin")
_COMMANDS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")


@dataclass(frozen=True)
class Cluster:
    """A running cluster, for tests that want to act on it from the inside."""

    bed: Path
    description: Slurm

    @cached_property
    def namespace(self) -> Namespace:
        """Where it lives."""
        return namespace.enter(self.bed)

    @cached_property
    def _services(self) -> Mapping[str, Service]:
        return services(self.namespace, self.description.ports, self.description.options)

    def inside(
        self, argv: Sequence[str], *, user: str | None = None, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the login node, without SSH: as root, or as `user` in that user's home."""
        return self.namespace.run(argv, user=user, stdin=stdin, timeout=timeout)

    def service(self, name: str) -> Service:
        """A daemon to be stopped, killed, frozen or started: munged, mariadbd, slurmdbd, slurmctld, node1, ..., sshd.

        And slurmrestd and influxdb, where the options ask for them.
        """
        return self._services[name]


def start(bed: Path, options: Options) -> Slurm:
    """Start the Slurm part of the bed whose folder is `bed`."""
    require_root("Slurm's part of the bed")
    require_debian((*_PACKAGES, *_PROFILE_PACKAGES) if options.profile else _PACKAGES)
    version = _version()
    folder = bed / "slurm"
    if options.accounting:
        database = prepared(version)
        folder.mkdir()
        subprocess.run(["cp", "--archive", "--reflink=auto", database, folder / "mysql"], check=True)
    numbers = choose_ports(bed, options)
    host_keys = files.lay_out(folder, options, numbers)
    influxdb = influx.lay_out(folder, numbers) if options.profile else None
    more = crowd(options.crowd)
    users = {person.name: bed / "keys" / person.name for person in (*PEOPLE, *more)}
    for person in (*PEOPLE, *more):
        files.settle(person, folder, ssh_key(users[person.name]))
    hosts = {"sshd": host_keys.sshd} | ({"jump": host_keys.jump} if host_keys.jump else {})
    known_hosts = "".join(f"[{address}]:{numbers[name]} {key}\n" for name, key in hosts.items() for address in options.listen)
    (bed / "known_hosts").write_text(known_hosts)
    inside = namespace.create(bed)
    _start(inside, numbers, options, influxdb)
    if more and options.accounting:
        admit(inside, more)
    return Slurm(
        version=version,
        cluster=CLUSTER,
        host=options.listen[0],
        port=numbers["sshd"],
        ports=numbers,
        known_hosts=known_hosts,
        known_hosts_file=bed / "known_hosts",
        host_authority=host_keys.authority,
        user_authority=bed / "keys" / "user-authority",
        users=users,
        accounts=ACCOUNTS,
        commands={name: f"/usr/bin/{name}" for name in _COMMANDS} | {"slurmrestd": "/usr/sbin/slurmrestd"},
        folder=folder,
        homes=folder / "home",
        logs=folder / "log",
        jwt_key=folder / "etc" / "slurm" / "jwt.key",
        influxdb=influxdb,
        options=options,
    )


def running(bed: Path) -> bool:
    """Whether the cluster in the folder `bed` lives."""
    return namespace.alive(bed)


def stop(bed: Path) -> None:
    """End what `start` started in the folder `bed`, however far it came."""
    namespace.destroy(bed)


def _start(inside: Namespace, numbers: Mapping[str, int], options: Options, influxdb: Influxdb | None) -> None:
    """Start each daemon as soon as what it needs is there."""
    daemons = services(inside, numbers, options)
    early = [daemons[name] for name in ("munged", "mariadbd", "sshd", "jump", "influxdb") if name in daemons]
    in_turn = [daemons[name] for name in ("slurmdbd", "slurmctld") if name in daemons]
    late = [daemon for daemon in daemons.values() if daemon not in early and daemon not in in_turn]
    for daemon in early:
        daemon.launch()
    for daemon in early:
        daemon.wait()
    if influxdb:
        influx.fill(influxdb)
    for daemon in in_turn:
        daemon.start()
    for daemon in late:
        daemon.launch()
    for daemon in late:
        daemon.wait()
    controller = daemons["slurmctld"]
    idle = ["sinfo", "--noheader", "--Node", "--partition=batch", "--states=idle", "--format=%N"]
    wait_until(
        lambda: len(inside.run(idle).stdout.split()) == options.nodes,
        alive=controller.running,
        log=controller.log,
        what="slurmctld with its nodes",
    )


def _version() -> str:
    answer = subprocess.run(["/usr/sbin/slurmctld", "-V"], capture_output=True, text=True, check=True)
    return answer.stdout.split()[-1]
