"""The user mapping as GitOps changes it: in force within two seconds, and a bad entry harms nobody else."""

import base64
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bed.keys import ssh_key
from bed.operator import NAMESPACE
from tests.api import Json
from tests.mapping import entry
from tests.world import Cluster, Submission, World

IN_FORCE = 2.0
"""Seconds after which a changed mapping holds."""
LAB = "lab"


@pytest.fixture(scope="module", autouse=True)
def _lab(world: World) -> None:
    """A namespace in which everybody of example.org may be named."""
    world.make("Namespace", LAB, annotations={"slurmgate.dev/owners": "*@example.org"})


def inline(user: str, key: str, /, **changes: object) -> Json:
    """An entry in JARVICE's own form."""
    return entry(user, user=user.title(), jarvice_user=user, ssh_private_key_secret=None, ssh_private_key_b64=key, **changes)


def key_of(world: World, user: str) -> bytes:
    return world.bed.slurm.description.users[user].read_bytes()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


class Mapping:
    """A mapping of its own, for a cluster of its own."""

    def __init__(self, world: World, cluster: Cluster, kind: str) -> None:
        self.cluster = cluster
        self._world = world
        self._kind = kind

    def write(self, *entries: Json) -> None:
        """As GitOps does it."""
        self.write_text(self._world.yaml({"users_id_mapping": list(entries)}))

    def write_text(self, text: str) -> None:
        content = {"data" if self._kind == "ConfigMap" else "stringData": {"ssh_mapping.yaml": text}}
        self._world.make(self._kind, self.cluster.name, namespace=NAMESPACE, **content)

    def submit(self, user: str) -> Submission:
        return self.cluster.submit("id -un", user=user, namespace=LAB)

    def problems(self) -> str:
        """What the SlurmCluster says about the mapping, once it finds fault with it."""
        condition = self.cluster.wait_for("MappingValid", "False")
        return str(condition["message"])


@pytest.fixture
def in_config_map(world: World) -> Iterator[Mapping]:
    with world.cluster("by-config-map", identity={"mapping": {"configMap": "by-config-map"}}) as cluster:
        yield Mapping(world, cluster, "ConfigMap")


@pytest.fixture(scope="module")
def in_secret(world: World) -> Iterator[Mapping]:
    world.make("Secret", "by-secret", namespace=NAMESPACE, stringData={"ssh_mapping.yaml": "users_id_mapping: []"})
    with world.cluster("by-secret", identity={"mapping": {"secret": "by-secret"}}) as cluster:
        yield Mapping(world, cluster, "Secret")


def rejected(submission: Submission) -> str:
    """Why the owner is nobody."""
    submission.wait_for_phase("Rejected")
    ready = submission.condition("Ready")
    assert ready["reason"] == "UserNotMapped"
    return str(ready["message"])


# Change --------------------------------------------------------------------------------------------------------------


def test_who_comes_can_submit_and_who_goes_cannot_within_two_seconds(world: World, in_config_map: Mapping) -> None:
    before = world.operator.process.pid
    in_config_map.write(entry("kirby"), entry("mario"))
    in_config_map.submit("mario").wait_for_phase("Done")
    assert "dovahkiin@example.org is not in the user mapping" in rejected(in_config_map.submit("dovahkiin"))

    in_config_map.write(entry("kirby"), entry("dovahkiin"))
    time.sleep(IN_FORCE)

    came, went, stayed = (in_config_map.submit(user) for user in ("dovahkiin", "mario", "kirby"))
    came.wait_for_phase("Done")
    assert came.output() == "dovahkiin\n"
    assert "mario@example.org is not in the user mapping" in rejected(went)
    stayed.wait_for_phase("Done")
    assert world.operator.process.pid == before
    assert world.operator.process.poll() is None


def test_who_is_mapped_to_somebody_else_runs_as_that_one(in_config_map: Mapping) -> None:
    in_config_map.write(
        entry("kirby"), entry("mario", mapped_user="kirby", ssh_private_key_secret=entry("kirby")["ssh_private_key_secret"])
    )

    submission = in_config_map.submit("mario")

    assert submission.wait_for_phase("Done")["user"] == "kirby"
    assert submission.output() == "kirby\n"


