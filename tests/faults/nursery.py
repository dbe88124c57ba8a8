"""Operators by the dozen: each a process forked from one that has imported everything already."""

import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess

from bed.operator import Installation
from tests.faults.doomed import Fate, live
from tests.world import World

PATIENCE_SECONDS = 90.0


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["slurmgate.__main__"])
    return context


@dataclass(frozen=True)
class Life:
    """One operator."""

    process: ForkServerProcess

    def await_doom(self) -> None:
        """It has killed itself."""
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode == -signal.SIGKILL, f"not dead: {self.process.exitcode}"

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.join()

    def stop(self) -> int | None:
        """SIGTERM; its exit code."""
        self.process.terminate()
        self.process.join(PATIENCE_SECONDS)
        return self.process.exitcode


@dataclass(frozen=True)
class Nursery:
    """Starts operators of an installation, never two at a time."""

    installation: Installation
    context: ForkServerContext = field(default_factory=_context)

    @contextmanager
    def life(self, fate: Fate | None = None) -> Iterator[Life]:
        """An operator, killed at the end if it lives then."""
        log = self.installation.bed.description.folder / "operator.log"
        process = self.context.Process(target=live, args=(fate or Fate(), dict(self.installation.environment), log))
        process.start()
        life = Life(process)
        try:
            yield life
        finally:
            life.kill()
            process.close()


@contextmanager
def resting(world: World) -> Iterator[float]:
    """Between two lives of the world's own operator; how many seconds the first one took to end, as it should, on SIGTERM."""
    began = time.monotonic()
    code = world.operator.stop()
    seconds = time.monotonic() - began
    try:
        assert code == 0, world.log_end()
        yield seconds
    finally:
        world.operator.process = world.installation.start().process
