"""The programs of a bed's own Kubernetes, each to be broken by itself."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError
from bed.processes import launch, recorded, wait_until


@dataclass
class Daemon:
    """kube-apiserver or etcd."""

    bed: Path
    """Folder of the bed."""
    name: str

    def __post_init__(self) -> None:
        pid = self._pid()
        environment = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
        command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        self._folder = Path(f"/proc/{pid}/cwd").readlink()
        self._argv = ["env", "--ignore-environment", f"--chdir={self._folder}", *environment, *command]

    def kill(self) -> None:
        """End it as a crash would."""
        if process := recorded(self.bed / "run", self.name):
            process.end()
            # Its threads may outlive it by a moment, and hold its port.
            wait_until(
                lambda: not process.alive() and not Path(f"/proc/{process.pid}").exists(),
                alive=lambda: True,
                log=self._log,
                what=f"The end of {self.name}",
            )
        for socket in self._folder.glob("*:1"):  # etcd does not take over what it left
            socket.unlink()

    def start(self) -> None:
        """Start it as it was started before; it may take seconds until it answers."""
        if not recorded(self.bed / "run", self.name):
            launch(self.name, self._argv, records=self.bed / "run", log=self._log)

    def freeze(self) -> None:
        """Keep it from doing anything: its port accepts connections, and nobody answers."""
        os.kill(self._pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        os.kill(self._pid(), signal.SIGCONT)

    @property
    def _log(self) -> Path:
        return self.bed / "kubernetes" / "log" / f"{self.name}.log"

    def _pid(self) -> int:
        process = recorded(self.bed / "run", self.name)
        if process is None:
            raise BedError(f"{self.name} of the bed in {self.bed} does not run.")
        return process.pid
