import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bed import life, state, valhalla
from bed.kubernetes import image, node
from bed.life import Bed
from bed.operator import NAMESPACE
from bed.slurm.options import Options
from tests.e2e.support import World

_ROOT = Path(__file__).parents[2]
_IMAGE = "localhost/bed/slurmgate:e2e"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything up, nothing installed yet; kirby is mapped."""
    name = f"e2e-{os.getpid()}"
    nodes = state.folder(f"{name}-node")
    archive = tmp_path_factory.mktemp("image") / "slurmgate.tar"
    try:
        with ThreadPoolExecutor(1) as pool:
            built = pool.submit(image.build_project, _ROOT, _IMAGE, archive)
            kubernetes = node.up(nodes)
            # sshd can listen on this end of the wire only once there is a wire.
            slurm = life.up(name, slurm=Options(listen=(kubernetes.host_address,)), kubernetes=False)
            bed = Bed(slurm.description.model_copy(update={"kubernetes": kubernetes.description}))
            valhalla.prepare(bed, users=["kirby"])
            kubernetes.load(built.result())
        yield World(kubernetes, bed, built.result())
    finally:
        life.down(name)
        node.down(nodes)
    wire, cgroups = Path("/sys/class/net", kubernetes.network.host_end), Path("/sys/fs/cgroup").glob(f"**/{kubernetes.cgroup}")
    assert not [left for left in (nodes, wire, *cgroups) if left.exists()]


@pytest.fixture(scope="session")
def installed(world: World) -> World:
    """The chart installed in a namespace that lets in only what is restricted, its Pod ready."""
    world.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    world.install()
    return world
