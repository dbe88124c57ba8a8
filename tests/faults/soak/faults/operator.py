"""What happens to the operator's process."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from tests.faults.soak.ground import Ground


@contextmanager
def killed(ground: Ground, _: Random) -> Iterator[None]:
    """SIGKILL; it stays away for a while."""
    with ground.keeper.away(signal.SIGKILL):
        yield


STEPS = (
    *("admission", "finalizer", "user", "stage", "submit", "find", "squeue", "sacct", "job id", "status", "something"),
    *("object", "script", "wish", "submitted", "news", "end"),
)
"""What may be under way when it dies; see `tests/faults/doomed.py`."""


@contextmanager
def killed_at_a_step(ground: Ground, chance: Random) -> Iterator[None]:
    """SIGKILL by its own hand, just before or after a step of some submission; it is started again at once."""
    with ground.keeper.doomed(f"{chance.choice(('before', 'after'))} {chance.choice(STEPS)}"):
        yield


@contextmanager
def told_to_stop(ground: Ground, _: Random) -> Iterator[None]:
    """SIGTERM."""
    with ground.keeper.away(signal.SIGTERM):
        yield


@contextmanager
def frozen(ground: Ground, _: Random) -> Iterator[None]:
    """SIGSTOP, and after a while SIGCONT."""
    ground.keeper.send(signal.SIGSTOP)
    try:
        yield
    finally:
        ground.keeper.send(signal.SIGCONT)
