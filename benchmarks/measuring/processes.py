"""What processes use, by the kernel's records: CPU time and memory."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError
from bed.processes import recorded

_TICKS = os.sysconf("SC_CLK_TCK")
_HOST = Path("/proc")
_MEMORY = re.compile(r"Vm(RSS|HWM):\s+(\d+) kB")


@dataclass(frozen=True)
class Program:
    """A process with all that has come of it."""

    pid: int
    proc: Path = _HOST
    """Where it has this number."""

    def cpu_seconds(self) -> float:
        """What it has used, with its children and theirs, those that have ended and been waited for included."""
        return sum(_ticks(self.proc / str(pid)) for pid in self._family(self.pid)) / _TICKS

    def memory_mib(self) -> tuple[float, float]:
        """Resident now, and at most so far."""
        found = {name: int(size) / 1024 for name, size in _MEMORY.findall(_text(self.proc / str(self.pid) / "status"))}
        return found["RSS"], found["HWM"]

    def _family(self, pid: int) -> Iterator[int]:
        yield pid
        for children in self.proc.glob(f"{pid}/task/*/children"):
            for child in _text(children).split():
                yield from self._family(int(child))


def process(records: Path, name: str) -> Program:
    """A process that the bed remembers."""
    found = recorded(records, name)
    if found is None:
        raise BedError(f"{name} does not run.")
    return Program(found.pid)


def cpu_seconds(programs: Mapping[str, Sequence[Program]]) -> dict[str, float]:
    """What each of these groups has used up to now."""
    return {name: sum(program.cpu_seconds() for program in group) for name, group in programs.items()}


def _ticks(process: Path) -> int:
    """utime, stime, cutime and cstime (proc_pid_stat(5))."""
    fields = _text(process / "stat").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return ""
