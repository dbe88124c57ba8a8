"""The operator as a Deployment keeps it: whenever it ends, it is started again."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from subprocess import TimeoutExpired

from bed.errors import BedError
from tests.faults.doomed import ANYBODY, Fate
from tests.faults.nursery import Life, Nursery
from tests.faults.soak.history import History

RESTART_SECONDS = 0.3


class Keeper:
    """Keeps one operator; nobody else starts or ends it."""

    def __init__(self, nursery: Nursery, fate: Fate, history: History, traps: Path) -> None:
        self._nursery, self._history, self._traps = nursery, history, traps
        self._fate = replace(fate, gates=traps)
        self._life: Life | None = None
        self._wanted, self._over = threading.Event(), threading.Event()
        self._wanted.set()
        self._thread = threading.Thread(target=self._keep, name="keeper")

    @contextmanager
    def keeping(self) -> Iterator["Keeper"]:
        """There is an operator, but for moments."""
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._wanted.set()
            self.send(signal.SIGKILL)
            self._thread.join()

    @contextmanager
    def away(self, number: signal.Signals) -> Iterator[None]:
        """The operator gets this signal, and none is started meanwhile."""
        self._wanted.clear()
        self.send(number)
        try:
            yield
        finally:
            self._wanted.set()

    def send(self, number: signal.Signals) -> None:
        """It gets this signal, if there is one."""
        with suppress(ProcessLookupError):
            if self._life and self._life.process.is_alive() and self._life.process.pid:
                os.kill(self._life.process.pid, number)

    @contextmanager
    def doomed(self, place: str) -> Iterator[None]:
        """The operator kills itself when the first submission comes to this place (see `doomed`)."""
        trap = self._traps / f"{ANYBODY}.{place}"
        trap.touch()
        try:
            yield
        finally:
            trap.unlink(missing_ok=True)

    def _keep(self) -> None:
        while not self._over.is_set():
            self._wanted.wait()
            # It is told that the dead one's Lease may go; while the API server is away that has to run out by itself.
            with suppress(BedError, TimeoutExpired), self._nursery.life(self._fate) as life:
                self._life = life
                self._history.note("operator", "started")
                if self._over.is_set():
                    life.kill()
                life.process.join()
                self._life = None
                self._history.note("operator", "ended", f"exit code {life.process.exitcode}")
            self._over.wait(RESTART_SECONDS)
