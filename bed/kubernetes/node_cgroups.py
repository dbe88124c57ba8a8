"""The control groups in which a node's Pods run: one of the machine's own children, on cgroup version 1 or 2."""

import time
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd")
_PATIENCE = 5.0


def make(name: str) -> None:
    """Make the group, which kubelet wants to find."""
    for parent in _hierarchies():
        group = parent / name
        group.mkdir(exist_ok=True)
        if parent.name == "cpuset":  # version 1 gives a new group no CPUs and no memory
            for value in ("cpuset.cpus", "cpuset.mems"):
                (group / value).write_text((parent / value).read_text())


def remove(name: str) -> None:
    """Remove the group and all below. A group becomes empty a moment after its last process has ended."""
    deadline = time.monotonic() + _PATIENCE
    for parent in _hierarchies():
        while (parent / name).exists() and time.monotonic() < deadline:
            # Deepest first; the files in a group go with it.
            folders = [folder for folder in (parent / name).rglob("*") if folder.is_dir()]
            for folder in [*sorted(folders, reverse=True), parent / name]:
                with suppress(OSError):
                    folder.rmdir()
            time.sleep(0.05)


def _hierarchies() -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [_ROOT / controller for controller in _V1_CONTROLLERS if (_ROOT / controller).is_dir()]
