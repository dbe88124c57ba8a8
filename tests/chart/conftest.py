import pytest

from bed.kubernetes.binaries import binaries
from tests.chart.support import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(binaries(["helm"]) / "helm", tmp_path_factory.mktemp("home"))
