"""What cannot run: a clear reason and one event that name the field and what to do, and no job in Slurm.

What the person has to change is Rejected at once; what somebody else has to put right is waited for.
"""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from bed import valhalla
from bed.keys import KeyPair, ssh_key
from bed.operator import NAMESPACE
from bed.ports import reserve
from bed.slurm.services import Service
from tests.api import Json
from tests.world import ENDED, Cluster, Submission, World

# Rejected ------------------------------------------------------------------------------------------------------------

ODD_SCRIPTS = {
    "blank": b" \n\t\n",
    "nothing": b"",
    "nul": b"#!/bin/sh\necho a\0b\n",
    "windows": b"#!/bin/sh\r\necho a\r\n",
    "no-shebang": b"echo a\n",
}


@dataclass(frozen=True)
class Rejected:
    """A submission that can never run as it is."""

    spec: Json
    reason: str
    words: str
    """In its conditions and in the event: which field or option, and what is wrong with it."""
    user: str = "kirby"


def odd(script: str, words: str) -> Rejected:
    return Rejected({"script": {"configMapKeyRef": {"name": "odd-scripts", "key": script}}}, "ScriptInvalid", words)


REFUSAL = r"(--[a-z-]+ is refused: |--[a-z-]+ is no option|is not an option|lines are not understood)"


def argument(*words: str) -> Rejected:
    return Rejected({"sbatchArguments": list(words)}, "OptionNotAllowed", rf"spec\.sbatchArguments\[0\]: .*{REFUSAL}")


def directive(line: str) -> Rejected:
    script = f"#!/bin/sh\n# why not\n{line}\ntrue\n"
    return Rejected({"script": {"inline": script}}, "OptionNotAllowed", f"line 3 of the script: .*{REFUSAL}")


def large(kilobytes: int) -> list[Json]:
    return [{"name": f"part-{n}", "configMapKeyRef": {"name": "large", "key": "it"}} for n in range(kilobytes // 700 + 1)]


REJECTED = {
    "owner not allowed": Rejected({}, "OwnerNotAllowed", r"dovahkiin@.* annotation slurmgate\.dev/owners", "dovahkiin"),
    "owner not mapped": Rejected({}, "UserNotMapped", r"spec\.owner: peach@example.org is not in the user mapping", "peach"),
    "directory not writable": Rejected({"executionDirectory": "/etc"}, "DirectoryNotWritable", "/etc.*Permission denied"),
    "directory not creatable": Rejected(
        {"executionDirectory": "/etc/a/b"}, "DirectoryNotWritable", "/etc/a.*Permission denied"
    ),
    "directory is a file": Rejected(
        {"executionDirectory": "/etc/passwd"}, "DirectoryNotWritable", "/etc/passwd.*Not a directory"
    ),
    "other people's directory": Rejected({"executionDirectory": "/home/mario"}, "DirectoryNotWritable", "/home/mario.*denied"),
    "unknown partition": Rejected({"partition": "pluto"}, "SubmitRejected", "[Ii]nvalid partition.*pluto"),
    "unknown account": Rejected({"account": "pluto"}, "SubmitRejected", "Invalid account"),
    "somebody else's account": Rejected({"account": "pc"}, "SubmitRejected", "Invalid account"),
    "unknown qos": Rejected({"qos": "pluto"}, "SubmitRejected", "Invalid qos"),
    "more nodes than there are": Rejected({"nodes": 99}, "SubmitRejected", "[Nn]ode"),
    "blank script": odd("blank", "script.* empty"),
    "script without content": odd("nothing", "script.* empty"),
    "script with a nul byte": odd("nul", "NUL byte"),
    "script from windows": odd("windows", "DOS line breaks"),
    "script without interpreter": odd("no-shebang", "The first line must start with #!"),
    "script too long": Rejected(
        {"script": {"inline": "#!/bin/sh\n#" + "é" * 600_000}}, "ScriptInvalid", "script has 1200011 bytes; the most is 1048576"
    ),
    "no script there": Rejected(
        {"script": {"remotePath": "/no/where"}}, "ScriptInvalid", r"spec\.script\.remotePath: .*No such file"
    ),
    "unreadable script": Rejected(
        {"script": {"remotePath": "/etc/shadow"}}, "ScriptInvalid", r"remotePath: .*Permission denied"
    ),
    "script is a directory": Rejected({"script": {"remotePath": "/etc"}}, "ScriptInvalid", r"remotePath: /etc: Is a directory"),
    "user": argument("--uid=0"),
    "user in two words": argument("--uid", "root"),
    "user abbreviated": argument("--ui=0"),
    "group": argument("--gid=0"),
    "directory": argument("--chdir=/tmp"),
    "directory by its letter": argument("-D/tmp"),
    "directory behind another letter": argument("-HD", "/tmp"),
    "wrap": argument("--wrap=id"),
    "parsable": argument("--parsable"),
    "test only": argument("--test-only"),
    "another cluster": argument("-M", "other"),
    "other clusters": argument("--clusters=other"),
    "wait": argument("-W"),
    "hold": argument("--hold"),
    "environment from a file": argument("--export-file=/etc/shadow"),
    "help": argument("--help"),
    "version": argument("-V"),
    "unknown option": argument("--nonsense"),
    "another script": argument("/tmp/another.sh"),
    "the end of options": argument("--", "id"),
    "user in the script": directive("#SBATCH --uid=0"),
    "user in the script, quoted": directive("#SBATCH '--ui'd=0"),
    "directory in the script": directive("#SBATCH -n1 -D /tmp"),
    "wrap in the script": directive("#SBATCH --wrap id"),
    "another cluster in the script": directive("#SBATCH -Mother"),
    "unknown option in the script": directive("#SBATCH --nonsense"),
    "pbs lines": directive("#PBS -l walltime=1:00"),
    "contradiction": Rejected(
        {"partition": "batch", "sbatchArguments": ["-p", "night"]},
        "InvalidSpec",
        r"spec\.sbatchArguments\[0\]: --partition is also set by spec\.partition",
    ),
    "half an array": Rejected({"array": "9-1"}, "InvalidSpec", "--array: .*9-1"),
    "half a base64": Rejected({"files": [{"name": "a", "inlineBase64": "abc"}]}, "InvalidSpec", r"spec\.files.*inlineBase64"),
    "too many bytes": Rejected({"files": large(6000)}, "InvalidSpec", r"spec\.files: .* bytes in all; the most is 5242880"),
    "two files in one place": Rejected(
        {"files": [{"name": "a", "inline": "1"}, {"name": "a/b", "inline": "2"}]}, "InvalidSpec", r"spec\.files: 'a/b'"
    ),
    "nul byte in a variable": Rejected(
        {"environment": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "odd-scripts", "key": "nul"}}}]},
        "InvalidSpec",
        r"spec\.environment: the value of A contains a NUL byte",
    ),
}


