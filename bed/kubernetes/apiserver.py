"""The Kubernetes half of a bed: somebody's cluster, or a kube-apiserver and an etcd of our own.

There is no controller-manager: nobody makes default ServiceAccounts, collects garbage or empties a deleted namespace.
"""

import os
import secrets
import shutil
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

import yaml

from bed import memory, ports
from bed.errors import BedError
from bed.keys import token_key
from bed.kubernetes.binaries import binaries
from bed.processes import launch, recorded, wait_until
from bed.report import say
from bed.requirements import require_debian
from bed.state import Kubernetes

_AUDIT_POLICY = Path(__file__).with_name("audit.yaml")
_PROGRAMS = ("kube-apiserver", "etcd")
_ADDRESS = "127.0.0.1"


def start(bed: Path) -> Kubernetes:
    """Start the Kubernetes part of the bed whose folder is `bed`."""
    if kubeconfig := os.environ.get("BED_KUBECONFIG"):
        return _given(Path(kubeconfig).absolute())
    with ThreadPoolExecutor(1) as pool:  # a build takes minutes: apt-get may as well work meanwhile
        programs = pool.submit(binaries, ["kube-apiserver", "kubectl"])
        etcd = _etcd_program()
    server = _Server(bed, programs.result(), etcd, ports.reserve(bed, "kubernetes", 1)[0])
    server.start()
    return Kubernetes(
        server=server.url,
        kubeconfig=server.kubeconfig,
        kubectl=server.programs / "kubectl",
        audit_log=server.audit_log,
        logs=server.logs,
    )


def running(bed: Path, kubernetes: Kubernetes) -> bool:
    """Whether the API server lives; somebody else's is taken to."""
    ours = kubernetes.audit_log is not None
    return not ours or all(recorded(bed / "run", name) for name in _PROGRAMS)


def stop(bed: Path) -> None:
    """End what `start` started in the folder `bed`, however far it came."""
    for name in _PROGRAMS:
        if process := recorded(bed / "run", name):
            process.end()
    shutil.rmtree((bed / "kubernetes" / "etcd").resolve(), ignore_errors=True)


def _given(kubeconfig: Path) -> Kubernetes:
    """The cluster that the environment names: used, and never started, stopped or changed."""
    kubectl = binaries(["kubectl"]) / "kubectl"
    server = "jsonpath={.clusters[0].cluster.server}"
    view: list[str | Path] = [kubectl, "--kubeconfig", kubeconfig, "config", "view", "--minify", "--output", server]
    answer = subprocess.run(view, capture_output=True, text=True, check=False)
    if answer.returncode != 0 or not answer.stdout:
        raise BedError(f"BED_KUBECONFIG names {kubeconfig}, but kubectl finds no cluster there: {answer.stderr.strip()}")
    say(f"Kubernetes: {answer.stdout}, from {kubeconfig}")
    return Kubernetes(server=answer.stdout, kubeconfig=kubeconfig, kubectl=kubectl, audit_log=None, logs=None)


def _etcd_program() -> str:
    found = shutil.which("etcd", path=os.environ.get("KUBEBUILDER_ASSETS")) or shutil.which("etcd")
    if not found:
        require_debian(["etcd-server"])
    return found or "/usr/bin/etcd"


@dataclass(frozen=True)
class _Server:
    """A kube-apiserver with its etcd, in the folder of a bed."""

    bed: Path
    programs: Path
    etcd: str
    port: int

    @property
    def folder(self) -> Path:
        return self.bed / "kubernetes"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def url(self) -> str:
        return f"https://{_ADDRESS}:{self.port}"

    @property
    def _certificate(self) -> Path:
        """The server signs it itself when it starts, so it serves as its own authority."""
        return self.folder / "pki" / "apiserver.crt"

    @cached_property
    def _token(self) -> str:
        return secrets.token_hex(16)

    def start(self) -> None:
        self.logs.mkdir(parents=True)
        socket = self._start_etcd()
        self._start_apiserver(socket)
        self._write_kubeconfig()

    def _start_etcd(self) -> str:
        """Start etcd where a flush costs nothing, on sockets that nobody else can open; return its address."""
        data = memory.folder()
        (self.folder / "etcd").symlink_to(data)
        # To 3.4 a unix address has to look like host and port: it is a file of that name in the working directory.
        client, peer = "client:1", "peer:1"
        argv = ["env", f"--chdir={data}", self.etcd, f"--data-dir={data}/data", "--logger=zap", "--log-level=warn"]
        argv += [f"--listen-client-urls=unix://{client}", f"--advertise-client-urls=unix://{client}"]
        argv += [f"--listen-peer-urls=unix://{peer}", f"--initial-advertise-peer-urls=unix://{peer}"]
        argv += [f"--initial-cluster=default=unix://{peer}"]
        self._run("etcd", argv, (data / client).exists)
        return f"unix://{data / client}"

    def _start_apiserver(self, etcd: str) -> None:
        pki = self.folder / "pki"
        pki.mkdir()
        signer = token_key(pki / "tokens.key")
        (pki / "tokens.pub").write_text(signer.public)
        people = self.folder / "tokens.csv"
        people.touch(mode=0o600)
        people.write_text(f"{self._token},admin,1,system:masters\n")
        flags = {
            "etcd-servers": etcd,
            "bind-address": _ADDRESS,
            "secure-port": self.port,
            "cert-dir": pki,
            "authorization-mode": "RBAC",
            "token-auth-file": people,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": pki / "tokens.pub",
            "service-account-signing-key-file": signer.private,
            "service-cluster-ip-range": "10.96.0.0/16",
            # It would wait for the ServiceAccounts that a controller-manager makes.
            "disable-admission-plugins": "ServiceAccount",
            "audit-policy-file": _AUDIT_POLICY,
            "audit-log-path": self.audit_log,
            # A log that rotates away while a test counts would be worse than a big one.
            "audit-log-maxsize": 0,
        }
        # Memory is cheaper here than the time in which garbage is collected.
        argv = [
            "env",
            "GOGC=400",
            str(self.programs / "kube-apiserver"),
            *(f"--{name}={value}" for name, value in flags.items()),
        ]
        self._run("kube-apiserver", argv, self._ready)

    def _run(self, name: str, argv: list[str], ready: Callable[[], bool]) -> None:
        log = self.logs / f"{name}.log"
        process = launch(name, argv, records=self.bed / "run", log=log)
        wait_until(ready, alive=process.alive, log=log, what=name)

    def _ready(self) -> bool:
        return self._certificate.exists() and self._answers("/readyz") and self._answers("/api/v1/namespaces/default")

    def _answers(self, path: str) -> bool:
        try:
            context = ssl.create_default_context(cafile=self._certificate)
            with closing(HTTPSConnection(_ADDRESS, self.port, timeout=5, context=context)) as connection:
                connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
                return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):  # nobody listens, or half a certificate
            return False

    def _write_kubeconfig(self) -> None:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bed", "cluster": {"server": self.url, "certificate-authority": str(self._certificate)}}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "admin"}}],
            "current-context": "bed",
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(content))
