from pathlib import Path

import pytest

from tests.unit.slurm.support import LoginNode


@pytest.fixture(params=["/bin/dash", "/bin/bash"])
def login(request: pytest.FixtureRequest, tmp_path: Path) -> LoginNode:
    return LoginNode.prepare(tmp_path, request.param)