@pytest.fixture(scope="module")
def rejected(world: World) -> dict[str, Submission]:
    """All of them, applied at once."""
    world.make(
        "ConfigMap", "odd-scripts", binaryData={name: base64.b64encode(script).decode() for name, script in ODD_SCRIPTS.items()}
    )
    world.make("ConfigMap", "large", data={"it": "x" * 700 * 1024})
    return {
        case: (world.smuggle if wrong.reason == "OwnerNotAllowed" else world.submit)(user=wrong.user, **wrong.spec)
        for case, wrong in REJECTED.items()
    }


@pytest.fixture(scope="module")
def everything(world: World, rejected: dict[str, Submission]) -> dict[str, Json]:
    """All of them as they ended, by name."""

    def now() -> dict[str, Json]:
        bodies = world.submissions()
        return {case: bodies[submission.name] for case, submission in rejected.items()}

    return world.eventually(now, lambda bodies: all(ended(body) for body in bodies.values()))


def ended(body: Json) -> bool:
    return body.get("status", {}).get("phase") in ENDED


@pytest.fixture(scope="module")
def told(world: World, everything: dict[str, Json]) -> dict[str, list[Json]]:
    """All events, by what they are about."""
    assert everything
    return world.all_events()


@pytest.mark.parametrize("case", REJECTED)
def test_what_can_never_run_is_rejected_with_the_reason(
    case: str, rejected: dict[str, Submission], everything: dict[str, Json], told: dict[str, list[Json]]
) -> None:
    wrong, status = REJECTED[case], everything[case]["status"]
    conditions = {each["type"]: each for each in status["conditions"]}

    assert status["phase"] == "Rejected", conditions["Ready"]
    for kind, value in {
        "Ready": "False",
        "Failed": "True",
        "Stalled": "True",
        "Complete": "False",
        "Submitted": "False",
    }.items():
        assert (conditions[kind]["status"], conditions[kind]["reason"]) == (value, wrong.reason)
    assert re.search(wrong.words, conditions["Ready"]["message"], re.DOTALL)
    (event,) = told[rejected[case].name]
    assert (event["type"], event["reason"]) == ("Warning", wrong.reason)
    assert re.search(wrong.words, event["message"], re.DOTALL)


