"""Folders in which a flush costs nothing, for databases that nobody needs after the machine's next start."""

import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108  # nothing is put there but folders of mkdtemp's
_ENOUGH = 1 << 30


def folder() -> Path:
    """A new one, for its maker's eyes only: in memory if there is enough."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH
    return Path(tempfile.mkdtemp(prefix="slurmgate-bed-", dir=_MEMORY if roomy else None))
