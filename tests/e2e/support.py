"""The world of the end-to-end tests: a whole Kubernetes node, a Slurm cluster beside it, and the chart between them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bed.kubernetes.image import Image
from bed.kubernetes.node import Node
from bed.slurm.cluster import Cluster

T = TypeVar("T")
Json = dict[str, Any]

CHART = Path(__file__).parents[2] / "helm" / "slurmgate"
OPERATOR_NAMESPACE = "slurmgate-system"
NAMESPACE = "physics"
MAPPING = "slurmgate-mapping"
_KNOWN_HOSTS = "hpc-known-hosts"
_PATIENCE = 90.0


@dataclass(frozen=True)
class World:
    node: Node
    slurm: Cluster
    image: Image

    def kubectl(self, *arguments: str, stdin: str = "", timeout: float = 120) -> str:
        """What kubectl prints, as the administrator."""
        return self._run("kubectl", *arguments, stdin=stdin, timeout=timeout)

    def helm(self, *arguments: str, values: Json | None = None) -> str:
        options = ["--values=-"] if values else []
        return self._run("helm", *arguments, *options, f"--namespace={OPERATOR_NAMESPACE}", stdin=yaml.safe_dump(values))

    def _run(self, program: str, *arguments: str, stdin: str, timeout: float = 120) -> str:
        done = self.node.run(program, *arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> Json:
        answer: Json = json.loads(self.kubectl("get", kind, name, f"--namespace={namespace}", "--output=json"))
        return answer

    def apply(self, *manifests: Json) -> None:
        self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(manifests))

    def prepare_namespaces(self) -> None:
        """A namespace for the operator that lets in only what is restricted, and one in which people submit."""
        restricted = {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
        owners = {"annotations": {"slurmgate.dev/owners": "*@example.com"}}
        cluster = self.slurm.description
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE, **restricted}},
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, **owners}},
            _object("ConfigMap", _KNOWN_HOSTS, OPERATOR_NAMESPACE, data={"known_hosts": cluster.known_hosts}),
            *(
                _object("Secret", f"{user}-key", OPERATOR_NAMESPACE, stringData={"ssh-privatekey": key.read_text()})
                for user, key in cluster.users.items()
            ),
        )
        self.map_users("kirby")

    def may(self, user: str, verb: str, resource: str) -> bool:
        """Whether Kubernetes lets that person do it where people submit."""
        kind, _, part = resource.partition("/")
        attributes = {"group": "slurmgate.dev", "resource": kind, "subresource": part, "verb": verb, "namespace": NAMESPACE}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        answer = json.loads(self.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review)))
        return bool(answer["status"]["allowed"])

    def map_users(self, *users: str) -> None:
        """Say who is who, as an admin does: by editing the ConfigMap."""
        entries = [
            {
                "mail": f"{user}@example.com",
                "mapped_user": user,
                "ssh_private_key_secret": {"name": f"{user}-key", "key": "ssh-privatekey"},
            }
            for user in users
        ]
        text = yaml.safe_dump({"users_id_mapping": entries})
        self.apply(_object("ConfigMap", MAPPING, OPERATOR_NAMESPACE, data={"ssh_mapping.yaml": text}))

    def values(self, **others: object) -> Json:
        repository, _, tag = self.image.reference.rpartition(":")
        address = {"host": self.node.host_address, "port": self.slurm.description.port}
        spec = {
            "ssh": {
                "hosts": [address],
                "knownHosts": {"configMapKeyRef": {"name": _KNOWN_HOSTS, "key": "known_hosts"}},
            },
            "identity": {"mapping": {"configMap": MAPPING}},
            "limits": {"pollIntervalSeconds": 1},
        }
        return {
            "image": {"repository": repository, "tag": tag},
            "submissionNamespaces": [NAMESPACE],
            "clusters": [{"name": "hpc", "spec": spec}],
            **others,
        }

    def submit(self, name: str, script: str, *, user: str = "kirby") -> None:
        spec = {"clusterRef": {"name": "hpc"}, "owner": f"{user}@example.com", "script": {"inline": f"#!/bin/sh\n{script}\n"}}
        self.apply({**_object("JobSubmission", name, NAMESPACE), "apiVersion": "slurmgate.dev/v1alpha1", "spec": spec})

    def submit_waiting(self, name: str) -> str:
        """Submit a job that runs until `let_go`; return its id once it runs."""
        self.submit(name, f"until [ -e ~/go-{name} ]; do sleep 0.2; done; echo gone")
        return str(self.wait(name, "Running")["slurm"]["jobId"])

    def let_go(self, name: str) -> None:
        self.slurm.inside(["touch", f"/home/kirby/go-{name}"], user="kirby")

    def uid(self, name: str) -> str:
        return str(self.get("jobsubmission", name)["metadata"]["uid"])

    def wait(self, name: str, condition: str) -> Json:
        """The submission's status once the condition is true."""
        return self.eventually(
            lambda: self.get("jobsubmission", name).get("status", {}), lambda status: holds(status, condition)
        )

    def eventually(self, look: Callable[[], T], good: Callable[[T], bool], *, seconds: float = _PATIENCE) -> T:
        """What `look` returns once it is good; until then it may also fail."""
        deadline = time.monotonic() + seconds
        while not good(seen := look()):
            assert time.monotonic() < deadline, f"after {seconds:.0f} s still: {seen}\n{self.operator_log()}"
            time.sleep(0.3)
        return seen

    def operator_log(self, *, tail: int = 60) -> str:
        what = ["--selector=app.kubernetes.io/name=slurmgate", f"--tail={tail}", f"--namespace={OPERATOR_NAMESPACE}"]
        return self.kubectl("logs", *what)

    def complaints(self) -> list[str]:
        """What the operator that runs now has logged as an error, and what it had no right to do."""
        lines = self.operator_log(tail=-1).splitlines()
        return [line for line in lines if '"level": "error"' in line or "is forbidden: User" in line]

    def job(self, job_id: str) -> str:
        """Slurm's own record of a job: user, state, exit code and comment."""
        return self._slurm(
            "sacct",
            "--noheader",
            "--allocations",
            "--parsable2",
            "--duplicates",
            f"--jobs={job_id}",
            "--format=user,state,exitcode,comment",
        )

    def jobs_of(self, uid: str) -> list[str]:
        """The ids of all jobs that Slurm's accounting has for a submission, by its token."""
        rows = self._slurm("sacct", "--noheader", "--allocations", "--parsable2", "--allusers", "--format=jobid,submitline")
        return [row.split("|")[0] for row in rows.splitlines() if f"slurmgate:{uid}" in row]

    def state(self, job_id: str) -> str:
        return self._slurm("squeue", "--noheader", f"--jobs={job_id}", "--format=%T")

    def _slurm(self, *argv: str) -> str:
        done = self.slurm.inside(argv)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def holds(status: Json, condition: str) -> bool:
    return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", ()))


def _object(kind: str, name: str, namespace: str, **content: object) -> Json:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **content}