def test_nothing_of_it_reached_slurm_or_is_tried_again(
    world: World, rejected: dict[str, Submission], everything: dict[str, Json]
) -> None:
    known = world.slurm("squeue", "--noheader", "--all", "--states=all", "--format=%k")
    known += world.slurm("sacct", "--noheader", "--allusers", "--allocations", "--parsable2", "--format=submitline")
    assert not [case for case, body in everything.items() if body["metadata"]["uid"] in known]

    bodies = world.submissions()
    now = {case: bodies[submission.name] for case, submission in rejected.items()}
    assert {case: body["status"] for case, body in now.items()} == {case: body["status"] for case, body in everything.items()}
    assert not [case for case, body in now.items() if "finalizers" in body["metadata"]]


def test_a_namespace_without_the_annotation_is_nobodys(world: World) -> None:
    submission = world.smuggle(namespace=world.make("Namespace", "nobodys"))

    submission.wait_for_phase("Rejected")

    assert submission.condition("Ready")["reason"] == "OwnerNotAllowed"


def test_a_namespace_that_the_operator_may_not_read_is_named(world: World) -> None:
    world.make("Namespace", "unread", annotations={"slurmgate.dev/owners": "*@example.org"})
    world.make("ConfigMap", "scripts", namespace="unread", data={"it": "#!/bin/sh\n"})

    submission = world.submit({"configMapKeyRef": {"name": "scripts", "key": "it"}}, namespace="unread")

    submission.wait_for_reason("ReferenceNotAllowed")
    assert "submissionNamespaces" in submission.condition("Ready")["message"]
    submission.delete()


# Waited for ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waiting:
    """A submission that somebody else has to put something right for."""

    submission: Submission
    reason: str
    words: str
    mend: Callable[[], object]


