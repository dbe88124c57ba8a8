"""Everything that the operator does is done once, with marked secrets. Then every record is read.

No secret is where it does not belong, whatever went wrong meanwhile; and of the rights that the chart gives, none was missing
and none was idle.
"""

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_ssh_private_key,
)

from bed import valhalla
from bed.jobbergate.person import Person
from bed.keys import ssh_key
from bed.operator import NAMESPACE
from bed.ports import reserve
from tests import canaries
from tests.api import Json, path
from tests.canaries import Canary
from tests.rights import EVERYWHERE, JOBBERGATE, OWN_NAMESPACE, SUBMISSIONS, Asked, Right, asked
from tests.synced import KIRBY, appeared, cut_off, ended, running
from tests.world import OPERATOR, Cluster, World, operated

pytestmark = pytest.mark.slow

SECOND = "second"
"""A cluster that has everything in Secrets, half of it wrong."""
USABLE = {"slurmgate.dev/use": "true"}
NAMED = {
    "secrets": [
        *(f"{user}-ssh-key" for user in valhalla.USERS),
        *(
            valhalla.JOBBERGATE_CLIENT,
            "second-jobbergate",
            "second-mapping",
            "second-known-hosts",
            "influx",
            "bad-keys",
            "services",
        ),
    ],
    "configMaps": [valhalla.MAPPING, f"{valhalla.CLUSTER}-known-hosts", "jobbergate-authority"],
}
SECRETS_OF_PEOPLE = ("not-for-jobs", "not-text", "for-jobs")


def secret(what: str) -> str:
    """A word that nobody else has."""
    return f"canary-{what}-{uuid4().hex}"


@dataclass
class Planted:
    """What was put into the world."""

    canaries: list[Canary] = field(default_factory=list)
    in_jobs: Canary = field(default_factory=lambda: Canary("", frozenset()))
    """The one that its owner's processes may have in their environment: it was put there for the job."""

    def word(self, what: str) -> str:
        """A new one, which is looked for."""
        word = secret(what.replace(" ", "-"))
        self.canaries.append(Canary.of(what, word.encode()))
        return word

    def key(self, what: str, folder: Path) -> bytes:
        """A new private key, which is looked for."""
        pem = ssh_key(folder / secret("key")).private.read_bytes()
        self.canaries.append(Canary.of_key(what, pem))
        return pem


