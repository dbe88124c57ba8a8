"""What happens to Slurm: its daemons, and what an admin does to jobs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random

from bed.slurm.services import Service
from tests.faults.soak.ground import Ground

Inject = Callable[[Ground, Random], AbstractContextManager[None]]


def killed(*names: str) -> Inject:
    """SIGKILL of one of these; it stays away for a while."""
    return _service(names, Service.kill, Service.start)


def stopped(*names: str) -> Inject:
    """SIGTERM."""
    return _service(names, Service.stop, Service.start)


def frozen(*names: str) -> Inject:
    """SIGSTOP, and after a while SIGCONT."""
    return _service(names, Service.freeze, Service.thaw)


def _service(names: tuple[str, ...], begin: Callable[[Service], None], end: Callable[[Service], None]) -> Inject:
    @contextmanager
    def broken(ground: Ground, chance: Random) -> Iterator[None]:
        service = ground.slurm.service(chance.choice(names))
        begin(service)
        try:
            yield
        finally:
            end(service)

    return broken


def _jobs(ground: Ground, state: str) -> list[str]:
    return ground.admin("squeue", "--noheader", "--format=%A", f"--states={state}").split()


def by_admin(state: str, begin: str, end: str = "") -> Inject:
    """`scontrol BEGIN` for some jobs in this state, and `scontrol END` for the same."""

    @contextmanager
    def done(ground: Ground, chance: Random) -> Iterator[None]:
        jobs = sorted(_jobs(ground, state))
        chosen = chance.sample(jobs, min(len(jobs), chance.randint(1, 4)))
        for job in chosen:
            ground.admin("scontrol", begin, job)
        try:
            yield
        finally:
            for job in chosen if end else ():
                ground.admin("scontrol", end, job)

    return done


@contextmanager
def node_down(ground: Ground, chance: Random) -> Iterator[None]:
    """Its jobs are requeued."""
    node = chance.choice(ground.slurm.description.options.node_names)
    ground.admin("scontrol", "update", f"nodename={node}", "state=down", "reason=soak")
    try:
        yield
    finally:
        ground.admin("scontrol", "update", f"nodename={node}", "state=resume")


@contextmanager
def preempted(ground: Ground, _: Random) -> Iterator[None]:
    """An urgent job wants all nodes for itself."""
    urgent = ["sbatch", "--parsable", "--qos=high", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"]
    job = ground.slurm.inside(urgent, user="kirby").stdout.strip()
    try:
        yield
    finally:
        if job:
            ground.admin("scancel", job)