class Waits:
    """Makes them."""

    def __init__(self, world: World, clusters: ExitStack, stranger: KeyPair) -> None:
        self._world = world
        self._clusters = clusters
        self._key = stranger.private.read_text()
        self._host_key = stranger.public

    def cluster(self, case: str, **spec: Json) -> Cluster:
        cluster = self._clusters.enter_context(self._world.cluster(f"odd-{case}", **spec))
        self._world.eventually(cluster.status, bool)  # else a submission may be there first, and wait for it
        return cluster

    def make(self, kind: str, name: str, **content: Any) -> str:
        """In the operator's namespace."""
        return self._world.make(kind, name, namespace=NAMESPACE, **content)

    def for_references(self) -> dict[str, Waiting]:
        world = self._world
        usable = {"slurmgate.dev/use": "true"}

        def script(name: str) -> Submission:
            return world.submit({"configMapKeyRef": {"name": name, "key": "it.sh"}})

        def secret(name: str) -> Submission:
            source = {"secretKeyRef": {"name": name, "key": "it"}}
            return world.submit("true", environment=[{"name": "A", "valueFrom": source}])

        world.make("ConfigMap", "without-key", data={"other.sh": "#!/bin/sh\n"})
        world.make("Secret", "without-label", stringData={"it": "1"})
        content = {"it.sh": "#!/bin/sh\n"}
        return {
            "no config map": Waiting(
                script("missing"),
                "ReferenceNotFound",
                r"spec\.script\.configMapKeyRef: ConfigMap research/missing does not exist",
                lambda: world.make("ConfigMap", "missing", data=content),
            ),
            "no key": Waiting(
                script("without-key"),
                "ReferenceNotFound",
                r"spec\.script\.configMapKeyRef: ConfigMap research/without-key has no key 'it\.sh'",
                lambda: world.make("ConfigMap", "without-key", data=content),
            ),
            "no file": Waiting(
                world.submit(files=[{"name": "in/a", "configMapKeyRef": {"name": "missing-file", "key": "it.sh"}}]),
                "ReferenceNotFound",
                r"spec\.files\[in/a\]\.configMapKeyRef: ConfigMap research/missing-file does not exist",
                lambda: world.make("ConfigMap", "missing-file", data=content),
            ),
            "no secret": Waiting(
                secret("missing"),
                "ReferenceNotFound",
                r"spec\.environment\[A\]\.valueFrom\.secretKeyRef: Secret research/missing does not exist",
                lambda: world.make("Secret", "missing", labels=usable, stringData={"it": "1"}),
            ),
            "a secret that is not for submissions": Waiting(
                secret("without-label"),
                "ReferenceNotAllowed",
                r'spec\.environment\[A\]\.valueFrom\.secretKeyRef: .* does not carry the label slurmgate\.dev/use: "true"',
                lambda: world.make("Secret", "without-label", labels=usable, stringData={"it": "1"}),
            ),
        }

    def for_people(self) -> dict[str, Waiting]:
        def mapping(case: str) -> str:
            entry = {"mail": "kirby@example.org", "mapped_user": "kirby"}
            entries = [{**entry, "ssh_private_key_secret": {"name": case, "key": "it"}}]
            return self._world.yaml({"users_id_mapping": entries})

        right_key = self._world.bed.slurm.description.users["kirby"].read_text()
        for case in ("wrong-key", "no-key"):
            self.make("ConfigMap", case, data={"ssh_mapping.yaml": mapping(case)})
        self.make("Secret", "wrong-key", stringData={"it": self._key})
        clusters = {
            case: self.cluster(case, identity={"mapping": {"configMap": case}})
            for case in ("wrong-key", "no-key", "no-mapping")
        }
        return {
            "a wrong key": Waiting(
                clusters["wrong-key"].submit(),
                "AuthenticationFailed",
                "kirby",
                lambda: self.make("Secret", "wrong-key", stringData={"it": right_key}),
            ),
            "no key": Waiting(
                clusters["no-key"].submit(),
                "KeyUnavailable",
                "Secret slurmgate-system/no-key does not exist",
                lambda: self.make("Secret", "no-key", stringData={"it": right_key}),
            ),
            "no mapping": Waiting(
                clusters["no-mapping"].submit(),
                "MappingNotLoaded",
                "ConfigMap no-mapping does not exist in the operator's namespace",
                lambda: self.make("ConfigMap", "no-mapping", data={"ssh_mapping.yaml": mapping("no-key")}),
            ),
        }

    def for_clusters(self) -> dict[str, Waiting]:
        slurm = self._world.bed.slurm.description
        changed = f"[{slurm.host}]:{slurm.port} {self._host_key}\n"
        self.make("ConfigMap", "changed-host-key", data={"it": changed})
        good = valhalla.cluster_spec(self._world.bed)
        (dead,) = reserve(self._world.bed.description.folder, "dead", 1)
        source = {"configMapKeyRef": {"name": "changed-host-key", "key": "it"}}
        clusters = {
            "changed": self.cluster("changed-host-key", ssh={**good["ssh"], "knownHosts": source}),
            "no host key": self.cluster("no-host-key", ssh={**good["ssh"], "knownHosts": {"inline": "# later\n"}}),
            "dead": self.cluster("dead", ssh=self._world.login_nodes(dead)),
            "no sbatch": self.cluster("no-sbatch", commands={**good["commands"], "sbatch": "/opt/slurm/bin/sbatch"}),
        }
        later = Cluster(self._world, "odd-later")
        return {
            "no cluster": Waiting(
                later.submit(),
                "ClusterNotFound",
                r"spec\.clusterRef\.name: there is no SlurmCluster 'odd-later'",
                lambda: self.cluster("later"),
            ),
            "a changed host key": Waiting(
                clusters["changed"].submit(),
                "HostKeyMismatch",
                rf"{slurm.host}.*{slurm.port}",
                lambda: self.make("ConfigMap", "changed-host-key", data={"it": slurm.known_hosts}),
            ),
            "no host key": Waiting(
                clusters["no host key"].submit(),
                "HostKeyMismatch",
                "no usable host key is configured.*ssh-keyscan",
                clusters["no host key"].describe,
            ),
            "nobody listens": Waiting(
                clusters["dead"].submit(), "ClusterUnreachable", rf"{slurm.host}.*{dead}", clusters["dead"].describe
            ),
            "sbatch is somewhere else": Waiting(
                clusters["no sbatch"].submit(), "CommandFailed", r"/opt/slurm/bin/sbatch", clusters["no sbatch"].describe
            ),
        }


CASES = [
    *("no config map", "no key", "no file", "no secret", "a secret that is not for submissions"),
    *("a wrong key", "no key of a person", "no mapping"),
    *("no cluster", "a changed host key", "no host key", "nobody listens", "sbatch is somewhere else"),
]


@pytest.fixture(scope="module")
def waiting(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Waiting]]:
    """All of them at once."""
    with ExitStack() as clusters:
        waits = Waits(world, clusters, ssh_key(tmp_path_factory.mktemp("keys") / "stranger"))
        people, cases = waits.for_people(), waits.for_references() | waits.for_clusters()
        yield cases | {("no key of a person" if case == "no key" else case): each for case, each in people.items()}


