from pathlib import Path

import pytest

from slurmgate.slurm import lookup
from tests.unit.slurm.support import LoginNode


@pytest.fixture(autouse=True)
def _quick_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "LOOK_AGAIN_SECONDS", 0)


@pytest.fixture
def shell() -> str:
    """What runs the programs; modules about them override it with several."""
    return "/bin/sh"


@pytest.fixture
def login(shell: str, tmp_path: Path) -> LoginNode:
    return LoginNode.prepare(tmp_path, shell)
