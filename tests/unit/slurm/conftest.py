from pathlib import Path

import pytest

from tests.unit.slurm.support import LoginNode


@pytest.fixture
def shell() -> str:
    """What runs the programs; modules about them override it with several."""
    return "/bin/sh"


@pytest.fixture
def login(shell: str, tmp_path: Path) -> LoginNode:
    return LoginNode.prepare(tmp_path, shell)
