"""A whole Kubernetes node: etcd, API server, controller-manager, scheduler, kubelet, containerd and runc.

It is one folder and one process here, in network, mount and pid namespaces of its own. Its Pods reach servers that listen
on `Node.host_address` on this machine and nothing outside of it. There is no registry: images are loaded.
"""

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError
from bed.kubernetes import node_cgroups, node_files, node_network
from bed.kubernetes.binaries import binaries
from bed.kubernetes.image import Image, pause
from bed.kubernetes.node_network import Network
from bed.processes import gone, launch, recorded, tail, wait_until
from bed.report import say
from bed.requirements import require_debian, require_root
from bed.state import Kubernetes

_PACKAGES = ("containerd", "runc", "containernetworking-plugins", "etcd-server", "iproute2", "iptables", "util-linux")
_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl", "helm")
_INSIDE = Path(__file__).with_name("node-inside.sh")
_NETWORK = "network"
_READY = ("wait", "--for=condition=Ready", f"node/{node_files.NAME}", "--timeout=0")
_PATIENCE = 120.0
_BETWEEN_QUESTIONS = 0.2  # kubectl takes CPU from what it waits for


@dataclass(frozen=True)
class Node:
    """A node that runs."""

    folder: Path
    network: Network
    programs: Path
    """The folder of kubectl and helm."""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    @property
    def host_address(self) -> str:
        """The address of this machine that Pods can reach."""
        return self.network.host

    @property
    def description(self) -> Kubernetes:
        """As a bed describes its API server."""
        server, kubectl = f"https://{self.network.node}", self.programs / "kubectl"
        return Kubernetes(server=server, kubeconfig=self.kubeconfig, kubectl=kubectl, audit_log=None, logs=self.logs)

    @property
    def logs(self) -> Path:
        """One file for each program."""
        return self.folder / "log"

    @property
    def cgroup(self) -> str:
        """The control group of its Pods."""
        return _cgroup(self.network)

    def run(self, program: str, *arguments: str, stdin: str = "", timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run kubectl or helm as the administrator."""
        environment = {
            "PATH": os.defpath,
            "KUBECONFIG": str(self.kubeconfig),
            # What they remember goes where it is removed with the node.
            "HOME": str(self.folder / "home"),
        }
        argv = [str(self.programs / program), *arguments]
        return subprocess.run(argv, env=environment, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)

    def load(self, image: Image) -> None:
        """Have the image on the node."""
        process = recorded(self.folder / "run", "node")
        if process is None:
            raise BedError(f"The node in {self.folder} does not run.")
        (init,) = process.children()
        inside = ["nsenter", f"--target={init}", "--mount", "--"]
        argv = [*inside, "ctr", "--namespace=k8s.io", "images", "import", str(image.archive)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(f"containerd cannot import {image.archive}: {done.stderr.strip()}")

    def down(self) -> None:
        """End it."""
        down(self.folder)


def up(folder: Path) -> Node:
    """Start a node in the folder, which must not exist, and return when it is ready for Pods."""
    programs = _prepare()
    pausing = pause()
    began = time.monotonic()
    folder.mkdir(parents=True)
    network = node_network.claim()
    (folder / _NETWORK).write_text(str(network.number))
    node = Node(folder, network, programs)
    try:
        _start(node, pausing)
    except BaseException:
        _end(folder)
        raise  # the folder stays: its logs tell what happened
    say(f"Kubernetes node ready in {time.monotonic() - began:.0f} s; KUBECONFIG={node.kubeconfig}")
    return node


def down(folder: Path) -> None:
    """End the node of this folder, however far it came, and remove the folder."""
    _end(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _prepare() -> Path:
    """Have everything that a node needs on this machine; return the folder of Kubernetes' programs."""
    require_root("A whole Kubernetes node")
    with ThreadPoolExecutor(1) as pool:  # a build takes minutes: apt-get may as well work meanwhile
        programs = pool.submit(binaries, _PROGRAMS)
        require_debian(_PACKAGES)
        return programs.result()


def _start(node: Node, pausing: Image) -> None:
    node.logs.mkdir()
    node_files.write(node.folder, node.network, node.cgroup)
    node_cgroups.make(node.cgroup)
    log = node.logs / "inside.log"
    inside = launch("node", _inside(node, pausing), records=node.folder / "run", log=log)
    wait_until((node.folder / "namespaces").exists, alive=inside.alive, log=log, what="the node")
    (init,) = inside.children()
    node.network.connect(init)
    wait_until(lambda: _answers(node, *_READY), alive=inside.alive, log=log, what="the node", seconds=_PATIENCE)
    account = ("get", "serviceaccount", "default")  # without it the first Pod would be refused
    wait_until(lambda: _answers(node, *account), alive=inside.alive, log=log, what="the node", seconds=_PATIENCE)


def _inside(node: Node, pausing: Image) -> list[str]:
    environment = {
        "PATH": f"{node.programs}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": node.folder / "home",
        "NODE_FOLDER": node.folder,
        "NODE_PAUSE": pausing.archive,
        "NODE_ADDRESS": node.network.node,
        "NODE_API": node.network.api,
        "NODE_SERVICES": node.network.services,
        "NODE_LINK": node.network.node_end,
    }
    alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["env", "--ignore-environment", *(f"{name}={value}" for name, value in environment.items()), *alone, str(_INSIDE)]


def _answers(node: Node, *command: str) -> bool:
    answered = node.run("kubectl", "--request-timeout=5s", *command).returncode == 0
    if not answered:
        time.sleep(_BETWEEN_QUESTIONS)
    return answered


def _end(folder: Path) -> None:
    """Kill PID 1 of the node, which ends all others: there is nothing in it that anybody will miss."""
    if process := recorded(folder / "run", "node"):
        for pid in (*process.children(), process.pid):
            os.kill(pid, signal.SIGKILL)
        if not gone(process, 30):
            raise BedError(f"The node in {folder} does not end.{tail(folder / 'log' / 'inside.log')}")
    claim = folder / _NETWORK
    if claim.exists():
        network = Network(int(claim.read_text()))
        claim.unlink()  # from now on the number may be somebody else's
        network.release()
        node_cgroups.remove(_cgroup(network))


def _cgroup(network: Network) -> str:
    return f"slurmgate-bed-{network.number}"