def test_letters_of_a_mail_address_may_be_large_or_small(in_config_map: Mapping) -> None:
    in_config_map.write(entry("kirby", mail="Kirby@Example.ORG"))

    submission = in_config_map.cluster.submit(owner="KIRBY@example.org", namespace=LAB)

    submission.wait_for_phase("Done")


def test_the_resolved_user_stays_whatever_becomes_of_the_mapping(world: World, in_config_map: Mapping) -> None:
    """A job is cancelled as the user that it runs as."""
    in_config_map.write(entry("kirby"), entry("mario"))
    submission = in_config_map.cluster.submit("sleep 600", user="mario", namespace=LAB)
    submission.wait_for_state("RUNNING")

    mario_is_kirby = entry("mario", mapped_user="kirby", ssh_private_key_secret=entry("kirby")["ssh_private_key_secret"])
    other_name = entry("mario", mail="luigi@example.org")  # so that mario's key stays known
    in_config_map.write(entry("kirby"), mario_is_kirby, other_name)
    in_config_map.submit("mario").wait_for_phase("Done")

    submission.patch(cancel=True)
    assert submission.wait_for_phase("Cancelled")["user"] == "mario"
    assert [(job["user"], job["state"]) for job in world.jobs_of(submission.token)] == [("mario", "CANCELLED")]


def test_a_missing_mapping_is_waited_for(world: World) -> None:
    with world.cluster("unmapped", identity={"mapping": {"configMap": "unmapped"}}) as cluster:
        mapping = Mapping(world, cluster, "ConfigMap")
        submission = mapping.submit("kirby")
        submission.wait_for_reason("MappingNotLoaded")
        assert mapping.problems() == "ConfigMap unmapped does not exist in the operator's namespace"
        assert [event["reason"] for event in cluster.events()] == ["Unreadable"]

        mapping.write(entry("kirby"))

        submission.wait_for_phase("Done")
        cluster.wait_for("MappingValid", "True")


def test_a_mapping_without_its_key_is_waited_for(world: World, in_config_map: Mapping) -> None:
    world.make("ConfigMap", "by-config-map", namespace=NAMESPACE, data={"mapping.yaml": ""})
    assert "has no key 'ssh_mapping.yaml'" in in_config_map.problems()
    submission = in_config_map.submit("kirby")
    submission.wait_for_reason("MappingNotLoaded")

    in_config_map.write(entry("kirby"))

    submission.wait_for_phase("Done")


def test_a_slip_of_the_pen_locks_nobody_out(in_config_map: Mapping) -> None:
    in_config_map.write(entry("kirby"))
    in_config_map.submit("kirby").wait_for_phase("Done")

    in_config_map.write_text("users_id_mapping:\n  - mail: kirby@example.org\n mapped_user: [kirby\n")

    assert re.search(r"line \d", in_config_map.problems())
    in_config_map.submit("kirby").wait_for_phase("Done")


# Bad entries ---------------------------------------------------------------------------------------------------------


def with_passphrase(folder: Path) -> bytes:
    path = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "swordfish", "-f", path], check=True)
    return path.read_bytes()


BAD = {
    "base64": "ssh_private_key_b64 is not base64: use the output of `base64 -w0 KEYFILE`",
    "nokey": r"ssh_private_key_b64: this is not a private key",
    "passphrase": r"ssh_private_key_b64: the private key has a passphrase: store it without one \(ssh-keygen -p\)",
    "twice": "twice@example.org is written 2 times and none of them is used: keep one of",
    "unknown": "unknown field ssh_private_key_file",
    "root": "mapped_user: root is a system account: jobs belong to people",
    "slurm": "mapped_user: slurm is a system account: jobs belong to people",
    "nobody": "mapped_user is missing",
    "both": "give either ssh_private_key_secret",
    "neither": "give either ssh_private_key_secret",
}


