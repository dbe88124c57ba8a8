"""Writing what only admins or the operator may write: statuses, namespaces, clusters, mappings, what was submitted already."""

import json
from dataclasses import dataclass, field

from typing_extensions import override

from bed import valhalla
from bed.operator import NAMESPACE
from tests.api import Json
from tests.security.attempt import LAB, Attempt, Ground, Submitting
from tests.security.mutants import ALMIGHTY, UNGUARDED, UNRULED
from tests.world import OPERATOR, Submission, manifest

FORBIDDEN = "is forbidden|cannot|Forbidden"


@dataclass(frozen=True)
class Asking(Attempt):
    """A request to the API server, which it is only to try (`--dry-run=server`) where that would harm others."""

    arguments: tuple[str, ...] = ()
    stdin: Json | None = None

    @override
    def set_out(self, ground: Ground) -> None:
        world = ground.world
        target = f"target-{ground.round}"
        for namespace in (valhalla.RESEARCH, LAB):
            world.apply(manifest(name=target, namespace=namespace, clusterRef={"name": "never-there"}))
        words = [word.replace("TARGET", target) for word in self.arguments]
        stdin = None if self.stdin is None else world.yaml(self.stdin)
        done = ground.people[valhalla.RESEARCH].kubectl(*words, stdin=stdin)
        ground.said[self.slug] = done.stderr if done.returncode else ""

    @override
    def refusal(self, ground: Ground) -> str:
        return ground.said[self.slug]

    @override
    def got_in(self, ground: Ground) -> bool:
        return not ground.said[self.slug]


def patched(kind: str, name: str, change: Json, *further: str) -> tuple[str, ...]:
    """The words of `kubectl patch`."""
    return ("patch", kind, name, "--type=merge", f"--patch={json.dumps(change)}", "--dry-run=server", *further)


IN_RESEARCH = f"--namespace={valhalla.RESEARCH}"
AT_HOME = f"--namespace={NAMESPACE}"
CLUSTER = {
    "apiVersion": "slurmgate.dev/v1alpha1",
    "kind": "SlurmCluster",
    "metadata": {"name": "mine"},
    "spec": {
        "ssh": {"hosts": [{"host": "evil.example.org"}], "knownHosts": {"inline": "evil.example.org ssh-ed25519 AAAA"}},
        "identity": {"mapping": {"configMap": valhalla.MAPPING}},
    },
}

REQUESTS: dict[str, tuple[str, ...]] = {
    "the user in a status": patched("jsub", "TARGET", {"status": {"user": "dovahkiin"}}, IN_RESEARCH, "--subresource=status"),
    "the phase in a status": patched("jsub", "TARGET", {"status": {"phase": "Done"}}, IN_RESEARCH, "--subresource=status"),
    "the owners of the namespace": patched(
        "namespace", valhalla.RESEARCH, {"metadata": {"annotations": {"slurmgate.dev/owners": "*@example.org"}}}
    ),
    "the options of a cluster": patched("slurmcluster", valhalla.CLUSTER, {"spec": {"allowOptions": ["chdir"]}}),
    "the host keys of a cluster": patched(
        "slurmcluster", valhalla.CLUSTER, {"spec": {"ssh": {"knownHosts": {"configMapKeyRef": {"name": "mine"}}}}}
    ),
    "the status of a cluster": patched(
        "slurmcluster", valhalla.CLUSTER, {"status": {"slurmVersion": "0"}}, "--subresource=status"
    ),
    "the user mapping": patched("configmap", valhalla.MAPPING, {"data": {"ssh_mapping.yaml": "users_id_mapping: []"}}, AT_HOME),
    "the key of somebody": ("get", "secret", "mario-ssh-key", AT_HOME),
    "the keys of everybody": ("get", "secrets", AT_HOME),
    "the keys of his own namespace": ("get", "secrets", IN_RESEARCH),
    "a token of the operator": ("create", "token", "slurmgate", AT_HOME),
    "the operator's name": ("get", "jsub", "--all-namespaces", f"--as={OPERATOR}"),
    "the lease": ("get", "lease", "slurmgate", AT_HOME),
    "submissions of another namespace": ("delete", "jsub", "TARGET", f"--namespace={LAB}", "--dry-run=server"),
    "scripts of another namespace": ("get", "jsub", "--all-namespaces"),
    "the rules for submissions": ("delete", "crd", "jobsubmissions.slurmgate.dev", "--dry-run=server"),
    "his own rights": patched("clusterrole", "slurmgate-edit", {"rules": []}),
    "the policy at the door": ("delete", "validatingadmissionpolicy", "slurmgate-jobbergate", "--dry-run=server"),
}


@dataclass(frozen=True)
class Editing(Asking):
    """A change of a submission that is there."""

    change: Json = field(default_factory=dict)

    @override
    def set_out(self, ground: Ground) -> None:
        target = Submission(ground.world, valhalla.RESEARCH, f"edited-{ground.round}")
        wanted = manifest(name=target.name, clusterRef={"name": "never-there"}, sbatchArguments=["--nice=1"])
        ground.world.apply(wanted)
        words = patched("jsub", target.name, {"spec": self.change}, IN_RESEARCH)
        done = ground.people[valhalla.RESEARCH].kubectl(*words)
        ground.said[self.slug] = done.stderr if done.returncode else ""


@dataclass(frozen=True)
class Forging(Submitting):
    """A submission that is born with a status: it says that it is dovahkiin's job, and is to be cancelled."""

    @override
    def set_out(self, ground: Ground) -> None:
        token = "".join(f"{ord(letter):x}" for letter in ground.round)[:12].rjust(12, "0")
        token = f"00000000-0000-4000-8000-{token}"
        words = ("--parsable", "--hold", f"--comment=slurmgate:{token}", "--wrap=true")
        job_id = ground.world.slurm("sbatch", *words, user="dovahkiin").strip()
        ground.made[self.submission(ground).name] = job_id
        status = {"user": "dovahkiin", "phase": "Submitted", "slurm": {"jobId": job_id, "token": token}}
        body = {**self.body(ground), "status": status}
        body["metadata"]["finalizers"] = ["slurmgate.dev/slurm-job"]
        ground.said[self.slug] = ground.people[self.namespace].create(body)


def cancelled(ground: Ground, submission: Submission) -> bool:
    """The job that it claims is not in the queue any more."""
    return not ground.inside("squeue", "--noheader", "--states=PENDING", f"--jobs={ground.made[submission.name]}").strip()


CHANGES: dict[str, Json] = {
    "the owner of what is there": {"owner": "mario@example.org"},
    "the script of what is there": {"script": {"inline": "#!/bin/sh\nevil\n"}},
    "the cluster of what is there": {"clusterRef": {"name": valhalla.CLUSTER}},
    "the arguments of what is there": {"sbatchArguments": ["--uid=0"]},
}

ATTEMPTS = (
    *(Asking(f"reaching for {what}", ALMIGHTY, FORBIDDEN, words) for what, words in REQUESTS.items()),
    Asking("a cluster of his own", ALMIGHTY, FORBIDDEN, ("create", "--filename=-", "--dry-run=server"), CLUSTER),
    Asking(
        "a submission in another namespace",
        ALMIGHTY,
        FORBIDDEN,
        ("create", "--filename=-", "--dry-run=server"),
        manifest(namespace=LAB, name="elsewhere"),
    ),
    *(Editing(f"changing {what}", UNRULED, "create another submission", change=change) for what, change in CHANGES.items()),
    Forging("a status from birth", UNGUARDED, "Cancelled", cancelled, {"cancel": True}),
)
