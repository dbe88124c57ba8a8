"""The programs of a bed's Jobbergate, each to be started, stopped and broken by itself."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from bed.processes import Process, launch, recorded, wait_until

_PATIENCE = 30.0


@dataclass(frozen=True)
class Service:
    """One program. What it is told takes effect before the method returns."""

    name: str
    folder: Path
    """Of all of Jobbergate."""
    argv: Sequence[str]
    ready: Callable[[], bool]
    stop_with: Signals = Signals.SIGTERM
    kill_with: Signals = Signals.SIGKILL

    @property
    def log(self) -> Path:
        """What it printed, over all its lives."""
        return self.folder / "log" / f"{self.name}.log"

    def running(self) -> bool:
        """Whether it lives, frozen or not."""
        return self._process() is not None

    def launch(self) -> None:
        """Start it without waiting until it can be used."""
        if not self.running():
            launch(self.name, list(self.argv), records=self.folder / "run", log=self.log)

    def wait(self) -> None:
        """Return when it can be used."""
        wait_until(self.ready, alive=self.running, log=self.log, what=self.name)

    def start(self) -> None:
        """Start it, if it does not run, and wait until it can be used."""
        self.launch()
        self.wait()

    def stop(self) -> None:
        """End it in good order."""
        self._end(self.stop_with)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(self.kill_with)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Keep it from doing anything: its port accepts connections, and nobody answers."""
        self._signal(Signals.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(Signals.SIGCONT)

    def _end(self, signal: Signals) -> None:
        if process := self._process():
            self._signal(signal)
            self.thaw()  # a frozen process does not notice that it has been told to end
            # Its threads may outlive it by a moment, and hold its port.
            wait_until(
                lambda: not process.alive() and not Path(f"/proc/{process.pid}").exists(),
                alive=lambda: True,
                log=self.log,
                what=f"The end of {self.name}",
                seconds=_PATIENCE,
            )

    def _signal(self, signal: Signals) -> None:
        if process := self._process():
            # PostgreSQL has a process for each connection: they stand still with it, and end with it by themselves.
            still = process.children() if signal in {Signals.SIGSTOP, Signals.SIGCONT} else []
            for pid in (process.pid, *still):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal)

    def _process(self) -> Process | None:
        return recorded(self.folder / "run", self.name)
