"""A running operator as its users see it: kubectl on one side, Slurm's own records on the other."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import uuid4

import yaml

from bed import valhalla
from bed.life import Bed, down, up
from bed.operator import NAMESPACE, RELEASE, Installation, Operator, install
from bed.slurm.options import Options
from tests import canaries, rights
from tests.api import OURS, Api, Json, Somebody, path

T = TypeVar("T")
PATIENCE_SECONDS = 90.0
MOST_POLL_SECONDS = 0.5
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
"""Who the operator is to the API server."""
AS_OPERATOR = Somebody(OPERATOR, "system:masters")
"""It, if it might do everything."""
ENDED = {"Done", "Aborted", "Rejected", "Cancelled"}


@dataclass(frozen=True)
class Request:
    """One request of the API server's audit log."""

    verb: str
    resource: str
    """With the subresource, for example `jobsubmissions/status`."""
    code: int
    at: float
    """When it was answered, in seconds since 1970."""


@dataclass(eq=False)
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

    @cached_property
    def api(self) -> Api:
        """The API server."""
        return Api(self.bed)

    def refused(self, *manifests: Json) -> str:
        """The words with which `kubectl apply` refuses these."""
        done = self.bed.kubectl("apply", "--server-side", "--filename=-", stdin=self.yaml(*manifests))
        assert done.returncode != 0, f"was accepted: {done.stdout}"
        return done.stderr

    def apply(self, *manifests: Json) -> None:
        """`kubectl apply`."""
        for each in manifests:
            self.api.apply(each)

    def yaml(self, *manifests: Json) -> str:
        """As one feeds them to kubectl."""
        return yaml.safe_dump_all(manifests, allow_unicode=True)

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
        body = manifest(script, name=name, user=user, namespace=namespace, **spec)
        self.apply(body)
        return Submission(self, namespace, body["metadata"]["name"])

    def smuggle(self, script: str | Json = "true", **more: Any) -> "Submission":
        """Make a submission past the chart's admission policies, as on a server that has none."""
        body = manifest(script, **more)
        self.api.create(body, who=AS_OPERATOR)
        return Submission(self, body["metadata"]["namespace"], body["metadata"]["name"])

    def make(
        self,
        kind: str,
        name: str,
        *,
        namespace: str = valhalla.RESEARCH,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        **content: Any,
    ) -> str:
        """Apply a ConfigMap, Secret or Namespace; returns its name."""
        metadata = {"name": name, "labels": dict(labels or {}), "annotations": dict(annotations or {})}
        if kind != "Namespace":
            metadata["namespace"] = namespace
        self.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, **content})
        return name

    @contextmanager
    def cluster(self, name: str, **spec: Any) -> Iterator["Cluster"]:
        """Another SlurmCluster for the same Slurm; `spec` replaces parts of what it says."""
        cluster = Cluster(self, name)
        cluster.describe(**spec)
        try:
            yield cluster
        finally:
            if self.api.has(path("SlurmCluster", name)):
                self.api.delete(path("SlurmCluster", name), wait=True)

    def login_nodes(self, *ports: int) -> Json:
        """spec.ssh of a SlurmCluster whose login nodes listen at these ports, with the bed's host key."""
        slurm = self.bed.slurm.description
        known_hosts = "".join(slurm.known_hosts.replace(f":{slurm.port} ", f":{port} ") for port in ports)
        return {"hosts": [{"host": slurm.host, "port": port} for port in ports], "knownHosts": {"inline": known_hosts}}

    def requests(self, name: str) -> list[Request]:
        """What the operator asked of the API server about the object of this name, oldest first."""
        log = self.bed.kubernetes.audit_log
        assert log is not None
        found = []
        for line in log.read_text().splitlines():
            if OPERATOR not in line or name not in line:
                continue
            entry = json.loads(line)
            about = entry.get("objectRef", {})
            if entry["user"]["username"] == OPERATOR and about.get("name") == name:
                resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
                at = datetime.fromisoformat(entry["stageTimestamp"]).timestamp()
                found.append(Request(entry["verb"], resource, entry["responseStatus"]["code"], at))
        return found

    def writes(self, name: str) -> list[str]:
        """What the operator wrote to the submission of this name, and the API server took, oldest first."""
        return [
            f"{request.verb} {request.resource}"
            for request in self.requests(name)
            if request.verb in {"create", "update", "patch", "delete"} and request.code < 400
        ]

    def submissions(self, namespace: str = valhalla.RESEARCH, *, query: str = "") -> dict[str, Json]:
        """All submissions of a namespace as they are now, or those of a query, by name."""
        listing = self.api.get(f"{OURS}/namespaces/{namespace}/jobsubmissions{query}")
        return {item["metadata"]["name"]: item for item in listing["items"]}

    def remove_submissions(self) -> None:
        """Delete all."""
        self.api.delete(path("JobSubmission", "", valhalla.RESEARCH), wait=False)

    def events(self, name: str, namespace: str = valhalla.RESEARCH) -> list[Json]:
        """The events about an object, oldest first."""
        return self.all_events(namespace).get(name, [])

    def all_events(self, namespace: str = valhalla.RESEARCH) -> dict[str, list[Json]]:
        """All events of a namespace by the name of what they are about, oldest first."""
        items = self.api.get(f"/api/v1/namespaces/{namespace}/events")["items"]
        found: dict[str, list[Json]] = {}
        for event in sorted(items, key=lambda event: str(event["metadata"]["creationTimestamp"])):
            found.setdefault(event["involvedObject"].get("name", ""), []).append(event)
        return found

    def eventually(
        self,
        look: Callable[[], T],
        good: Callable[[T], bool],
        *,
        seconds: float = PATIENCE_SECONDS,
    ) -> T:
        """What `look` returns once it is good. It looks ever more seldom: what takes long need not be noticed at once."""
        began = time.monotonic()
        while not good(seen := look()):
            waited = time.monotonic() - began
            assert waited < seconds, f"after {seconds:.0f} s still: {seen}\n{self.log_end()}"
            time.sleep(min(MOST_POLL_SECONDS, 0.1 + waited / 10))
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

    def write(self, path: str, content: str, *, user: str, mode: str = "0600") -> None:
        """Make a file on the cluster as somebody, with the folders above it."""
        program = 'mkdir -p -- "${1%/*}" && cat >"$1" && chmod "$2" "$1"'
        done = self.bed.slurm.inside(["sh", "-c", program, "sh", path, mode], user=user, stdin=content)
        assert done.returncode == 0, done.stderr

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


