"""The ground: one bed with Slurm, Kubernetes and a crowd of users, and the operator on it, as the chart runs it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bed import valhalla
from bed.life import Bed, down, up
from bed.operator import Installation, Operator, install
from bed.slurm.options import Options
from benchmarks.measuring.processes import Program, process
from slurmgate.resources.base import OWNERS_ANNOTATION
from tests.api import Json
from tests.world import manifest

USERS = 20
TICK_SECONDS = 5
_OPTIONS = Options(private_data="", crowd=USERS, max_sessions=20, extra_conf="MaxJobCount=200000\n")


@dataclass(frozen=True)
class Ground:
    """A bed with the chart applied; the operator runs while somebody needs it."""

    bed: Bed
    installation: Installation

    @property
    def users(self) -> tuple[str, ...]:
        """Who submits."""
        return tuple(name for name in self.bed.slurm.description.users if name.startswith("user"))

    @contextmanager
    def operator(self) -> Iterator["Running"]:
        """A new operator, for so long."""
        operator = self.installation.start()
        try:
            yield Running(self, operator)
        finally:
            operator.stop()

    def submissions(self, count: int, *, users: Sequence[str], label: str) -> list[Json]:
        """So many, of these users in turn. No job of them runs: all are held."""
        return [
            manifest("true", name=f"{label}-{number}", user=users[number % len(users)], suspend=True) for number in range(count)
        ]

    def slurm(self, *argv: str, user: str | None = None, seconds: float = 600) -> str:
        """What a command prints on the login node."""
        done = self.bed.slurm.inside(argv, user=user, timeout=seconds)
        if done.returncode:
            raise RuntimeError(f"{argv}: {done.stderr}")
        return done.stdout

    def jobs(self) -> int:
        """How many jobs wait in Slurm."""
        return len(self.slurm("squeue", "--noheader", "--states=pending", "--format=%A").split())

    def cancel_jobs(self) -> None:
        """End all jobs, as an admin would."""
        self.slurm("scancel", "--state=PENDING", "--quiet")

    @property
    def programs(self) -> Mapping[str, Sequence[Program]]:
        """What everybody uses, by what it is."""
        records, namespace = self.bed.description.folder / "run", self.bed.slurm.namespace
        inside = {name: [Program(namespace.pid(name) or 0, namespace.root / "proc")] for name in ("slurmctld", "sshd")}
        return {
            "kube-apiserver": [process(records, "kube-apiserver")],
            "etcd": [process(records, "etcd")],
            "slurmctld": inside["slurmctld"],
            "login node": inside["sshd"],
        }


@dataclass(frozen=True)
class Running:
    """An operator that runs, and what it has done since it was started."""

    ground: Ground
    operator: Operator

    def commands(self) -> int:
        """Commands that it has run on login nodes."""
        return round(self._metric("slurmgate_ssh_commands_total"))

    def sent(self) -> int:
        """Times that it has asked for an sbatch."""
        return round(self._metric("slurmgate_slurm_calls_total", call="submit"))

    def writes(self) -> int:
        """Writes of submissions that the API server took."""
        ours = ("jobsubmissions", "jobsubmissions/status")
        return round(sum(self._metric("slurmgate_api_writes_total", outcome="ok", resource=each) for each in ours))

    def memory_mib(self) -> tuple[float, float]:
        """Resident now, and at most so far."""
        return Program(self.operator.process.pid).memory_mib()

    @property
    def programs(self) -> Mapping[str, Sequence[Program]]:
        """It, and what everybody uses."""
        return {"Slurmgate": [Program(self.operator.process.pid)], **self.ground.programs}

    def _metric(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        lines = (line for line in self.operator.get("/metrics").splitlines() if line.startswith(f"{name}{{"))
        chosen = (line for line in lines if all(f'{key}="{value}"' in line for key, value in labels.items()))
        return sum(float(line.rpartition(" ")[2]) for line in chosen)


@contextmanager
def ground(name: str) -> Iterator[Ground]:
    """A ground with nothing on it; it goes afterwards."""
    try:
        bed = up(name, slurm=_OPTIONS)
        users = [user for user in bed.slurm.description.users if user.startswith("user")]
        valhalla.prepare(bed, users=users)
        values = valhalla.values(bed, limits={"pollIntervalSeconds": TICK_SECONDS, "idlePollIntervalSeconds": TICK_SECONDS})
        installation = install(bed, values)
        everybody = f"{OWNERS_ANNOTATION}=*@{valhalla.MAIL_DOMAIN}"
        bed.kubectl("annotate", "namespace", valhalla.RESEARCH, everybody, "--overwrite")
        yield Ground(bed, installation)
    finally:
        down(name)