@pytest.fixture(scope="module")
def standing(world: World, waiting: dict[str, Waiting]) -> dict[str, Json]:
    """The status of each, once it says why it waits."""

    def now() -> dict[str, Json]:
        bodies = world.submissions()
        return {case: bodies[each.submission.name].get("status", {}) for case, each in waiting.items()}

    def all_told(statuses: dict[str, Json]) -> bool:
        return all(ready(status).get("reason") == waiting[case].reason for case, status in statuses.items())

    return world.eventually(now, all_told)


def ready(status: Json) -> Json:
    return next((each for each in status.get("conditions", []) if each["type"] == "Ready"), {})


@pytest.mark.parametrize("case", CASES)
def test_what_somebody_else_has_to_put_right_is_waited_for(
    waiting: dict[str, Waiting], standing: dict[str, Json], case: str
) -> None:
    status, reason = standing[case], waiting[case].reason
    conditions = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}

    assert status["phase"] == "Created"
    assert "jobId" not in status.get("slurm", {})
    assert conditions["Reconciling"] == ("True", reason)
    for kind in ("Failed", "Complete", "Submitted", "Ready"):
        assert conditions[kind] == ("False", reason)
    assert re.search(waiting[case].words, ready(status)["message"])


def test_it_is_looked_at_again_ever_more_rarely_and_told_once(
    world: World, waiting: dict[str, Waiting], standing: dict[str, Json]
) -> None:
    assert standing

    def looks() -> list[float]:
        """When the operator looked for what is missing."""
        return [request.at for request in world.requests("missing-file")]

    first, second, third, *_ = world.eventually(looks, lambda times: len(times) >= 3)

    assert third - second > 1.5 * (second - first)
    events = world.all_events()
    for case, each in waiting.items():
        (event,) = events[each.submission.name]
        assert (event["type"], event["reason"]) == ("Warning", each.reason), case
        assert re.search(each.words, event["message"]), case
        assert len(world.writes(each.submission.name)) <= 3, case  # its finalizer, its user, and what is waited for


@pytest.mark.parametrize(
    ("cluster", "condition", "reason"),
    [
        ("odd-changed-host-key", "HostKeyVerified", "HostKeyMismatch"),
        ("odd-no-host-key", "HostKeyVerified", "HostKeyMismatch"),
        ("odd-dead", "Reachable", "ClusterUnreachable"),
        ("odd-wrong-key", "Authenticated", "AuthenticationFailed"),
        ("odd-no-key", "Authenticated", "KeyUnavailable"),
        ("odd-no-mapping", "MappingValid", "Unreadable"),
        ("odd-no-sbatch", "ControllerUp", "CommandFailed"),
    ],
)
def test_the_cluster_says_what_is_wrong_with_it(
    world: World, waiting: dict[str, Waiting], cluster: str, condition: str, reason: str
) -> None:
    assert waiting
    there = Cluster(world, cluster)

    assert there.wait_for(condition, "False")["reason"] == reason
    assert there.condition("Ready")["status"] != "True"
    assert [event["reason"] for event in there.events()].count(reason) == 1


def test_it_runs_once_everything_is_right(world: World, waiting: dict[str, Waiting]) -> None:
    for each in waiting.values():
        each.mend()
    for each in waiting.values():
        each.submission.wait_for_phase("Done")
        assert len(world.jobs_of(each.submission.token)) == 1


# Away for a while ----------------------------------------------------------------------------------------------------


@pytest.fixture
def sshd(world: World) -> Iterator[Service]:
    service = world.bed.slurm.service("sshd")
    yield service
    service.start()


def test_an_unreachable_login_node_delays_and_fails_nothing(world: World, sshd: Service) -> None:
    sshd.stop()
    with world.cluster("away") as cluster:  # to which nobody is connected yet
        submission = cluster.submit()
        submission.wait_for_reason("ClusterUnreachable")
        assert submission.status()["phase"] == "Created"

        sshd.start()

        submission.wait_for_phase("Done")
        cluster.wait_for("Ready", "True")
    assert submission.news() == ["ClusterUnreachable", "Submitted", "Completed"]


def test_a_job_runs_on_while_its_cluster_cannot_be_reached(world: World) -> None:
    (dead,) = reserve(world.bed.description.folder, "away", 1)
    with world.cluster("gone") as cluster:
        submission = cluster.submit("until [ -e go ]; do sleep 0.2; done")
        before = submission.wait_for_state("RUNNING")

        cluster.describe(ssh=world.login_nodes(dead))
        cluster.wait_for("Reachable", "False")
        world.slurm("touch", f"{before['workingDirectory']}/go", user="kirby")
        assert submission.status() == before

        cluster.describe()
        submission.wait_for_phase("Done")
    assert submission.events() == ["Submitted", "Running", "Completed"]
