"""The world of the end-to-end tests: a whole Kubernetes node, a Slurm cluster beside it, and the chart between them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from bed import valhalla
from bed.kubernetes.image import Image
from bed.kubernetes.node import Node
from bed.life import Bed
from bed.operator import CHART, NAMESPACE, RELEASE

T = TypeVar("T")
Json = dict[str, Any]

_PATIENCE = 90.0


@dataclass(frozen=True)
class World:
    node: Node
    bed: Bed
    """Its Kubernetes is the node."""
    image: Image

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints, as the administrator."""
        done = self.bed.kubectl(*arguments, stdin=stdin, timeout=180)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def helm(self, verb: str, *arguments: str, values: Json | None = None) -> None:
        where = [f"--namespace={NAMESPACE}", "--wait", "--timeout=180s", *(["--values=-"] if values else [])]
        done = self.node.run("helm", verb, RELEASE, *arguments, *where, stdin=yaml.safe_dump(values), timeout=240)
        assert done.returncode == 0, f"helm {verb}: {done.stderr}"

    def install(self) -> None:
        self.helm("install", str(CHART), values=self.values())

    def values(self, **others: object) -> Json:
        repository, _, tag = self.image.reference.rpartition(":")
        return {**valhalla.values(self.bed), "image": {"repository": repository, "tag": tag}, **others}

    def operator_pods(self) -> set[str]:
        return set(self.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=name").split())

    def leader(self) -> str:
        """The Pod that works."""
        holder = "--output=jsonpath={.spec.holderIdentity}"
        return self.kubectl("get", "lease", RELEASE, f"--namespace={NAMESPACE}", holder).partition("_")[0]

    def operator_log(self, *, tail: int = 60) -> str:
        what = [f"--selector=app.kubernetes.io/instance={RELEASE}", f"--tail={tail}", f"--namespace={NAMESPACE}"]
        return self.kubectl("logs", *what)

    def complaints(self) -> list[str]:
        """What the operator that runs now has logged as an error, and what it had no right to do."""
        lines = self.operator_log(tail=-1).splitlines()
        return [line for line in lines if '"level": "error"' in line or "is forbidden: User" in line]

    def may(self, user: str, verb: str, resource: str) -> bool:
        """Whether Kubernetes lets that person do it where people submit."""
        kind, _, part = resource.partition("/")
        attributes = {"group": "slurmgate.dev", "resource": kind, "subresource": part, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "resourceAttributes": {**attributes, "namespace": valhalla.RESEARCH}},
        }
        answer = json.loads(self.kubectl("create", "--filename=-", "--output=json", stdin=json.dumps(review)))
        return bool(answer["status"]["allowed"])

    def submit(self, name: str, script: str, *, user: str = "kirby") -> None:
        submission = {
            "apiVersion": "slurmgate.dev/v1alpha1",
            "kind": "JobSubmission",
            "metadata": {"name": name, "namespace": valhalla.RESEARCH},
            "spec": {
                "clusterRef": {"name": valhalla.CLUSTER},
                "owner": f"{user}@{valhalla.MAIL_DOMAIN}",
                "script": {"inline": f"#!/bin/sh\n{script}\n"},
            },
        }
        self.kubectl("apply", "--filename=-", stdin=json.dumps(submission))

    def submit_waiting(self, name: str) -> str:
        """Submit a job that runs until `let_go`; return its id once it runs."""
        self.submit(name, f"until [ -e ~/go-{name} ]; do sleep 0.2; done")
        return str(self.wait(name, "Running")["slurm"]["jobId"])

    def let_go(self, name: str) -> None:
        self.bed.slurm.inside(["touch", f"/home/kirby/go-{name}"], user="kirby")

    def submission(self, name: str) -> Json:
        where = f"--namespace={valhalla.RESEARCH}"
        answer: Json = json.loads(self.kubectl("get", "jobsubmission", name, where, "--output=json"))
        return answer

    def status(self, name: str) -> Json:
        status: Json = self.submission(name).get("status", {})
        return status

    def wait(self, name: str, condition: str) -> Json:
        """The submission's status once the condition is true."""
        return self.eventually(lambda: self.status(name), lambda status: holds(status, condition))

    def eventually(self, look: Callable[[], T], good: Callable[[T], bool], *, seconds: float = _PATIENCE) -> T:
        """What `look` returns once it is good."""
        deadline = time.monotonic() + seconds
        while not good(seen := look()):
            assert time.monotonic() < deadline, f"after {seconds:.0f} s still: {seen}\n{self.operator_log()}"
            time.sleep(0.3)
        return seen

    def job(self, job_id: str) -> str:
        """Slurm's own record of a job: user, state and exit code."""
        return self._slurm("sacct", *_ROWS, f"--jobs={job_id}", "--format=user,state,exitcode")

    def jobs_of(self, name: str) -> list[str]:
        """The ids of all jobs that Slurm's accounting has for a submission, by its token."""
        token = self.submission(name)["metadata"]["uid"]
        rows = self._slurm("sacct", *_ROWS, "--allusers", "--format=jobid,submitline").splitlines()
        return [row.partition("|")[0] for row in rows if f"slurmgate:{token}" in row]

    def job_state(self, job_id: str) -> str:
        return self._slurm("squeue", "--noheader", f"--jobs={job_id}", "--format=%T")

    def _slurm(self, *argv: str) -> str:
        done = self.bed.slurm.inside(argv)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


_ROWS = ("--noheader", "--allocations", "--parsable2", "--duplicates")


def holds(status: Json, condition: str) -> bool:
    return any(each["type"] == condition and each["status"] == "True" for each in status.get("conditions", ()))
