"""The namespaces in which a cluster lives: its own processes, host name, users, `/etc`, `/home`, `/run` and `/tmp`.

The network is the machine's: whoever wants to reach the cluster's sshd needs nothing special.
"""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bed.errors import BedError
from bed.processes import Process, gone, launch, recorded, wait_until

HOSTNAME = "valhalla"
_RECORD = "slurm"
_SCRIPT = Path(__file__).with_name("inside.sh")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}
# Arguments: name, command.
_DAEMON = """
umask 022
setsid "$@" >>"/run/bed/log/$0.log" 2>&1 </dev/null &
echo $! >"/run/bed/run/$0"
"""


@dataclass(frozen=True)
class Namespace:
    """The inside of a cluster, to be reached by its PID 1."""

    folder: Path
    """What is `/run/bed` inside."""
    init: int
    """PID 1, as the machine numbers it."""

    @property
    def root(self) -> Path:
        """The root folder as seen inside."""
        return Path(f"/proc/{self.init}/root")

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        stdin: str | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root or as a user in that user's home."""
        as_user: list[str] = []
        if user is not None:
            as_user = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--reset-env"]
            as_user += ["env", f"--chdir=/home/{user}"]
        return subprocess.run(
            [*self._enter(), *as_user, *argv],
            env=_ENVIRONMENT,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # a comment of a job may be anything
            timeout=timeout,
            check=False,
        )

    def spawn(self, name: str, argv: Sequence[str]) -> None:
        """Start a daemon inside as a child of PID 1, its output in `log/NAME.log`, its pid in `run/NAME`."""
        command = [*self._enter(), "bash", "-c", _DAEMON, name, *argv]
        subprocess.run(command, env=_ENVIRONMENT, stdin=subprocess.DEVNULL, check=True)

    def pid(self, name: str) -> int | None:
        """The pid, as numbered inside, of the daemon `name` if it lives."""
        try:
            pid = int((self.folder / "run" / name).read_text())
            state = (self.root / "proc" / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if state == "Z" else pid

    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self.init}", "--mount", "--uts", "--pid", "--wdns=/", "--"]


def enter(bed: Path) -> Namespace:
    """The namespace of the cluster that runs in the folder `bed`."""
    unshare = recorded(bed / "run", _RECORD)
    children = unshare.children() if unshare else []
    if not children:
        raise BedError(f"The bed in {bed} has no Slurm that runs.")
    return Namespace(bed / "slurm", children[0])


def alive(bed: Path) -> bool:
    """Whether there is a cluster in the folder `bed`."""
    return recorded(bed / "run", _RECORD) is not None


def create(bed: Path) -> Namespace:
    """Make the namespaces around the prepared folder `bed`/slurm."""
    folder = bed / "slurm"
    log = folder / "log" / "inside.log"
    argv = ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    process = launch(_RECORD, [*argv, str(_SCRIPT), str(folder), HOSTNAME], records=bed / "run", log=log)
    wait_until((folder / "run" / "inside").exists, alive=process.alive, log=log, what="The cluster's namespace")
    return enter(bed)


def destroy(bed: Path) -> None:
    """End every process of the cluster, however far it came: the kernel does that when PID 1 is killed."""
    unshare: Process | None = recorded(bed / "run", _RECORD)
    if unshare is None:
        return
    for init in unshare.children():
        with suppress(ProcessLookupError):
            os.kill(init, signal.SIGKILL)
    if not gone(unshare, 5):  # it had not made its PID 1 yet
        unshare.end()