@contextmanager
def operated(
    name: str, slurm: Options | None = None, *, jobbergate: bool = False, values: Json | None = None, **environment: str
) -> Iterator[World]:
    """A bed of this name with an operator, which has it for itself; with further values of the chart and variables.

    With `jobbergate`, what waits there runs here.
    """
    bed = up(name, slurm=slurm or True, jobbergate=jobbergate)
    try:
        prepared = valhalla.prepare(bed)
        chosen = valhalla.jobbergate_values(bed) if jobbergate else prepared
        installation = install(bed, {**chosen, **(values or {})})
        installation = replace(installation, environment={**installation.environment, **environment})
        world = World(bed, installation, installation.start())
        try:
            yield world
        finally:
            world.operator.stop()
        assert not said_keys(world)
        assert not rights_beyond(world)
    finally:
        down(name)


def said_keys(world: World) -> list[str]:
    """Private keys of the bed's people in what its operators logged, whatever they were put through."""
    folder = world.bed.description.folder
    keys = canaries.keys(folder / "keys")
    return [leak for log in folder.glob("operator*.log") for leak in canaries.found(keys, log.read_bytes(), str(log))]


def rights_beyond(world: World) -> set[rights.Right]:
    """What its operators asked of the API server that is not for them to ask."""
    log = world.bed.kubernetes.audit_log
    return rights.unlisted(log, OPERATOR) if log else set()


def manifest(
    script: str | Json = "true",
    *,
    name: str | None = None,
    user: str = "kirby",
    namespace: str = valhalla.RESEARCH,
    **spec: Any,
) -> Json:
    """A JobSubmission, not applied yet."""
    return {
        "apiVersion": "slurmgate.dev/v1alpha1",
        "kind": "JobSubmission",
        "metadata": {"name": name or f"job-{uuid4().hex[:8]}", "namespace": namespace},
        "spec": {
            "clusterRef": {"name": valhalla.CLUSTER},
            "owner": f"{user}@{valhalla.MAIL_DOMAIN}",
            "script": {"inline": f"#!/bin/bash\n{script}\n"} if isinstance(script, str) else script,
            **spec,
        },
    }