@dataclass
class Processes:
    """Words and environments of every process that was seen on this machine, the login node's among them."""

    words: set[bytes] = field(default_factory=set)
    environments: set[tuple[int, bytes]] = field(default_factory=set)
    """With whose they are."""

    def look(self) -> None:
        """See who runs now."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                self.words.add((process / "cmdline").read_bytes())
                self.environments.add((process.stat().st_uid, (process / "environ").read_bytes()))
            except OSError:  # it is over
                continue

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.05):
                self.look()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


@dataclass
class Lived:
    """A world in which everything has happened."""

    world: World
    planted: Planted
    processes: Processes
    second: Cluster
    metrics: str


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    values = {"readable": NAMED, "log": {"level": "DEBUG", "format": "json"}}
    with operated(f"whole-life-{os.getpid()}", jobbergate=True, values=values) as world:
        planted, processes = Planted(), Processes()
        plant_what_is_there_already(world, planted)
        folder = tmp_path_factory.mktemp("keys")
        with processes.watched(), second_cluster(world, planted, folder) as second:
            ordinary_lives(world, planted)
            what_is_refused(world, planted)
            lives_of_jobbergate(world)
            who_cannot_log_in(second)
            who_knows_nobody(world, planted, folder)
            with cut_off(world):
                away = world.submit("true")
                away.wait_for_reason("ClusterUnreachable")
            away.wait_for_phase("Done")
            a_status_that_is_refused(world)
            yield Lived(world, planted, processes, second, world.operator.get("/metrics"))


# What happens ---------------------------------------------------------------------------------------------------------


def plant_what_is_there_already(world: World, planted: Planted) -> None:
    planted.canaries += canaries.keys(world.bed.description.folder / "keys")
    planted.canaries.append(Canary.of("the client's secret", world.bed.jobbergate.description.client_secret.encode()))
    token = Path(world.installation.environment["SLURMGATE_SERVICE_ACCOUNT_DIRECTORY"], "token").read_bytes()
    planted.canaries.append(Canary.of("the operator's token", token))


@contextmanager
def second_cluster(world: World, planted: Planted, folder: Path) -> Iterator[Cluster]:
    """Everything of it is in Secrets, and wrong wherever something can be."""
    known_hosts = world.bed.slurm.description.known_hosts
    passphrase = planted.word("a passphrase")
    locked = with_passphrase(planted.key("the key with a passphrase", folder), passphrase)
    planted.canaries.append(Canary.of("the key with a passphrase as it is kept", locked.splitlines()[2]))
    damaged = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{planted.word('a damaged key')}\n-----END OPENSSH PRIVATE KEY-----\n"
    keys = {
        "of-nobody": planted.key("a key that opens nothing", folder).decode(),
        "locked": locked.decode(),
        "passphrase": passphrase,
        "damaged": damaged,
        "no-key": planted.word("what is no key"),
    }
    world.make("Secret", "bad-keys", namespace=NAMESPACE, stringData=keys)
    mapping = {
        "users_id_mapping": [
            entry("kirby", ssh_private_key_b64=b64(world.bed.slurm.description.users["kirby"].read_bytes())),
            entry("mario", ssh_private_key_secret={"name": "bad-keys", "key": "of-nobody"}),
            entry("dovahkiin", ssh_private_key_secret={"name": "bad-keys", "key": "locked", "passphraseKey": "passphrase"}),
            entry("ganon", ssh_private_key_secret={"name": "bad-keys", "key": "locked", "passphraseKey": "no-key"}),
            entry("link", ssh_private_key_secret={"name": "bad-keys", "key": "damaged"}),
            entry("zelda", ssh_private_key_secret={"name": "bad-keys", "key": "no-key"}),
            entry("peach", ssh_private_key_b64=b64(planted.word("what is no inline key").encode())),
            entry("toad", ssh_private_key_b64=planted.word("what is not even base64") + "!"),
            entry("yoshi", ssh_private_key=planted.word("a key in a field that there is not")),
        ]
    }
    secrets = {
        "second-mapping": {"ssh_mapping.yaml": world.yaml(mapping)},
        "second-known-hosts": {"known_hosts": known_hosts},
        "second-jobbergate": {"secret": planted.word("a client's secret that is wrong")},
        "influx": {
            "unreachable": dsn(world, planted.word("the password of InfluxDB")),
            "unusable": f"influx://slurm:{planted.word('the password in a wrong DSN')}@host/slurm",
        },
    }
    for name, content in secrets.items():
        world.make("Secret", name, namespace=NAMESPACE, stringData=content)
    authority = world.bed.jobbergate.description.certificate.read_text()
    world.make("ConfigMap", "jobbergate-authority", namespace=NAMESPACE, data={"ca.crt": authority})
    world.bed.jobbergate.realm.add(SECOND)
    world.make("Namespace", "lab", annotations={"slurmgate.dev/owners": "*@example.org"})
    spec = valhalla.jobbergate_spec(
        world.bed,
        clientId=SECOND,
        clientSecretRef={"name": "second-jobbergate", "key": "secret"},
        url=world.bed.jobbergate.description.https_url.removesuffix("/jobbergate"),
        oidcUrl=world.bed.jobbergate.description.https_issuer,
        certificateAuthority={"configMapKeyRef": {"name": "jobbergate-authority", "key": "ca.crt"}},
    )
    ssh = world.login_nodes(world.bed.slurm.description.port)
    described = {
        "ssh": {**ssh, "knownHosts": {"secretKeyRef": {"name": "second-known-hosts", "key": "known_hosts"}}},
        "identity": {"mapping": {"secret": "second-mapping"}},
        "jobbergate": spec,
    }
    with world.cluster(SECOND, **described) as second:
        yield second


def entry(user: str, **key: object) -> Json:
    return {"mail": f"{user}@{valhalla.MAIL_DOMAIN}", "mapped_user": user, **key}


def with_passphrase(pem: bytes, passphrase: str) -> bytes:
    """The same key, encrypted. By no program: its words would be seen."""
    key = load_ssh_private_key(pem, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase.encode()))


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def dsn(world: World, password: str) -> str:
    """Of an InfluxDB that does not answer."""
    (port,) = reserve(world.bed.description.folder, "no-influx", 1)
    return f"influxdb://slurm:{password}@127.0.0.1:{port}/slurm"


def ordinary_lives(world: World, planted: Planted) -> None:
    """One that uses whatever a submission can name, one that is held and cancelled, one that is deleted."""
    value = planted.word("a variable from a Secret")
    planted.in_jobs = planted.canaries[-1]
    content = {"variable": value, "file": planted.word("a file from a Secret")}
    world.make("Secret", "for-jobs", labels=USABLE, stringData=content)
    world.make("ConfigMap", "for-jobs", data={"variable": "fast", "script.sh": "#!/bin/bash\nprintenv TREASURE; cat licence\n"})
    full = world.submit(
        {"configMapKeyRef": {"name": "for-jobs", "key": "script.sh"}},
        environment=[
            {"name": "TREASURE", "valueFrom": {"secretKeyRef": {"name": "for-jobs", "key": "variable"}}},
            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "for-jobs", "key": "variable"}}},
        ],
        files=[{"name": "licence", "secretKeyRef": {"name": "for-jobs", "key": "file"}}],
    )
    full.wait_for_phase("Done")
    assert full.output() == f"{value}\n{content['file']}", "the job itself has both"
    held = world.submit("sleep 600", suspend=True)
    held.wait_for(lambda status: "jobId" in status.get("slurm", {}))
    held.patch(suspend=False)
    held.wait_for_state("RUNNING")
    held.patch(cancel=True)
    held.wait_for_phase("Cancelled")
    held.delete()


def what_is_refused(world: World, planted: Planted) -> None:
    """Secrets that cannot be used, each for another reason."""
    world.make("Secret", "not-for-jobs", stringData={"it": planted.word("a Secret without the label")})
    spoilt = b"\xff\n\0" + planted.word("a variable that is no text").encode()
    world.make("Secret", "not-text", labels=USABLE, data={"it": b64(spoilt)})
    for name, key in (("not-for-jobs", "it"), ("not-text", "it"), ("for-jobs", "no-such-key"), ("no-such-secret", "it")):
        source = {"secretKeyRef": {"name": name, "key": key}}
        submission = world.submit("true", environment=[{"name": "IT", "valueFrom": source}])
        world.eventually(submission.events, bool)
        submission.delete()


def lives_of_jobbergate(world: World) -> None:
    """Rows that run, are cancelled and deleted, and a script that is too long for a resource."""
    kirby = Person(world.bed.jobbergate, KIRBY)
    long_script = f"#!/bin/bash\n{'# a word' * 20_000}\ntrue\n"
    ended(world, kirby, kirby.submit(kirby.script(long_script), directory=None), "DONE")
    row = kirby.submit(kirby.script("#!/bin/bash\nsleep 600\n"), directory=None)
    running(world, kirby, row)
    submission = appeared(world, row)
    for key, words in (("unusable", "the DSN of InfluxDB"), ("unreachable", "InfluxDB at http:")):
        metrics = {"dsnSecretRef": {"name": "influx", "key": key}, "intervalSeconds": 10}
        world.api.patch(path("SlurmCluster", valhalla.CLUSTER), {"spec": {"jobbergate": {"metrics": metrics}}})
        world.eventually(partial(said_by_the_operator, world, words), bool)
    kirby.delete(row.id)
    world.eventually(submission.is_gone, bool)


def said_by_the_operator(world: World, words: str) -> bool:
    return words in world.operator.log.read_text()


def who_cannot_log_in(second: Cluster) -> None:
    """Keys that open nothing, or are none. Jobbergate does not let us in, either."""
    world = second.world
    for user, reason in (("mario", "AuthenticationFailed"), ("dovahkiin", "AuthenticationFailed"), ("link", "KeyUnavailable")):
        second.submit("true", user=user, namespace="lab").wait_for_reason(reason)
    for user in ("zelda", "ganon"):
        second.submit("true", user=user, namespace="lab").wait_for_reason("KeyUnavailable")
    second.submit("true", user="peach", namespace="lab").wait_for_phase("Rejected")
    second.submit("true", user="kirby", namespace="lab").wait_for_phase("Done")
    second.wait_for("MappingValid", "False")
    second.wait_for("JobbergateSynced", "False")
    # A mapping that breaks off in the middle of a key.
    text = f'users_id_mapping: [{{mail: a@b, ssh_private_key_b64: "{secret("cut")}'
    world.make("Secret", "second-mapping", namespace=NAMESPACE, stringData={"ssh_mapping.yaml": text})
    world.eventually(lambda: second.condition("MappingValid"), lambda now: "not YAML" in now.get("message", ""))


def who_knows_nobody(world: World, planted: Planted, folder: Path) -> None:
    """An authority that nobody trusts, a Vault and a directory that do not answer."""
    (port,) = reserve(world.bed.description.folder, "nobody", 1)
    secrets = {
        "authority": planted.key("the key of an authority", folder).decode(),
        "vault": planted.word("the token of a Vault"),
        "directory": planted.word("the password for the directory"),
    }
    world.make("Secret", "services", namespace=NAMESPACE, stringData=secrets)
    ssh = world.login_nodes(world.bed.slurm.description.port)
    vault = {"url": f"http://127.0.0.1:{port}", "role": "it", "tokenSecretRef": {"name": "services", "key": "vault"}}
    directory = {
        "servers": [f"ldaps://127.0.0.1:{port}"],
        "bind": {"name": "cn=slurmgate", "passwordSecretRef": {"name": "services", "key": "directory"}},
        "base": "dc=example",
        "keySecretTemplate": "key-{user}",
    }
    signed = {"authority": {"privateKeySecretRef": {"name": "services", "key": "authority"}}}
    described: dict[str, tuple[str, Json]] = {
        "signed": ("AuthenticationFailed", {"ssh": {**ssh, "certificates": signed}}),
        "vaulted": ("KeyUnavailable", {"ssh": {**ssh, "certificates": {"vault": vault}}}),
        "asked": ("DirectoryUnavailable", {"identity": {"ldap": directory}}),
    }
    for name, (reason, spec) in described.items():
        with world.cluster(name, **spec) as cluster:
            submission = cluster.submit("true")
            submission.wait_for_reason(reason)
            submission.delete(wait=False)


def a_status_that_is_refused(world: World) -> None:
    """Then the operator looks what the object is like."""
    rule = {"apiGroups": ["slurmgate.dev"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    group = "admissionregistration.k8s.io/v1"
    policy = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-status"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [{**rule, "resources": ["slurmclusters/status", "jobsubmissions/status"]}],
            },
            "validations": [{"expression": "false", "message": "not now"}],
        },
    }
    binding = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no-status"},
        "spec": {"policyName": "no-status", "validationActions": ["Deny"]},
    }
    world.kubectl("apply", "--filename=-", stdin=world.yaml(policy, binding))
    try:
        looks = {Right("get", "jobsubmissions"), Right("get", "slurmclusters")}
        world.eventually(lambda: provoked(world), looks.issubset)
    finally:
        world.kubectl("delete", "--filename=-", stdin=world.yaml(policy, binding))


def provoked(world: World) -> set[Right]:
    """Give it something to write of both kinds; what the operator has asked for so far."""
    world.submit("true")
    where = path("SlurmCluster", valhalla.CLUSTER)
    limit = world.api.get(where)["spec"]["limits"]["pollIntervalSeconds"]
    world.api.patch(where, {"spec": {"limits": {"pollIntervalSeconds": 3 - limit}}})
    return {each.right for each in requests(world)}


def requests(world: World) -> list[Asked]:
    log = world.bed.kubernetes.audit_log
    assert log is not None
    return list(asked(log, OPERATOR))


# What is left of it ---------------------------------------------------------------------------------------------------


def objects(world: World) -> Iterator[tuple[str, bytes]]:
    """Every list that the API server has, by its path, as etcd keeps it but for Secrets."""
    groups = [version["groupVersion"] for group in world.api.get("/apis")["groups"] for version in group["versions"]]
    for root in ("/api/v1", *(f"/apis/{version}" for version in groups)):
        for resource in world.api.get(root)["resources"]:
            if "list" in resource["verbs"] and resource["name"] != "secrets":
                where = f"{root}/{resource['name']}"
                yield where, json.dumps(world.api.get(where), ensure_ascii=False).encode()


def logs(world: World) -> Iterator[tuple[str, bytes]]:
    """Whatever any program of the bed has written for people."""
    bed = world.bed
    assert bed.kubernetes.logs is not None
    folders = (bed.kubernetes.logs, bed.slurm.description.logs, bed.jobbergate.description.logs)
    files = [each for folder in folders for each in folder.rglob("*") if each.is_file()]
    files += bed.description.folder.glob("operator*.log")
    return ((str(each), each.read_bytes()) for each in files)


def told_by_slurm(world: World) -> Iterator[tuple[str, bytes]]:
    """What anybody may ask Slurm."""
    yield "scontrol", world.slurm("scontrol", "show", "jobs").encode()
    yield "sacct", world.slurm("sacct", "--allusers", "--duplicates", "--parsable2", "--format=ALL").encode()


def test_what_is_looked_for_is_found_where_it_belongs(lived: Lived) -> None:
    secrets = json.dumps(lived.world.api.get("/api/v1/secrets")).encode()
    shown = [leak.split(" is in ")[0] for leak in canaries.found(lived.planted.canaries, secrets, "Secrets")]
    elsewhere = {"the operator's token", "the key with a passphrase"}
    gone = {"what is no inline key", "what is not even base64", "a key in a field that there is not"}  # the mapping was cut
    people = {each.what for each in canaries.keys(lived.world.bed.description.folder / "keys")}
    users = {f"the key of {user}" for user in valhalla.USERS}
    expected = {each.what for each in lived.planted.canaries} - elsewhere - gone - (people - users)
    assert expected <= set(shown)


def test_no_secret_is_in_any_log(lived: Lived) -> None:
    read = dict(logs(lived.world))
    assert sum(map(len, read.values())) > 100_000
    assert not [leak for where, text in read.items() for leak in canaries.found(lived.planted.canaries, text, where)]


def test_no_secret_is_in_an_object_or_event(lived: Lived) -> None:
    read = dict(objects(lived.world))
    assert {"/api/v1/events", "/apis/slurmgate.dev/v1alpha1/jobsubmissions", "/api/v1/configmaps"} <= read.keys()
    assert not [leak for where, text in read.items() for leak in canaries.found(lived.planted.canaries, text, where)]


def test_no_secret_is_in_metrics_or_in_what_slurm_tells(lived: Lived) -> None:
    records = [("metrics", lived.metrics.encode()), *told_by_slurm(lived.world)]
    assert all(text for _, text in records)
    assert not [leak for where, text in records for leak in canaries.found(lived.planted.canaries, text, where)]


def test_no_secret_was_ever_a_word_of_a_command(lived: Lived) -> None:
    assert any(b"sbatch" in words for words in lived.processes.words), "the login node was not seen"
    words = b"\n".join(lived.processes.words)
    assert not list(canaries.found(lived.planted.canaries, words, "the words of a process"))


def test_no_secret_was_in_an_environment_but_what_a_job_was_given_in_its_own(lived: Lived) -> None:
    user = int(lived.world.slurm("id", "-u", "kirby"))
    own = b"\n".join(text for uid, text in lived.processes.environments if uid == user)
    others = b"\n".join(text for uid, text in lived.processes.environments if uid != user)
    not_for_jobs = [each for each in lived.planted.canaries if each is not lived.planted.in_jobs]
    assert not list(canaries.found(lived.planted.canaries, others, "an environment"))
    assert not list(canaries.found(not_for_jobs, own, "an environment of kirby's"))


def test_no_token_is_in_what_the_operator_says(lived: Lived) -> None:
    """Jobbergate's tokens are made while it runs: nobody could plant them."""
    said = [lived.world.operator.log.read_bytes(), lived.metrics.encode(), *dict(objects(lived.world)).values()]
    assert not [match[0] for text in said for match in canaries.JSON_WEB_TOKEN.finditer(text)]


