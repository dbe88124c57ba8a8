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
