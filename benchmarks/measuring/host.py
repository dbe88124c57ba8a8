"""Where and of what it is measured, and how fast this machine is just now: figures mean little without it."""

import os
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from bed.life import Bed

_ROUNDS = 5
_STEPS = 1_000_000


def loop_milliseconds() -> float:
    """How long a fixed loop of Python takes, the median of five: longer if the machine is slow, or somebody else's."""
    return statistics.median(_loop() for _ in range(_ROUNDS))


def about(bed: Bed) -> dict[str, str]:
    """On what it is measured, and of what."""
    return {
        "day": f"{datetime.now(UTC).date()}",
        "machine": _described(),
        "Slurmgate": _commit(),
        "Slurm": bed.slurm.description.version,
    }


def _described() -> str:
    """Processor, cores and memory."""
    models = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores of {models[0] if models else os.uname().machine}, {memory:.0f} GiB"


def _commit() -> str:
    """Which Slurmgate this is."""
    told = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False).stdout
    return told.strip() or "of unknown version"


def _loop() -> float:
    began = time.perf_counter()
    number = 0
    for step in range(_STEPS):
        number ^= step
    return (time.perf_counter() - began) * 1000
