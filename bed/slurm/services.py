"""The daemons of a cluster, each to be started, stopped and broken by itself."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bed import ports
from bed.errors import BedError
from bed.ports import listening
from bed.processes import wait_until
from bed.slurm.namespace import Namespace
from bed.slurm.options import Options

_MUNGE_SOCKET = "/run/munge/munge.socket.2"
_MYSQL_SOCKET = "/run/mysqld/mysqld.sock"
_PATIENCE = 30.0
_POLL = 0.02


@dataclass(frozen=True)
class Service:
    """One daemon. What it is told takes effect before the method returns."""

    name: str
    namespace: Namespace
    argv: Sequence[str]
    ready: Callable[[], bool]

    @property
    def log(self) -> Path:
        """What it printed, over all its lives."""
        return self.namespace.folder / "log" / f"{self.name}.log"

    def running(self) -> bool:
        """Whether it lives, frozen or not."""
        return self.namespace.pid(self.name) is not None

    def launch(self) -> None:
        """Start it without waiting until it can be used."""
        if not self.running():
            self.namespace.spawn(self.name, self.argv)

    def wait(self) -> None:
        """Return when it can be used."""
        wait_until(self.ready, alive=self.running, log=self.log, what=self.name)

    def start(self) -> None:
        """Start it, if it does not run, and wait until it can be used."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """End it in good order; its sessions and jobs live on."""
        self._end("TERM")

    def kill(self) -> None:
        """End it as a crash would."""
        self._end("KILL")

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Keep it from doing anything: its port accepts connections, and nobody answers."""
        self._signal("STOP")

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal("CONT")

    def _end(self, signal: str) -> None:
        self._signal(signal)
        self._signal("CONT")  # a frozen process does not notice that it has been told to end
        deadline = time.monotonic() + _PATIENCE
        while self.running():
            if time.monotonic() > deadline:
                raise BedError(f"{self.name} did not end within {_PATIENCE:.0f} seconds of SIG{signal}.")
            time.sleep(_POLL)

    def _signal(self, signal: str) -> None:
        if pid := self.namespace.pid(self.name):
            self.namespace.run(["bash", "-c", 'kill -s "$0" "$1"', signal, str(pid)])


def choose_ports(bed: Path, options: Options) -> dict[str, int]:
    """A free port for each daemon that listens on TCP, by the daemon's name."""
    names = ["slurmctld", "slurmdbd", "slurmrestd", "sshd", *options.node_names]
    names += ["influxdb", "influxdb-backup"] if options.profile else []
    names += ["jump"] if options.jump else []
    return dict(zip(names, ports.reserve(bed, "slurm", len(names)), strict=True))


def services(namespace: Namespace, numbers: Mapping[str, int], options: Options) -> dict[str, Service]:
    """All daemons of a cluster by name, in the order in which they need each other."""

    def answers(name: str) -> Callable[[], bool]:
        return partial(listening, "127.0.0.1", numbers[name])

    def opens(path: str) -> Callable[[], bool]:
        return partial(_opens, namespace.root / path[1:])

    found = [Service("munged", namespace, _as("munge", _MUNGED), opens(_MUNGE_SOCKET))]
    if options.accounting:
        found.append(Service("mariadbd", namespace, _as("slurm", _MARIADBD), opens(_MYSQL_SOCKET)))
        found.append(Service("slurmdbd", namespace, ["slurmdbd", "-D"], answers("slurmdbd")))
    # -i: a cluster that starts for the first time has no state to read
    found.append(Service("slurmctld", namespace, ["slurmctld", "-D", "-i"], answers("slurmctld")))
    found += [Service(node, namespace, ["slurmd", "-D", "-N", node], answers(node)) for node in options.node_names]
    if options.rest:
        rest = ["env", "SLURM_JWT=daemon", "slurmrestd", "-a", "rest_auth/jwt", f"127.0.0.1:{numbers['slurmrestd']}"]
        found.append(Service("slurmrestd", namespace, _as("daemon", rest), answers("slurmrestd")))
    if options.profile:
        influxd = ["influxd", "run", "-config", "/etc/influxdb/bed.conf"]
        found.append(Service("influxdb", namespace, _as("influxdb", influxd), answers("influxdb")))
    for name, config in (("sshd", "bed"), ("jump", "jump")):
        if name in numbers:
            sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", f"/etc/ssh/{config}_config"]
            found.append(Service(name, namespace, sshd, partial(_listens, options.listen, numbers[name])))
    return {service.name: service for service in found}


_MUNGED = ["munged", "--foreground", f"--socket={_MUNGE_SOCKET}", "--seed-file=/run/munge/seed", "--num-threads=4"]
_MARIADBD = [
    "mariadbd",
    "--no-defaults",
    "--datadir=/run/bed/mysql",
    f"--socket={_MYSQL_SOCKET}",
    "--pid-file=/run/mysqld/mysqld.pid",
    "--skip-networking",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-file-size=8M",
    # What slurmdbd was told is committed survives a killed mariadbd; nothing here has to survive a power cut.
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--innodb-lock-wait-timeout=900",
    # From MariaDB 11.6 on slurmdbd may die of write conflicts otherwise.
    "--loose-innodb-snapshot-isolation=OFF",
]


def _listens(addresses: Sequence[str], port: int) -> bool:
    """Whether somebody listens on all of them."""
    return all(listening(address, port) for address in addresses)


def _as(user: str, argv: Sequence[str]) -> list[str]:
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", *argv]


def _opens(path: Path) -> bool:
    """Whether a server listens on the unix socket `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
