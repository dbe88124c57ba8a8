"""SlurmClusters whose login nodes are proxies before the bed's sshd."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.faults.proxy import Proxy
from tests.world import World


@contextmanager
def proxied(world: World, *names: str, nodes: int = 1, **spec: Any) -> Iterator[list[Proxy]]:
    """SlurmClusters of these names, ready, each with so many login nodes of its own; `spec` replaces parts of what they say."""
    slurm = world.bed.slurm.description
    with ExitStack() as stack:
        proxies, clusters = [], []
        for name in names:
            own = [stack.enter_context(Proxy((slurm.host, slurm.port)).relaying()) for _ in range(nodes)]
            ssh = world.login_nodes(*(proxy.port for proxy in own))
            clusters.append(stack.enter_context(world.cluster(name, ssh=ssh, **spec)))
            proxies += own
        for cluster in clusters:
            cluster.wait_for("Ready", "True")
        yield proxies
