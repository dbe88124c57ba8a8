"""The room `kube` against a real kube-apiserver, as the ServiceAccount that the chart would make."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kopf
import pytest
import yaml

import bed
from slurmgate.kube.account import ServiceAccount
from slurmgate.kube.addresses import Address, Target
from slurmgate.kube.content import Content, Kind
from slurmgate.kube.errors import ApiError
from slurmgate.kube.events import EventRecorder
from slurmgate.kube.finalizers import add_finalizer, remove_finalizer
from slurmgate.kube.login import login_handler
from slurmgate.kube.patch import Conflict, Gone, Written
from slurmgate.kube.references import ReferenceNotAllowedError, ReferenceNotFoundError, ReferenceReader
from slurmgate.kube.session import ApiSession
from slurmgate.kube.watch import Followed, Unreadable, follow
from slurmgate.kube.writer import StatusWriter, Unconfirmed
from slurmgate.telemetry.metrics import Metrics

pytestmark = pytest.mark.bed

CRDS = Path(__file__).parents[2] / "crds"
FINALIZER = "slurmgate.dev/slurm-job"
RIGHTS = """
apiVersion: v1
kind: Namespace
metadata: {name: slurmgate}
---
apiVersion: v1
kind: Namespace
metadata: {name: closed}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: slurmgate, namespace: slurmgate}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: slurmgate}
rules:
  - {apiGroups: [slurmgate.dev], resources: [jobsubmissions], verbs: [get, list, watch, patch]}
  - {apiGroups: [slurmgate.dev], resources: [jobsubmissions/status], verbs: [patch]}
  - {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
  - {apiGroups: [""], resources: [events], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: slurmgate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: slurmgate}
subjects: [{kind: ServiceAccount, name: slurmgate, namespace: slurmgate}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: slurmgate, namespace: slurmgate}
rules:
  - {apiGroups: [""], resources: [configmaps, secrets], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: slurmgate, namespace: slurmgate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: slurmgate}
subjects: [{kind: ServiceAccount, name: slurmgate, namespace: slurmgate}]
"""


SUBMISSIONS = "/apis/slurmgate.dev/v1alpha1/namespaces/default/jobsubmissions"
CONFIG_MAPS = "/api/v1/namespaces/slurmgate/configmaps"
ROLE_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/slurmgate/rolebindings"


class Cluster:
    """The bed's API server, and what its administrator does to it."""

    def __init__(self, running: bed.Bed) -> None:
        self.bed = running
        config = yaml.safe_load(running.kubernetes.kubeconfig.read_text())
        self.server = urlsplit(config["clusters"][0]["cluster"]["server"])
        self.authority = Path(config["clusters"][0]["cluster"]["certificate-authority"])
        self._token = config["users"][0]["user"]["token"]
        self._tls = ssl.create_default_context(cafile=self.authority)
        self._restarted: subprocess.Popen[bytes] | None = None

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        assert self.server.hostname
        with closing(HTTPSConnection(self.server.hostname, self.server.port, timeout=10, context=self._tls)) as connection:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status < 300, content.decode()
            return json.loads(content)

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        answer = self.bed.kubectl(*args, stdin=stdin)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def get(self, name: str) -> Any:
        return self.request("GET", f"{SUBMISSIONS}/{name}")

    def merge(self, path: str, patch: Any) -> None:
        self.request("PATCH", path, patch, "application/merge-patch+json")

    def submission(self, name: str) -> Target:
        """Make a submission."""
        spec = {"clusterRef": {"name": "c"}, "owner": "a@example.com", "script": {"inline": "#!/bin/sh\nhostname\n"}}
        body = {"apiVersion": "slurmgate.dev/v1alpha1", "kind": "JobSubmission", "metadata": {"name": name}, "spec": spec}
        return Target("JobSubmission", "default", name, self.request("POST", SUBMISSIONS, body)["metadata"]["uid"])

    def config_map(self, name: str, text: str) -> None:
        """Make one or change it."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"ssh_mapping.yaml": text}}
        self.request("PATCH", f"{CONFIG_MAPS}/{name}?fieldManager=test&force=true", body, "application/apply-patch+yaml")

    def token(self) -> str:
        path = "/api/v1/namespaces/slurmgate/serviceaccounts/slurmgate/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token: str = self.request("POST", path, request)["status"]["token"]
        return token

    def restart(self) -> None:
        """Kill the API server, leave it dead for a while, and start it again."""
        pid = int((self.bed.description.folder / "run" / "kube-apiserver").read_text().split()[0])
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode().split("\0")
        os.kill(pid, signal.SIGKILL)
        time.sleep(2)
        self._restarted = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self.bed.kubectl("get", "--raw", "/readyz").returncode != 0:
            time.sleep(0.2)

    def down(self) -> None:
        if self._restarted:
            self._restarted.kill()
            self._restarted.wait()
        self.bed.down()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BED_STATE", str(tmp_path_factory.mktemp("beds")))
        running = Cluster(bed.up("kube", slurm=False))
        try:
            running.kubectl("apply", "--server-side", "-f", str(CRDS))
            running.kubectl("wait", "--for=condition=Established", "crd/jobsubmissions.slurmgate.dev")
            running.kubectl("apply", "-f", "-", stdin=RIGHTS)
            yield running
        finally:
            running.down()


@pytest.fixture
def account(cluster: Cluster, tmp_path: Path) -> Path:
    """What kubelet would mount."""
    (tmp_path / "token").write_text(cluster.token())
    (tmp_path / "ca.crt").write_bytes(cluster.authority.read_bytes())
    return tmp_path


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="0")


@pytest.fixture
async def api(cluster: Cluster, account: Path, metrics: Metrics) -> AsyncIterator[ApiSession]:
    host, port = cluster.server.hostname, cluster.server.port
    assert host
    assert port
    async with ApiSession(host=host, port=port, account=ServiceAccount(account), metrics=metrics) as session:
        yield session


@pytest.fixture
async def writer(api: ApiSession) -> AsyncIterator[StatusWriter]:
    writer = StatusWriter(api)
    writer.start()
    yield writer
    await writer.stop(grace=5)


def writes(metrics: Metrics, resource: str, outcome: str = "ok") -> float:
    labels = {"resource": resource, "verb": "PATCH", "outcome": outcome}
    return metrics.registry.get_sample_value("slurmgate_api_writes_total", labels) or 0


# --- status


async def test_a_status_is_replaced_whole(cluster: Cluster, writer: StatusWriter) -> None:
    target = cluster.submission("whole")
    first = await writer.confirm(target, {"phase": "Created", "slurm": {"jobId": "1", "reason": "Priority"}}, deadline=10)
    second = await writer.confirm(target, {"phase": "Submitted", "slurm": {"jobId": "1"}}, deadline=10)
    assert isinstance(first, Written)
    body = cluster.get("whole")
    assert body["status"] == {"phase": "Submitted", "slurm": {"jobId": "1"}}
    assert second == Written(body["metadata"]["resourceVersion"])


async def test_only_the_last_word_is_written_and_nothing_twice(
    cluster: Cluster, writer: StatusWriter, metrics: Metrics
) -> None:
    target = cluster.submission("burst")
    for number in range(100):
        writer.put(target, {"workingDirectory": f"/{number}"})
    await writer.confirm(target, {"workingDirectory": "/99"}, deadline=10)
    writer.put(target, {"workingDirectory": "/99"})
    await writer.confirm(target, {"workingDirectory": "/99"}, deadline=10)
    assert cluster.get("burst")["status"] == {"workingDirectory": "/99"}
    assert writes(metrics, "jobsubmissions/status") == 1


async def test_a_status_is_not_confirmed_for_an_object_that_changed(cluster: Cluster, writer: StatusWriter) -> None:
    target = cluster.submission("changed")
    seen = cluster.get("changed")["metadata"]["resourceVersion"]
    cluster.merge(f"{SUBMISSIONS}/changed", {"metadata": {"annotations": {"a": "b"}}})
    outcome = await writer.confirm(target, {"phase": "Created"}, resource_version=seen, deadline=10)
    assert isinstance(outcome, Conflict)
    assert outcome.current["metadata"]["annotations"]["a"] == "b"
    assert "status" not in cluster.get("changed")
    now = outcome.current["metadata"]["resourceVersion"]
    assert isinstance(await writer.confirm(target, {"phase": "Created"}, resource_version=now, deadline=10), Written)


async def test_without_a_resource_version_a_foreign_change_does_not_matter(cluster: Cluster, writer: StatusWriter) -> None:
    target = cluster.submission("foreign")
    cluster.merge(f"{SUBMISSIONS}/foreign", {"metadata": {"annotations": {"a": "b"}}})
    assert isinstance(await writer.confirm(target, {"phase": "Created"}, deadline=10), Written)


async def test_an_object_made_again_under_the_same_name_is_left_alone(cluster: Cluster, writer: StatusWriter) -> None:
    old = cluster.submission("again")
    cluster.request("DELETE", f"{SUBMISSIONS}/again")
    assert await writer.confirm(old, {"phase": "Done"}, deadline=10) == Gone()
    cluster.submission("again")
    assert await writer.confirm(old, {"phase": "Done"}, deadline=10) == Gone()
    assert "status" not in cluster.get("again")


async def test_a_status_that_the_schema_refuses_is_not_tried_for_ever(
    cluster: Cluster, writer: StatusWriter, metrics: Metrics
) -> None:
    target = cluster.submission("invalid")
    outcome = await writer.confirm(target, {"phase": "Nonsense"}, deadline=10)
    assert isinstance(outcome, Unconfirmed)
    assert "status.phase" in outcome.message
    assert isinstance(await writer.confirm(target, {"phase": "Created"}, deadline=10), Written)
    assert writes(metrics, "jobsubmissions/status", "Invalid") == 1


# --- finalizers


async def test_a_finalizer_is_put_on_and_taken_off_beside_others(cluster: Cluster, api: ApiSession) -> None:
    target = cluster.submission("final")
    assert isinstance(await add_finalizer(api, target, FINALIZER, finalizers=[]), Written)
    cluster.merge(f"{SUBMISSIONS}/final", {"metadata": {"finalizers": [FINALIZER, "x/y"]}})
    assert isinstance(await remove_finalizer(api, target, FINALIZER, finalizers=[FINALIZER]), Written)
    assert cluster.get("final")["metadata"]["finalizers"] == ["x/y"]
    assert isinstance(await add_finalizer(api, target, FINALIZER, finalizers=["was/there"]), Written)
    assert cluster.get("final")["metadata"]["finalizers"] == ["x/y", FINALIZER]
    cluster.merge(f"{SUBMISSIONS}/final", {"metadata": {"finalizers": None}})


async def test_believing_that_the_finalizer_is_there_is_not_enough(cluster: Cluster, api: ApiSession) -> None:
    target = cluster.submission("stolen")
    assert isinstance(await add_finalizer(api, target, FINALIZER, finalizers=[FINALIZER]), Written)
    assert cluster.get("stolen")["metadata"]["finalizers"] == [FINALIZER]
    await remove_finalizer(api, target, FINALIZER, finalizers=[FINALIZER])


async def test_an_object_that_is_being_deleted_takes_no_finalizer(cluster: Cluster, api: ApiSession) -> None:
    target = cluster.submission("leaving")
    await add_finalizer(api, target, "x/y", finalizers=[])
    cluster.request("DELETE", f"{SUBMISSIONS}/leaving")
    for seen in ([], ["x/y"]):
        assert await add_finalizer(api, target, FINALIZER, finalizers=seen) == Gone()
    assert isinstance(await remove_finalizer(api, target, "x/y", finalizers=["x/y"]), Written)
    assert await remove_finalizer(api, target, "x/y", finalizers=["x/y"]) == Gone()
    assert await add_finalizer(api, target, FINALIZER, finalizers=[]) == Gone()


# --- events


async def test_events_show_in_describe(cluster: Cluster, api: ApiSession, metrics: Metrics) -> None:
    recorder = EventRecorder(api, instance="pod-1", metrics=metrics)
    recorder.start()
    target = cluster.submission("news")
    recorder.post(target, type="Normal", reason="Submitted", message="Slurm job 1")
    recorder.post(target, type="Warning", reason="JobFailed", message="é" * 2000)
    recorder.post(Target("SlurmCluster", None, "c", "uid-of-c"), type="Normal", reason="Available", message="All answers")
    await recorder.stop(grace=5)
    described = cluster.kubectl("describe", "jsub", "news")
    assert "Slurm job 1" in described
    assert "slurmgate" in described
    messages = cluster.kubectl("get", "events", "--field-selector=reason=JobFailed", "-o", "jsonpath={.items[*].message}")
    assert messages == "é" * 510 + "..."
    assert "All answers" in cluster.kubectl("get", "events", "-n", "default", "--field-selector=involvedObject.name=c")


# --- references


async def test_keys_of_config_maps_and_secrets_are_read(cluster: Cluster, api: ApiSession) -> None:
    files = {"metadata": {"name": "files"}, "data": {"text": "naïve\n"}, "binaryData": {"bytes": "AP8="}}
    cluster.request("POST", CONFIG_MAPS, files)
    keys = {"metadata": {"name": "keys"}, "stringData": {"key": "s3cret"}}
    cluster.request("POST", "/api/v1/namespaces/slurmgate/secrets", keys)
    references = ReferenceReader(api)
    assert await references.read(Kind.CONFIG_MAP, "slurmgate", "files", "text") == "naïve\n".encode()
    assert await references.read(Kind.CONFIG_MAP, "slurmgate", "files", "bytes") == b"\x00\xff"
    assert await references.read(Kind.SECRET, "slurmgate", "keys", "key") == b"s3cret"
    with pytest.raises(ReferenceNotFoundError, match="ConfigMap slurmgate/files has no key 'nothing'"):
        await references.read(Kind.CONFIG_MAP, "slurmgate", "files", "nothing")
    with pytest.raises(ReferenceNotFoundError, match="Secret slurmgate/nothing does not exist"):
        await references.read(Kind.SECRET, "slurmgate", "nothing", "key")
    with pytest.raises(ReferenceNotAllowedError, match=r"slurmgate\.dev/use"):
        await references.read(Kind.SECRET, "slurmgate", "keys", "key", require_use_label=True)
    cluster.merge("/api/v1/namespaces/slurmgate/secrets/keys", {"metadata": {"labels": {"slurmgate.dev/use": "true"}}})
    assert await references.read(Kind.SECRET, "slurmgate", "keys", "key", require_use_label=True) == b"s3cret"


async def test_a_namespace_that_is_not_listed_is_named(api: ApiSession) -> None:
    with pytest.raises(ReferenceNotAllowedError, match=r"ConfigMap closed/a: .*submissionNamespaces"):
        await ReferenceReader(api).read(Kind.CONFIG_MAP, "closed", "a", "b")


# --- following


@asynccontextmanager
async def following(api: ApiSession, namespace: str, name: str) -> AsyncIterator[Callable[..., Any]]:
    """Gives a function for the next thing that is told."""
    async with aclosing(follow(api, Kind.CONFIG_MAP, namespace, name)) as told:

        async def next_one(seconds: float = 20) -> Followed:
            async with asyncio.timeout(seconds):
                return await anext(told)

        yield next_one


async def test_a_config_map_is_followed_through_its_lives(cluster: Cluster, api: ApiSession) -> None:
    async with following(api, "slurmgate", "mapping") as told:
        assert await told() is None
        for text in ("a", "b"):
            cluster.config_map("mapping", text)
            assert (await told()).data == {"ssh_mapping.yaml": text.encode()}
        cluster.request("DELETE", f"{CONFIG_MAPS}/mapping")
        assert await told() is None
        cluster.config_map("other", "x")
        cluster.config_map("mapping", "c")
        assert (await told()).data == {"ssh_mapping.yaml": b"c"}


async def test_a_big_config_map_is_followed(cluster: Cluster, api: ApiSession) -> None:
    cluster.config_map("big", "")
    async with following(api, "slurmgate", "big") as told:
        assert (await told()).data == {"ssh_mapping.yaml": b""}
        cluster.config_map("big", "\x01" * 100_000)
        assert (await told()).data == {"ssh_mapping.yaml": b"\x01" * 100_000}


# asyncio leaves the socket to the garbage collector when it is cancelled in the middle of a TLS handshake.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_restart_of_the_api_server_loses_nothing(cluster: Cluster, api: ApiSession, writer: StatusWriter) -> None:
    targets = [cluster.submission(f"restart-{number}") for number in range(5)]
    for target in targets:
        await writer.confirm(target, {"phase": "Created"}, deadline=60)
    cluster.config_map("steady", "before")
    async with following(api, "slurmgate", "steady") as told:
        assert (await told()).data == {"ssh_mapping.yaml": b"before"}
        changed = asyncio.create_task(told(240))
        restarting = asyncio.create_task(asyncio.to_thread(cluster.restart))
        await asyncio.sleep(0.5)
        assert isinstance(await writer.confirm(targets[0], {"phase": "Submitted"}, deadline=0.5), Unconfirmed)
        for target in targets[1:]:
            writer.put(target, {"phase": "Submitted"})
        await restarting
        for target in targets:
            assert isinstance(await writer.confirm(target, {"phase": "Submitted"}, deadline=90), Written)
            assert cluster.get(target.name)["status"] == {"phase": "Submitted"}
        await asyncio.sleep(1)
        assert not changed.done()  # the same content is not told again, and there was no alarm
        cluster.config_map("steady", "after")
        assert (await changed).data == {"ssh_mapping.yaml": b"after"}


@pytest.mark.slow
async def test_a_refusal_is_told_and_so_is_its_end(cluster: Cluster, api: ApiSession) -> None:
    cluster.config_map("refused", "x")
    async with following(api, "slurmgate", "refused") as told:
        assert isinstance(await told(), Content)
    binding = cluster.request("GET", f"{ROLE_BINDINGS}/slurmgate")
    cluster.request("DELETE", f"{ROLE_BINDINGS}/slurmgate")
    async with following(api, "slurmgate", "refused") as told:
        refused = await told()
        while isinstance(refused, Content):  # RBAC takes a moment to notice
            refused = await told(60)
        assert isinstance(refused, Unreadable)
        assert "forbidden" in refused.message
        cluster.request("POST", ROLE_BINDINGS, {**binding, "metadata": {"name": "slurmgate"}})
        assert (await told()).data == {"ssh_mapping.yaml": b"x"}


# --- the ServiceAccount and kopf


async def test_a_new_token_is_used_at_once_when_the_old_one_is_refused(api: ApiSession, account: Path) -> None:
    good = (account / "token").read_text()
    (account / "token").write_text("not-a-token")
    with pytest.raises(ApiError) as refused:
        await api.get(Address("namespaces"))
    assert refused.value.status == 401
    assert refused.value.retryable
    (account / "token").write_text(good + "\n")
    assert (await api.get(Address("namespaces")))["kind"] == "NamespaceList"


async def test_kopf_uses_the_session_and_leaves_it_open(
    cluster: Cluster, api: ApiSession, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurmgate.kube.login._AGAIN_SECONDS", 0.2)
    cluster.submission("watched")
    seen: asyncio.Queue[str] = asyncio.Queue()
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login_handler(api))

    @kopf.on.event("slurmgate.dev", "v1alpha1", "jobsubmissions", registry=registry)
    async def see(name: str, **_: object) -> None:
        seen.put_nowait(name)

    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    good = (account / "token").read_text()
    (account / "token").write_text("not-a-token")
    for _ in range(2):  # kopf closes the session it was given when it ends
        stop = asyncio.Event()
        running = asyncio.create_task(
            kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True, stop_flag=stop)
        )
        await asyncio.sleep(1)
        (account / "token").write_text(good)
        async with asyncio.timeout(20):
            while await seen.get() != "watched":
                pass
        stop.set()
        await running
        assert (await api.get(Address("namespaces")))["kind"] == "NamespaceList"
