"""A running operator as its users see it: kubectl on one side, Slurm's own records on the other."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import yaml

from bed import valhalla
from bed.life import Bed
from bed.operator import Installation, Operator

Json = dict[str, Any]
T = TypeVar("T")
PATIENCE_SECONDS = 90.0


@dataclass
class World:
    """A bed with the chart applied and its operator running."""

    bed: Bed
    installation: Installation
    operator: Operator

    # Kubernetes --------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints; fails the test if it fails."""
        done = self.bed.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def refused(self, *manifests: Json) -> str:
        """The words with which `kubectl apply` refuses these."""
        done = self.bed.kubectl("apply", "--server-side", "--filename=-", stdin=yaml.safe_dump_all(manifests))
        assert done.returncode != 0, f"was accepted: {done.stdout}"
        return done.stderr

    def apply(self, *manifests: Json) -> None:
        """`kubectl apply`."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=yaml.safe_dump_all(manifests))

    def submit(
        self,
        script: str | Json = "true",
        *,
        name: str | None = None,
        user: str = "kirby",
        namespace: str = valhalla.RESEARCH,
        **spec: Any,
    ) -> "Submission":
        """Apply a submission. `script`: shell lines, or the whole `spec.script`."""
        name = name or f"job-{uuid4().hex[:8]}"
        source = {"inline": f"#!/bin/bash\n{script}\n"} if isinstance(script, str) else script
        body = {
            "apiVersion": "slurmgate.dev/v1alpha1",
            "kind": "JobSubmission",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "clusterRef": {"name": valhalla.CLUSTER},
                "owner": f"{user}@{valhalla.MAIL_DOMAIN}",
                "script": source,
                **spec,
            },
        }
        self.apply(body)
        return Submission(self, namespace, name)

    def events(self, name: str, namespace: str = valhalla.RESEARCH) -> list[Json]:
        """The events about an object, oldest first."""
        selector = f"--field-selector=involvedObject.name={name}"
        items = json.loads(self.kubectl("get", "events", selector, f"--namespace={namespace}", "--output=json"))["items"]
        return sorted(items, key=lambda event: str(event["metadata"]["creationTimestamp"]))

    def eventually(self, look: Callable[[], T], good: Callable[[T], bool], *, seconds: float = PATIENCE_SECONDS) -> T:
        """What `look` returns once it is good."""
        deadline = time.monotonic() + seconds
        while not good(seen := look()):
            assert time.monotonic() < deadline, f"after {seconds:.0f} s still: {seen}\n{self.log_end()}"
            time.sleep(0.2)
        return seen

    def log_end(self) -> str:
        """The last lines of the operator's log."""
        return "\n".join(self.operator.log.read_text().splitlines()[-40:])

    # Slurm -------------------------------------------------------------------------------------------------------

    def slurm(self, *command: str, user: str | None = None) -> str:
        """What one of Slurm's commands prints on the login node, as root or as somebody."""
        done = self.bed.slurm.inside(command, user=user)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout

    def jobs_of(self, token: str) -> list[Json]:
        """Slurm's own records of every job that carries this token: queue and accounting, whichever knows more."""
        rows: dict[str, Json] = {}
        queue = self.slurm("squeue", "--noheader", "--states=all", "--all", "--format=%F|%u|%T|%k")
        for row in queue.splitlines():
            job_id, user, state, comment = row.split("|", 3)
            if token in comment:
                rows[job_id] = {"id": job_id, "user": user, "state": state}
        fields = "jobid,user,state,exitcode,submitline"
        told = self.slurm(
            "sacct", "--noheader", "--allocations", "--parsable2", "--allusers", "--duplicates", f"--format={fields}"
        )
        for row in told.splitlines():
            job_id, user, state, exit_code, line = row.split("|", 4)
            if token in line:
                number = job_id.split("_")[0]
                rows[number] = {"id": number, "user": user, "state": state.split()[0], "exit": exit_code}
        return list(rows.values())


@dataclass(frozen=True)
class Submission:
    """A JobSubmission in the world."""

    world: World
    namespace: str
    name: str

    def get(self) -> Json:
        """The resource as it is now."""
        answer: Json = json.loads(
            self.world.kubectl("get", "jobsubmission", self.name, f"--namespace={self.namespace}", "--output=json")
        )
        return answer

    @property
    def token(self) -> str:
        """Its uid."""
        return str(self.get()["metadata"]["uid"])

    def status(self) -> Json:
        """Its status now; empty if it has none yet."""
        status: Json = self.get().get("status", {})
        return status

    def condition(self, kind: str) -> Json:
        """One of its conditions now; empty if it has none of that type."""
        return next((each for each in self.status().get("conditions", []) if each["type"] == kind), {})

    def wait_for(self, good: Callable[[Json], bool], *, seconds: float = PATIENCE_SECONDS) -> Json:
        """Its status once it is good."""
        return self.world.eventually(self.status, good, seconds=seconds)

    def wait_for_phase(self, phase: str) -> Json:
        """Its status once it has this phase; fails if it ends in another one."""
        ended = {"Done", "Aborted", "Rejected", "Cancelled"}
        status = self.wait_for(lambda status: status.get("phase") in {phase, *ended})
        assert status["phase"] == phase, f"{status}\n{self.world.log_end()}"
        return status

    def wait_for_state(self, state: str) -> Json:
        """Its status once Slurm says so."""
        return self.wait_for(lambda status: status.get("slurm", {}).get("state") == state)

    def wait_for_reason(self, reason: str) -> Json:
        """Its condition Ready once it has this reason."""
        return self.world.eventually(lambda: self.condition("Ready"), lambda ready: ready.get("reason") == reason)

    def patch(self, **spec: Any) -> None:
        """Change its spec."""
        body = json.dumps({"spec": spec})
        self.world.kubectl("patch", "jsub", self.name, f"--namespace={self.namespace}", "--type=merge", f"--patch={body}")

    def delete(self, *, wait: bool = True) -> None:
        """`kubectl delete`."""
        self.world.kubectl("delete", "jsub", self.name, f"--namespace={self.namespace}", f"--wait={str(wait).lower()}")

    def output(self) -> str:
        """What the job wrote, read on the cluster."""
        path = self.status()["slurm"]["stdoutPath"]
        return self.world.slurm("cat", path)
