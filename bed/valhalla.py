"""What an admin of the bed's cluster writes once: keys, host keys, user mapping, and the chart's values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bed.life import Bed
from bed.operator import NAMESPACE, OWN_NAMESPACE, apply

EXAMPLES = Path(__file__).parents[1] / "examples"
CLUSTER = "valhalla"
MAPPING = "slurmgate-mapping"
JOBBERGATE_CLIENT = "jobbergate-client"
"""The Secret with what the cluster's client in Jobbergate proves itself by."""
RESEARCH = "research"
MAIL_DOMAIN = "example.org"
USERS = ("kirby", "mario", "dovahkiin")

Json = dict[str, Any]


def prepare(bed: Bed, *, users: Sequence[str] = USERS) -> Json:
    """Put keys, host keys and mapping into the operator's namespace. Returns the chart's values for this cluster."""
    slurm = bed.slurm.description
    research = yaml.safe_load((EXAMPLES / "admin" / "namespace.yaml").read_text())
    keys = [
        _object("Secret", f"{user}-ssh-key", stringData={"ssh-privatekey": slurm.users[user].read_text()}) for user in users
    ]
    known_hosts = _object("ConfigMap", f"{CLUSTER}-known-hosts", data={"known_hosts": slurm.known_hosts})
    apply(bed, [OWN_NAMESPACE, research, *keys, known_hosts, _mapping(users)])
    return values(bed)


def map_users(bed: Bed, users: Sequence[str]) -> None:
    """Write the user mapping, as GitOps would."""
    apply(bed, [_mapping(users)])


def _mapping(users: Sequence[str]) -> Json:
    entries = [
        {
            "mail": f"{user}@{MAIL_DOMAIN}",
            "mapped_user": user,
            "ssh_private_key_secret": {"name": f"{user}-ssh-key", "key": "ssh-privatekey"},
        }
        for user in users
    ]
    text = yaml.safe_dump({"users_id_mapping": entries}, sort_keys=False)
    return _object("ConfigMap", MAPPING, data={"ssh_mapping.yaml": text})


def jobbergate_values(bed: Bed) -> Json:
    """The chart's values for a cluster whose submissions in Jobbergate run here. Puts the client's secret into its place."""
    give_client_secret(bed, bed.jobbergate.description.client_secret)
    return {**values(bed, jobbergate=jobbergate_spec(bed)), "jobbergate": {"namespaces": [RESEARCH]}}


def give_client_secret(bed: Bed, secret: str) -> None:
    """Write the secret of the cluster's client in Jobbergate."""
    apply(bed, [_object("Secret", JOBBERGATE_CLIENT, stringData={"secret": secret})])


def jobbergate_spec(bed: Bed, **replaced: Any) -> Json:
    """spec.jobbergate of the SlurmCluster; `replaced` are parts of it that are to be other than usual."""
    jobbergate = bed.jobbergate.description
    return {
        "url": jobbergate.url.removesuffix("/jobbergate"),
        "oidcUrl": jobbergate.issuer,
        "clientId": jobbergate.client_id,
        "clientSecretRef": {"name": JOBBERGATE_CLIENT, "key": "secret"},
        "namespace": RESEARCH,
        "fullIntervalSeconds": 10,
        **replaced,
    }


def values(bed: Bed, **spec: Any) -> Json:
    """The chart's values for the bed's cluster; `spec` replaces parts of the SlurmCluster's."""
    return {"clusters": [{"name": CLUSTER, "spec": {**cluster_spec(bed), **spec}}], "submissionNamespaces": [RESEARCH]}


def cluster_spec(bed: Bed) -> Json:
    """The SlurmCluster's spec."""
    slurm = bed.slurm.description
    return {
        "ssh": {
            "hosts": [{"host": slurm.host, "port": slurm.port}],
            "knownHosts": {"configMapKeyRef": {"name": f"{CLUSTER}-known-hosts", "key": "known_hosts"}},
        },
        "identity": {"mapping": {"configMap": MAPPING}},
        "commands": {
            name: slurm.commands[name] for name in ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun")
        },
        "limits": {"pollIntervalSeconds": 1, "idlePollIntervalSeconds": 1},
    }


def _object(kind: str, name: str, **content: Any) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **content}