@dataclass(frozen=True)
class Cluster:
    """A SlurmCluster in the world."""

    world: World
    name: str

    def describe(self, **spec: Any) -> None:
        """Apply it; `spec` replaces parts of what it says."""
        self.world.apply(
            {
                "apiVersion": "slurmgate.dev/v1alpha1",
                "kind": "SlurmCluster",
                "metadata": {"name": self.name},
                "spec": {**valhalla.cluster_spec(self.world.bed), **spec},
            }
        )

    def condition(self, kind: str) -> Json:
        """One of its conditions now; empty if it has none of that type."""
        return next((each for each in self.status().get("conditions", []) if each["type"] == kind), {})

    def status(self) -> Json:
        """Its status now; empty if it has none yet."""
        status: Json = self.world.api.get(path("SlurmCluster", self.name)).get("status", {})
        return status

    def wait_for(self, kind: str, status: str) -> Json:
        """One of its conditions once it has this status."""
        return self.world.eventually(lambda: self.condition(kind), lambda condition: condition.get("status") == status)

    def events(self) -> list[Json]:
        """The events about it, oldest first."""
        return self.world.events(self.name, namespace="default")

    def submit(self, script: str | Json = "true", **spec: Any) -> "Submission":
        """Apply a submission for it."""
        return self.world.submit(script, clusterRef={"name": self.name}, **spec)


@dataclass(frozen=True)
class Submission:
    """A JobSubmission in the world."""

    world: World
    namespace: str
    name: str

    def get(self) -> Json:
        """The resource as it is now."""
        return self.world.api.get(self._path)

    def is_gone(self) -> bool:
        """Whether the resource is not there any more."""
        return not self.world.api.has(self._path)

    @property
    def _path(self) -> str:
        return path("JobSubmission", self.name, self.namespace)

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

    def conditions(self) -> dict[str, tuple[str, str]]:
        """Status and reason of all its conditions now, by type."""
        return {each["type"]: (each["status"], each["reason"]) for each in self.status().get("conditions", [])}

    def events(self) -> list[str]:
        """The reasons of the events about it, oldest first."""
        return [event["reason"] for event in self.world.events(self.name, self.namespace)]

    def news(self) -> list[str]:
        """The same without `Running`, which a job may be too short to be seen in."""
        return [reason for reason in self.events() if reason != "Running"]

    def said(self, reason: str) -> str:
        """The message of the one event with this reason."""
        (event,) = (event for event in self.world.events(self.name, self.namespace) if event["reason"] == reason)
        return str(event["message"])

    def wait_for(self, good: Callable[[Json], bool], *, seconds: float = PATIENCE_SECONDS) -> Json:
        """Its status once it is good; fails if it ends without ever being so."""
        status = self.world.eventually(self.status, lambda now: good(now) or now.get("phase") in ENDED, seconds=seconds)
        assert good(status), f"{status}\n{self.world.log_end()}"
        return status

    def wait_for_phase(self, phase: str) -> Json:
        """Its status once it has this phase; fails if it ends in another one."""
        return self.wait_for(lambda status: status.get("phase") == phase)

    def wait_for_state(self, state: str) -> Json:
        """Its status once Slurm says so."""
        return self.wait_for(lambda status: status.get("slurm", {}).get("state") == state)

    def wait_for_reason(self, reason: str) -> Json:
        """Its condition Ready once it has this reason."""
        return self.world.eventually(lambda: self.condition("Ready"), lambda ready: ready.get("reason") == reason)

    def tear_away(self) -> str:
        """Take the finalizer off by force and delete it, as people do when something hangs. Returns its token."""
        token = self.token
        self.delete(wait=False)
        self.world.api.patch(self._path, {"metadata": {"finalizers": None}})
        self.world.eventually(self.is_gone, bool)
        return token

    def patch(self, **spec: Any) -> None:
        """Change its spec."""
        self.world.api.patch(self._path, {"spec": spec})

    def refused_patch(self, **spec: Any) -> str:
        """The words with which a change of its spec is refused."""
        change = json.dumps({"spec": spec})
        done = self.world.bed.kubectl(
            "patch", "jsub", self.name, f"--namespace={self.namespace}", "--type=merge", f"--patch={change}"
        )
        assert done.returncode != 0, f"was accepted: {spec}"
        return done.stderr

    def delete(self, *, wait: bool = True) -> None:
        """`kubectl delete`."""
        self.world.api.delete(self._path, wait=wait)

    def job(self) -> dict[str, str]:
        """The job as slurmctld describes it (scontrol show job)."""
        text = self.world.slurm("scontrol", "--oneliner", "show", "job", self.status()["slurm"]["jobId"])
        # A value goes on to the next ` Name=`: some have spaces.
        return dict(re.findall(r"([A-Za-z/:]+)=(.*?)(?=\s+[A-Za-z/:]+=|\s*$)", text))

    def file(self, name: str) -> str:
        """A file below its working directory, read on the cluster."""
        return self.world.slurm("cat", f"{self.status()['workingDirectory']}/{name}")

    def output(self) -> str:
        """What the job wrote, read on the cluster."""
        path = self.status()["slurm"]["stdoutPath"]
        return self.world.slurm("cat", path)
