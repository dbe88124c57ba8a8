"""Login nodes that are not what they say, or that somebody evil runs."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from typing_extensions import override

from tests.api import Json
from tests.security import login_node as evil
from tests.security.attempt import Attempt, Ground
from tests.security.login_node import LoginNode, login_node
from tests.security.mutants import BOTTOMLESS, NAIVE
from tests.world import Cluster

Look = Callable[[Ground, LoginNode], bool]


@dataclass(frozen=True)
class Luring(Attempt):
    """A SlurmCluster whose login node is an evil one."""

    node: Callable[[], AbstractContextManager[LoginNode]] = evil.garbage
    knows: Callable[[Ground, LoginNode], str] = lambda ground, node: f"[{evil.ADDRESS}]:{node.port} {node.public}\n"
    loot: Look = lambda ground, node: bool(node.logins)
    status: str = "False"
    """Of the conditions that say it."""

    def cluster(self, ground: Ground) -> Cluster:
        """What leads there."""
        return Cluster(ground.world, f"{self.slug[:40].strip('-')}-{ground.round}")

    @override
    def set_out(self, ground: Ground) -> None:
        stack = ExitStack()
        node = stack.enter_context(self.node())
        ground.made[self.slug] = (stack, node)
        ssh: Json = {
            "hosts": [{"host": evil.ADDRESS, "port": node.port}],
            "knownHosts": {"inline": self.knows(ground, node)},
        }
        self.cluster(ground).describe(ssh=ssh, limits={"pollIntervalSeconds": 1, "commandTimeoutSeconds": 5})

    @override
    def refusal(self, ground: Ground) -> str:
        return ground.world.eventually(lambda: self._told(ground), lambda told: re.search(self.words, told) is not None)

    def _told(self, ground: Ground) -> str:
        """What the cluster's conditions say, and what its login node was told."""
        _, node = ground.made[self.slug]
        conditions = self.cluster(ground).status().get("conditions", [])
        told = [f"{each['reason']}: {each['message']}" for each in conditions if each["status"] == self.status]
        return "\n".join([*told, *node.refusals])

    @override
    def got_in(self, ground: Ground) -> bool:
        return self.loot(ground, ground.made[self.slug][1])

    @override
    def clean_up(self, ground: Ground) -> None:
        ground.world.kubectl("delete", "slurmcluster", self.cluster(ground).name, "--ignore-not-found")
        if self.slug in ground.made:
            ground.made[self.slug][0].close()


@dataclass(frozen=True)
class Flooding(Luring):
    """It answers with more than anybody can keep."""

    @override
    def got_in(self, ground: Ground) -> bool:
        _, node = ground.made[self.slug]
        # what still comes after it was stopped is not kept
        return listened(ground, node) and re.search(STOPPED, self._told(ground)) is None


def the_true_one(ground: Ground, node: LoginNode) -> str:
    """The host key of the cluster that it passes itself off as."""
    known: str = ground.world.login_nodes(node.port)["knownHosts"]["inline"]
    return known


def another(ground: Ground, node: LoginNode) -> str:
    """Its key is known, as that of another host; and one of the same name at another port."""
    return f"{the_true_one(ground, node)}login.elsewhere.example.org,[{evil.ADDRESS}]:{node.port + 1} {node.public}\n"


def revoked(ground: Ground, node: LoginNode) -> str:
    """Its key was stolen, and is revoked."""
    known = f"[{evil.ADDRESS}]:{node.port} {node.public}\n"
    return f"{the_true_one(ground, node)}{known}@revoked {known}"


def listened(_: Ground, node: LoginNode) -> bool:
    """It was listened to for many megabytes."""
    return node.sent > 8 * evil.MEGABYTE


def says_nothing(ground: Ground, _: LoginNode) -> bool:
    """What is known of the cluster is more than the API server takes, so nothing is to be seen of it."""
    refused = re.compile(rf"the status of SlurmCluster [^ ]+-{ground.round} is written again")
    return refused.search(ground.world.operator.log.read_text()) is not None


STOPPED = "stopped after [0-9]+ bytes"
MISMATCH = "HostKeyMismatch: .*presented SHA256:.*expected SHA256:"

ATTEMPTS = (
    Luring(
        "a login node that passes itself off as another",
        NAIVE,
        MISMATCH,
        lambda: login_node(evil.endless),
        the_true_one,
    ),
    Luring(
        "a login node with the key of another host",
        NAIVE,
        MISMATCH,
        lambda: login_node(evil.endless),
        another,
    ),
    Luring(
        "a login node with a revoked key",
        NAIVE,
        "HostKeyMismatch: .*revoked",
        lambda: login_node(evil.endless),
        revoked,
    ),
    Luring("a login node that does not speak ssh", NAIVE, "ClusterUnreachable: ", evil.garbage, loot=listened),
    Flooding("a login node that never stops", NAIVE, STOPPED, lambda: login_node(evil.endless)),
    Flooding("a login node that never stops complaining", NAIVE, STOPPED, lambda: login_node(evil.endless_complaints)),
    Luring(
        "a login node that asks for an agent",
        NAIVE,
        "agent forwarding disabled",
        lambda: login_node(evil.wants_agent),
        loot=lambda ground, node: bool(node.agents),
    ),
    Luring(
        "a login node with too many partitions",
        BOTTOMLESS,
        "Available: Slurm 9",
        lambda: login_node(evil.boastful),
        loot=says_nothing,
        status="True",
    ),
)
