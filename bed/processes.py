"""Processes that outlive the command that started them, remembered in a folder so that another command can end them."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError

_TAIL = 15
_POLL = 0.02
_PATIENCE = 60.0
_ADVICE = "The bed is taken down again; put right what the log complains about and start it once more."
_DEAD = frozenset("ZXx")


@dataclass(frozen=True)
class Process:
    """A process, told apart from a later one with the same number by when it started."""

    pid: int
    started: int
    """In clock ticks after boot, as in /proc."""

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The process `pid` if it lives."""
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # if it is a dead child of ours, nobody else will bury it
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = stat.rpartition(")")[2].split()  # the name, in parentheses, may hold anything
        return None if fields[0] in _DEAD else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        """Whether it still runs."""
        return Process.of(self.pid) == self

    def children(self) -> list[int]:
        """The pids of the processes that its main thread started."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            return []

    def end(self) -> None:
        """Kill it, without good-byes: what it could save goes with the bed. Returns when it is gone."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if not gone(self, _PATIENCE):
            raise BedError(f"Process {self.pid} did not end within {_PATIENCE:.0f} seconds of SIGKILL.")


def launch(name: str, argv: list[str], *, records: Path, log: Path) -> Process:
    """Start a daemon in a session of its own, its output in `log`, and remember it under `name` in `records`."""
    records.mkdir(exist_ok=True)
    output = (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    pid = os.posix_spawnp(
        argv[0],
        argv,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), output, (os.POSIX_SPAWN_DUP2, 1, 2)],
        setsid=True,
    )
    process = Process.of(pid)
    if process is None:
        raise BedError(f"{name} ended at once.{tail(log)}")
    (records / name).write_text(f"{process.pid} {process.started}")
    return process


def recorded(records: Path, name: str) -> Process | None:
    """The process remembered under `name`, if it still runs."""
    try:
        pid, started = (records / name).read_text().split()
    except (FileNotFoundError, ValueError):  # ValueError: its starter was killed before it had written this
        return None
    process = Process(int(pid), int(started))
    return process if process.alive() else None


def gone(process: Process, seconds: float) -> bool:
    """Whether `process` ends within `seconds`."""
    deadline = time.monotonic() + seconds
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def wait_until(ready: Callable[[], bool], *, alive: Callable[[], bool], log: Path, what: str, seconds: float = 180.0) -> None:
    """Return when `ready()`; `BedError` with the end of the log if it takes too long or is no longer `alive()`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not alive():
            raise BedError(f"{what} died while starting. {_ADVICE}{tail(log)}")
        if time.monotonic() > deadline:
            raise BedError(f"{what} was not ready within {seconds:.0f} seconds. {_ADVICE}{tail(log)}")
        time.sleep(_POLL)


def tail(log: Path) -> str:
    """The last lines of a log, to be put behind a message."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-_TAIL:]
    except FileNotFoundError:
        lines = []
    return f" The end of {log.name}:\n" + "\n".join(lines) if lines else f" {log.name} is empty."
