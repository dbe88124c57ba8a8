"""Everything that a node reads when it starts: certificates and the configuration of kubelet, containerd and its network."""

import base64
import json
from pathlib import Path
from typing import Any

import yaml

from bed.kubernetes.image import PAUSE
from bed.kubernetes.node_network import Network
from bed.kubernetes.node_pki import Authority

NAME = "bed-node"
_CNI_PROGRAMS = "/usr/lib/cni"


def write(folder: Path, network: Network, cgroup: str) -> None:
    """Write it all to the node's folder."""
    authority = Authority(folder / "pki")
    authority.issue("apiserver", user="kube-apiserver", addresses=(network.api, network.node, "127.0.0.1"))
    authority.issue("kubelet-serving", user=NAME, addresses=(network.node,))
    authority.issue("tokens", user="service-account-tokens")  # only its key is used
    users = {
        "admin": ("admin", "system:masters"),
        "kubelet": (f"system:node:{NAME}", "system:nodes"),
        "controller-manager": ("system:kube-controller-manager", None),
        "scheduler": ("system:kube-scheduler", None),
    }
    for name, (user, group) in users.items():
        authority.issue(name, user=user, group=group)
        _write_private(folder / f"{name}.kubeconfig", yaml.safe_dump(_kubeconfig(folder / "pki", network, name)))
    (folder / "containerd.toml").write_text(_containerd(folder))
    (folder / "cni").mkdir()
    (folder / "cni" / "10-bed.conflist").write_text(json.dumps(_cni(network)))
    (folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(folder / "pki", network, cgroup)))


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _kubeconfig(pki: Path, network: Network, name: str) -> dict[str, Any]:
    def data(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    cluster = {"server": f"https://{network.node}:443", "certificate-authority-data": data("ca.crt")}
    user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bed", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": name}}],
        "current-context": "bed",
    }


def _containerd(folder: Path) -> str:
    """Read by containerd 1.6, which is Debian 12's, and 2.x alike."""
    return f"""\
version = 2
[plugins.'io.containerd.grpc.v1.cri']
  sandbox_image = '{PAUSE}'
  # Root here may lack CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  [plugins.'io.containerd.grpc.v1.cri'.cni]
    bin_dir = '{_CNI_PROGRAMS}'
    conf_dir = '{folder / "cni"}'
  [plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
"""


def _cni(network: Network) -> dict[str, Any]:
    addresses = {"type": "host-local", "subnet": network.pods, "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "bed", "plugins": [bridge]}


def _kubelet(pki: Path, network: Network, cgroup: str) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "kubelet-serving.crt"),
        "tlsPrivateKeyFile": str(pki / "kubelet-serving.key"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # a lower one needs CAP_SYS_RESOURCE
        "resolvConf": "",  # there is no DNS
        "makeIPTablesUtilChains": False,
        "imageGCHighThresholdPercent": 100,  # an image that is collected could not be pulled again
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "4s",
        "shutdownGracePeriod": "0s",
    }
