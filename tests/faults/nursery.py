"""Operators by the dozen: each a process forked from one that has imported everything already."""

import multiprocessing
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

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
    log: Path
    port: int

    @property
    def leads(self) -> bool:
        """What its metrics say."""
        return "\nslurmgate_leader 1.0\n" in self.get("/metrics")

    @property
    def ready(self) -> bool:
        """What /readyz says."""
        return bool(self.get("/readyz"))

    def get(self, path: str) -> str:
        """The answer of its HTTP server; empty if there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.pid
        os.kill(self.process.pid, number)

    def await_end(self) -> int | None:
        """Its exit code, once it has ended by itself."""
        self.process.join(PATIENCE_SECONDS)
        return self.process.exitcode

    def ends_within(self, seconds: float) -> bool:
        """Whether it does."""
        self.process.join(seconds)
        return self.process.exitcode is not None

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
        return self.await_end()


@dataclass(frozen=True)
class Nursery:
    """Starts operators of an installation, never two at a time: another one is a replica of that, with a nursery of its own."""

    installation: Installation
    context: ForkServerContext = field(default_factory=_context)

    @contextmanager
    def life(self, fate: Fate | None = None) -> Iterator[Life]:
        """An operator, killed at the end if it lives then."""
        environment = dict(self.installation.environment)
        log = self.installation.bed.description.folder / self.installation.log_name
        process = self.context.Process(target=live, args=(fate or Fate(), environment, log))
        process.start()
        life = Life(process, log, int(environment["SLURMGATE_HTTP_PORT"]))
        try:
            yield life
        finally:
            life.kill()
            process.close()
            self.installation.bury()


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
