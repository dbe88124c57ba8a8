"""An sbatch on the login node that can be held, job by job, before and after it has spoken with slurmctld."""

import time
from dataclasses import dataclass
from pathlib import Path

from bed import valhalla
from bed.life import Bed
from tests.api import Json

_INSIDE = "/tmp/gates"
_PROGRAM = f"""#!/bin/sh
for word in "$@"; do
    case $word in --job-name=*) name={_INSIDE}/${{word#*=}} ;; esac
done
pass() {{
    [ ! -e "$name.$1" ] || echo $$ >"$name.$1.reached"
    while [ -e "$name.$1" ]; do sleep 0.05; done
}}
pass before
answer=$(SLURM_CONF={_INSIDE}/slurm.conf /usr/bin/sbatch "$@")
status=$?
pass after
[ -z "$answer" ] || printf '%s\\n' "$answer"
exit "$status"
"""
_MESSAGE_TIMEOUT = "MessageTimeout=3\n"
"""sbatch gives up sooner than in the bed at large."""


@dataclass(frozen=True)
class Gates:
    """The gates of all jobs; they are open unless closed."""

    folder: Path

    @classmethod
    def make(cls, bed: Bed) -> "Gates":
        """Put the sbatch in its place."""
        slurm = bed.slurm.description.folder
        folder = slurm / _INSIDE[1:]
        folder.mkdir(exist_ok=True)
        folder.chmod(0o1777)
        conf = (slurm / "etc" / "slurm" / "slurm.conf").read_text().splitlines(keepends=True)
        (folder / "slurm.conf").write_text("".join(line for line in conf if not line.startswith("MessageT")) + _MESSAGE_TIMEOUT)
        (folder / "sbatch").write_text(_PROGRAM)
        (folder / "sbatch").chmod(0o755)
        return cls(folder)

    @staticmethod
    def commands(bed: Bed) -> Json:
        """spec.commands of a SlurmCluster whose sbatch has gates."""
        return {**valhalla.cluster_spec(bed)["commands"], "sbatch": f"{_INSIDE}/sbatch"}

    def close(self, name: str, place: str) -> None:
        """Hold the sbatch of the job `name` there: `before` or `after`."""
        (self.folder / f"{name}.{place}").touch()

    def open(self, name: str, place: str) -> None:
        """Let it go on."""
        (self.folder / f"{name}.{place}").unlink()

    def await_arrival(self, name: str, place: str, *, seconds: float = 60) -> None:
        """Return when the sbatch of that job is held there."""
        deadline = time.monotonic() + seconds
        while not (self.folder / f"{name}.{place}.reached").exists():
            assert time.monotonic() < deadline, f"the sbatch of {name} did not come to the gate"
            time.sleep(0.05)

    def kill(self, bed: Bed, name: str, place: str, *, ancestors: int = 0) -> None:
        """`kill -9` the sbatch that is held there, and so many processes above it, all at once.

        Above it are: its time limit, our program, and the time limit of that.
        """
        pids = [(self.folder / f"{name}.{place}.reached").read_text().strip()]
        for _ in range(ancestors):
            pids.append(_inside(bed, "ps", "-o", "ppid=", "-p", pids[-1]).strip())
        _inside(bed, "bash", "-c", 'kill -9 "$@"', "kill", *pids)


def _inside(bed: Bed, *command: str) -> str:
    done = bed.slurm.inside(command)
    assert done.returncode == 0, done.stderr
    return done.stdout