def test_the_process_leaves_no_core(lived: Lived) -> None:
    limits = Path(f"/proc/{lived.world.operator.process.pid}/limits").read_text()
    (core,) = (line.split() for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core[4:6] == ["0", "0"]


# Rights ---------------------------------------------------------------------------------------------------------------


def test_every_right_was_used_and_none_was_missing(lived: Lived) -> None:
    made = requests(lived.world)
    assert not [each for each in made if each.forbidden]
    assert {each.right for each in made} == EVERYWHERE | OWN_NAMESPACE | SUBMISSIONS | JOBBERGATE


def test_every_right_was_used_where_it_is_given(lived: Lived) -> None:
    made = requests(lived.world)
    assert {each.right for each in made if each.namespace == NAMESPACE} >= OWN_NAMESPACE
    assert {each.right for each in made if each.namespace == valhalla.RESEARCH} >= SUBMISSIONS | JOBBERGATE


def test_secrets_and_config_maps_are_asked_for_by_their_names(lived: Lived) -> None:
    reads = [each for each in requests(lived.world) if each.right.resource in {"secrets", "configmaps"}]
    assert not [each for each in reads if not each.name and each.right.verb != "create"]
    of_its_own = {each.name for each in reads if each.namespace == NAMESPACE and each.right.resource == "secrets"}
    assert of_its_own == set(NAMED["secrets"])
    of_people = {each.name for each in reads if each.namespace != NAMESPACE and each.right.resource == "secrets"}
    assert of_people == {*SECRETS_OF_PEOPLE, "no-such-secret"}


def test_another_secret_of_its_own_namespace_is_refused_by_kubernetes(lived: Lived) -> None:
    lived.world.make("Secret", "unnamed", namespace=NAMESPACE, stringData={"it": "x"})
    as_operator = (f"--as={OPERATOR}", f"--namespace={NAMESPACE}")
    refused = lived.world.bed.kubectl("get", "secret", "unnamed", *as_operator)
    assert "Forbidden" in refused.stderr
    listed = lived.world.bed.kubectl("get", "secrets", *as_operator)
    assert "Forbidden" in listed.stderr
    assert lived.world.bed.kubectl("get", "secret", NAMED["secrets"][0], *as_operator).returncode == 0
