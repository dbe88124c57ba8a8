import pytest

from bed.kubernetes.binaries import binaries
from tests.chart.support import Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm(binaries(["helm"]) / "helm")
