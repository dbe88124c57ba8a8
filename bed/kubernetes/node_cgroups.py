"""The control groups in which a node's Pods run: one of the machine's own children, on cgroup version 1 or 2."""

import time
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd")
_PATIENCE = 5.0
_POLL = 0.05


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
    # runc makes it in every hierarchy there is, also in those that nobody asked for.
    for group in [_ROOT / name, *_ROOT.glob(f"*/{name}")]:
        while group.exists() and time.monotonic() < deadline:
            folders = [folder for folder in group.rglob("*") if folder.is_dir()]
            for folder in [*sorted(folders, reverse=True), group]:  # deepest first; the files in a group go with it
                with suppress(OSError):
                    folder.rmdir()
            time.sleep(_POLL)


def _hierarchies() -> list[Path]:
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [_ROOT / controller for controller in _V1_CONTROLLERS if (_ROOT / controller).is_dir()]