@pytest.fixture(scope="module")
def bad_entries(world: World, in_secret: Mapping, tmp_path_factory: pytest.TempPathFactory) -> Mapping:
    """Every bad entry, and good ones around them."""
    good = b64(key_of(world, "kirby"))
    in_secret.write(
        inline("kirby", good),
        inline("base64", "%%%not-base64%%%", mapped_user="mario"),
        inline("nokey", b64(b"just some text"), mapped_user="mario"),
        inline("passphrase", b64(with_passphrase(tmp_path_factory.mktemp("keys"))), mapped_user="mario"),
        inline("twice", good, mapped_user="mario"),
        inline("twice", good, mapped_user="dovahkiin"),
        inline("unknown", good, mapped_user="mario", ssh_private_key_file="/etc/key"),
        inline("root", good),
        inline("slurm", good),
        inline("nobody", good, mapped_user=None),
        entry("both", mapped_user="mario", ssh_private_key_b64=good),
        entry("neither", mapped_user="mario", ssh_private_key_secret=None),
        inline("mario", b64(key_of(world, "mario"))),
    )
    in_secret.problems()
    return in_secret


@pytest.mark.parametrize("who", BAD)
def test_a_bad_entry_is_named_with_what_to_do(bad_entries: Mapping, who: str) -> None:
    problem = rf"users_id_mapping\[\d+\] \({who}@example.org\), line \d+: .*{BAD[who]}"

    assert re.search(problem, bad_entries.problems())


def test_bad_entries_are_told_in_one_event_without_any_secret(world: World, bad_entries: Mapping) -> None:
    (event,) = bad_entries.cluster.events()

    assert (event["type"], event["reason"]) == ("Warning", "ProblemsFound")
    assert "base64@example.org" in event["message"]
    shown = event["message"] + bad_entries.problems() + world.operator.log.read_text()
    for user in ("kirby", "mario"):
        assert b64(key_of(world, user)) not in shown
    assert "%%%not-base64%%%" not in shown
    assert "just some text" not in shown


def test_bad_entries_harm_nobody_else(bad_entries: Mapping) -> None:
    before, after, root = (bad_entries.submit(user) for user in ("kirby", "mario", "root"))

    before.wait_for_phase("Done")
    after.wait_for_phase("Done")
    assert "cannot be used: users_id_mapping[7]" in rejected(root)
    assert bad_entries.cluster.condition("Ready")["status"] == "True"
    assert bad_entries.cluster.status()["mappedUsers"] == 2


def test_a_mapping_without_faults_is_said_to_be_so(world: World, in_secret: Mapping) -> None:
    in_secret.write(inline("kirby", b64(key_of(world, "kirby"))))

    assert in_secret.cluster.wait_for("MappingValid", "True")["reason"] == "Available"


# Keys ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_keys_in_a_config_map_are_taken_only_where_that_is_allowed(world: World, in_config_map: Mapping) -> None:
    in_config_map.write(inline("kirby", b64(key_of(world, "kirby"))), entry("mario"))
    refusal = rejected(in_config_map.submit("kirby"))
    assert "ssh_private_key_b64 is not accepted from a ConfigMap: put the key into a Secret" in refusal
    world.eventually(in_config_map.problems, lambda problems: bool(problems) and problems in refusal)

    in_config_map.cluster.describe(identity={"mapping": {"configMap": "by-config-map", "allowInlineKeysInConfigMap": True}})
    in_config_map.cluster.wait_for("MappingValid", "True")

    in_config_map.submit("kirby").wait_for_phase("Done")


def test_a_changed_key_is_used_for_the_next_connection(world: World, in_config_map: Mapping, tmp_path: Path) -> None:
    """First the site takes the old key away, then the new one comes into the Secret."""
    secret = {"name": "rotating", "key": "it"}
    world.make("Secret", "rotating", namespace=NAMESPACE, stringData={"it": ssh_key(tmp_path / "old").private.read_text()})
    in_config_map.write(entry("dovahkiin", ssh_private_key_secret=secret))
    submission = in_config_map.submit("dovahkiin")
    submission.wait_for_reason("AuthenticationFailed")

    world.make("Secret", "rotating", namespace=NAMESPACE, stringData={"it": key_of(world, "dovahkiin").decode()})

    submission.wait_for_phase("Done")
    assert submission.news() == ["AuthenticationFailed", "Submitted", "Completed"]
