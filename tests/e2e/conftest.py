import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bed import life, state
from bed.kubernetes import image, node
from bed.slurm.options import Options
from tests.e2e.support import CHART, World

_ROOT = Path(__file__).parents[2]
_IMAGE = "localhost/bed/slurmgate:e2e"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything up, nothing installed yet."""
    name = f"e2e-{os.getpid()}"
    nodes = state.folder(f"{name}-node")
    archive = tmp_path_factory.mktemp("image") / "slurmgate.tar"
    try:
        with ThreadPoolExecutor(1) as pool:
            built = pool.submit(image.build_project, _ROOT, _IMAGE, archive)
            kubernetes = node.up(nodes)
            # sshd can listen on this end of the wire only once there is a wire.
            slurm = life.up(name, slurm=Options(listen=("127.0.0.1", kubernetes.host_address)), kubernetes=False)
            operator = built.result()
        kubernetes.load(operator)
        world = World(kubernetes, slurm.slurm, operator)
        world.prepare_namespaces()
        yield world
    finally:
        life.down(name)
        node.down(nodes)
    cgroups, wire = Path("/sys/fs/cgroup").glob(f"**/{kubernetes.cgroup}"), Path("/sys/class/net", kubernetes.network.host_end)
    assert not [left for left in (nodes, wire, *cgroups) if left.exists()]


@pytest.fixture(scope="session")
def installed(world: World) -> World:
    """The chart installed, its Pod ready."""
    world.helm("install", "slurmgate", str(CHART), "--wait", "--timeout=120s", values=world.values())
    return world
