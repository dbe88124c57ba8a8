from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bed import life, state, valhalla
from bed.kubernetes import image, node
from bed.life import Bed
from bed.locks import locked
from bed.operator import NAMESPACE
from bed.slurm.options import Options
from tests.e2e.support import World

_ROOT = Path(__file__).parents[2]
_IMAGE = "localhost/bed/slurmgate:e2e"
_NAME = "e2e"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything up, nothing installed yet; kirby is mapped."""
    archive = tmp_path_factory.mktemp("image") / "slurmgate.tar"
    with locked(state.cache() / _NAME, "Waiting for another `make e2e`"):
        _clear()  # what an interrupted run may have left
        try:
            world = _start(archive)
            yield world
        finally:
            _clear()
    wire, cgroups = Path("/sys/class/net", world.node.network.host_end), Path("/sys/fs/cgroup").glob(f"**/{world.node.cgroup}")
    assert not [left for left in (world.node.folder, wire, *cgroups) if left.exists()]


def _start(archive: Path) -> World:
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(image.build_project, _ROOT, _IMAGE, archive)
        kubernetes = node.up(_node_folder())
        # sshd can listen on this end of the wire only once there is a wire.
        slurm = life.up(_NAME, slurm=Options(listen=(kubernetes.host_address,)), kubernetes=False)
        bed = Bed(slurm.description.model_copy(update={"kubernetes": kubernetes.description}))
        valhalla.prepare(bed)
        valhalla.map_users(bed, ["kirby"])
        operator = building.result()
    kubernetes.load(operator)
    return World(kubernetes, bed, operator)


def _clear() -> None:
    life.down(_NAME)
    node.down(_node_folder())


def _node_folder() -> Path:
    return state.folder(f"{_NAME}-node")


@pytest.fixture(scope="session")
def installed(world: World) -> World:
    """The chart installed in a namespace that lets in only what is restricted, its Pod ready."""
    world.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    world.install()
    return world
