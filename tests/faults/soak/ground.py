"""Where the soak takes place: a bed with short time-outs, an operator, and a proxy on each of its ways out."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from bed import life, ports, valhalla
from bed.errors import BedError
from bed.kubernetes.daemons import Daemon
from bed.life import Bed
from bed.operator import NAMESPACE, install
from bed.slurm.cluster import Cluster
from bed.slurm.options import Options
from tests.api import Api, Json, path
from tests.faults.doomed import Fate
from tests.faults.nursery import Nursery
from tests.faults.proxy import Proxy
from tests.faults.soak import kinds
from tests.faults.soak.history import History
from tests.faults.soak.keeper import Keeper

T = TypeVar("T")
CLUSTERS = ("upper", "lower")
KNOWN_HOSTS = "soak-known-hosts"
OPTIONS = Options(
    message_timeout=3,
    slurmd_timeout=5,
    min_job_age=5,
    max_startups="4:50:8",
    # how long a requeued job has to wait
    extra_conf="AuthInfo=cred_expire=5",
)
INSISTING_SECONDS = 120.0
_LIMITS: Json = {
    "pollIntervalSeconds": 1,
    "idlePollIntervalSeconds": 1,
    "commandTimeoutSeconds": 8,
    "lostAfterSeconds": 20,
    "deletionDeadlineSeconds": 3600,
}
_LEASE = {
    "SLURMGATE_LEASE_DURATION": "6",
    "SLURMGATE_LEASE_RENEW_DEADLINE": "4",
    "SLURMGATE_LEASE_RETRY_PERIOD": "1",
}
_HOMES = """
for user; do
    cp -a "/home/$user" "/run/$user"
    mount -t tmpfs -o size=256m,mode=755 tmpfs "/home/$user"
    cp -a "/run/$user/." "/home/$user"
    chown "$user:$user" "/home/$user"
done
mkdir -p -m 1777 /tmp/runs
"""


@dataclass
class Ground:
    """What faults act upon, and what they have changed for good."""

    bed: Bed
    api: Api
    keeper: Keeper
    ssh: tuple[Proxy, ...]
    """The way to each of the clusters' login nodes."""
    way_to_api: Proxy
    way_to_jobbergate: Proxy | None
    """None: there is no Jobbergate."""
    daemons: dict[str, Daemon]
    folder: Path
    """For new keys."""
    known_hosts: str
    keys: int = field(default=0)
    """So many have been made."""

    @property
    def slurm(self) -> Cluster:
        """The Slurm cluster that both SlurmClusters are."""
        return self.bed.slurm

    def shell(self, script: str, *arguments: str) -> str:
        """Run it as root on the login node; what it prints."""
        done = self.slurm.inside(["bash", "-c", script, "bash", *arguments])
        if done.returncode:
            raise BedError(f"{script}: {done.stderr}")
        return done.stdout

    def admin(self, *command: str) -> str:
        """What a command of Slurm's prints; nothing if Slurm does not answer."""
        return self.slurm.inside(command).stdout

    def insist(self, act: Callable[[], T]) -> T:
        """Do it, as soon as the API server lets us."""
        deadline = time.monotonic() + INSISTING_SECONDS
        while True:
            try:
                return act()
            except (OSError, BedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def publish_known_hosts(self, public_key: str) -> None:
        """Tell the operator the login node's key."""
        self.insist(lambda: self.api.apply(_known_hosts(self.ssh, public_key)))

    def new_key(self) -> Path:
        """Where to put the next one."""
        self.keys += 1
        return self.folder / f"key-{self.keys}"


@contextmanager
def laid_out(name: str, fate: Fate, history: History, *, jobbergate: bool) -> Iterator[Ground]:
    """A bed of this name with everything in it, and an operator at work."""
    life.down(name)  # one that was killed may have left it half done
    bed = life.up(name, slurm=OPTIONS, jobbergate=jobbergate)
    try:
        with ExitStack() as stack:
            yield _lay_out(bed, fate, history, stack)
    finally:
        bed.down()


def _lay_out(bed: Bed, fate: Fate, history: History, stack: ExitStack) -> Ground:
    slurm, server = bed.slurm.description, bed.kubernetes.server.rpartition(":")[2]
    *numbers, for_api, for_jobbergate = ports.reserve(bed.description.folder, "proxies", len(CLUSTERS) + 2)
    ssh = tuple(stack.enter_context(Proxy((slurm.host, slurm.port), port=port).relaying()) for port in numbers)
    way_to_api = stack.enter_context(Proxy(("127.0.0.1", int(server)), port=for_api).relaying())
    values = valhalla.prepare(bed, users=[*kinds.USERS, "jarvice"])
    api = Api(bed, timeout_seconds=5)
    owners = ", ".join(f"{user}@{valhalla.MAIL_DOMAIN}" for user in kinds.USERS)
    api.patch(path("Namespace", valhalla.RESEARCH), {"metadata": {"annotations": {"slurmgate.dev/owners": owners}}})
    api.apply(kinds.LONG_SCRIPT)
    host_key = slurm.known_hosts.split(" ", 1)[1].strip()
    api.apply(_known_hosts(ssh, host_key))
    spec = valhalla.cluster_spec(bed)
    values["clusters"] = [
        {"name": name, "spec": {**spec, "ssh": _ssh(proxy), "limits": _LIMITS}}
        for name, proxy in zip(CLUSTERS, ssh, strict=True)
    ]
    way_to_jobbergate = None
    if bed.description.jobbergate:
        api_port = bed.description.jobbergate.ports["api"]
        way_to_jobbergate = stack.enter_context(Proxy(("127.0.0.1", api_port), port=for_jobbergate).relaying())
        valhalla.give_client_secret(bed, bed.description.jobbergate.client_secret)
        url = f"http://127.0.0.1:{for_jobbergate}"
        values["clusters"][0]["spec"]["jobbergate"] = valhalla.jobbergate_spec(bed, url=url, pollIntervalSeconds=1)
        values["jobbergate"] = {"namespaces": [valhalla.RESEARCH]}
    installation = install(bed, values)
    installation = replace(
        installation,
        environment={**installation.environment, **_LEASE, "KUBERNETES_SERVICE_PORT": str(way_to_api.port)},
    )
    keys = bed.description.folder / "new-keys"
    keys.mkdir()
    traps = bed.description.folder / "traps"
    traps.mkdir()
    bed.slurm.inside(["bash", "-c", _HOMES, "bash", *kinds.USERS])
    keeper = stack.enter_context(Keeper(Nursery(installation), fate, history, traps).keeping())
    bed.kubectl("wait", "slurmcluster", *CLUSTERS, "--for=condition=Ready", "--timeout=60s", timeout=90)
    daemons = {name: Daemon(bed.description.folder, name) for name in ("kube-apiserver", "etcd")}
    return Ground(bed, api, keeper, ssh, way_to_api, way_to_jobbergate, daemons, keys, host_key)


def _ssh(proxy: Proxy) -> Json:
    return {
        "hosts": [{"host": "127.0.0.1", "port": proxy.port}],
        "knownHosts": {"configMapKeyRef": {"name": KNOWN_HOSTS, "key": "known_hosts"}},
    }


def _known_hosts(ssh: tuple[Proxy, ...], public_key: str) -> Json:
    text = "".join(f"[127.0.0.1]:{proxy.port} {public_key}\n" for proxy in ssh)
    metadata = {"name": KNOWN_HOSTS, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"known_hosts": text}}
