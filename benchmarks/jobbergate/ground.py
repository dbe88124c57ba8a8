"""The ground on which all compete: one bed with Slurm, Kubernetes and Jobbergate's API, its rows and its jobs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from bed import valhalla
from bed.errors import BedError
from bed.jobbergate.person import Person
from bed.life import Bed, down, up
from bed.slurm.options import Options
from benchmarks.measuring.processes import Program, process

USER = "kirby"
_OPTIONS = Options(private_data="")
_TOKEN_SECONDS = 3600
"""Longer than anything here, for the floor asks for one token only."""
_POLL_SECONDS = 0.5
_LONGEST_SECONDS = 600.0
# Nothing is to run here: a job waits until tomorrow, or is held.
_ARGUMENT = "--begin=now+1day"
_HOLD = "for _ in $(seq {count}); do sbatch --parsable --hold --output=/dev/null --wrap=true; done"
_ROW = (
    "job_script_id, execution_directory, client_id, owner_email, description, is_archived, created_at, updated_at, "
    "name, status, sbatch_arguments, slurm_job_id, slurm_job_state, slurm_job_info"
)


@dataclass(frozen=True)
class Ground:
    """A bed and what lies on it."""

    bed: Bed

    # Jobbergate's rows -----------------------------------------------------------------------------------------------

    @cached_property
    def _values(self) -> str:
        """What all rows have in common. They are made of one script, as people's are who vary only the arguments."""
        script = Person(self.bed.jobbergate, self._owner).script()
        client = self.bed.jobbergate.description.client_id
        return f"{script}, '/home/{USER}', '{client}', '{self._owner}', '', false"

    @property
    def _owner(self) -> str:
        return f"{USER}@{valhalla.MAIL_DOMAIN}"

    def ask(self, count: int, *, over_seconds: float = 0) -> None:
        """Have somebody submit so many jobs: all at once, or one after the other over some time."""
        row = f"'asked', 'CREATED', array['{_ARGUMENT}'], null::int, null, null"
        if over_seconds:
            self._sql(f"{self._insertion(row)} select pg_sleep({over_seconds / count});\n" * count)
        else:
            self._sql(self._insertion(f"{row} from generate_series(1, {count})"))

    def hold(self, count: int) -> None:
        """Have so many jobs wait in Slurm that Jobbergate knows of: people have submitted one a minute on the cluster."""
        done = self.bed.slurm.inside(["sh", "-c", _HOLD.format(count=count)], user=USER, timeout=_LONGEST_SECONDS)
        if done.returncode:
            raise BedError(f"sbatch: {done.stderr}")
        jobs = ", ".join(done.stdout.split())
        row = "'active', 'SUBMITTED', null::varchar[], id, 'PENDING', '{}'"
        self._sql(self._insertion(f"{row} from unnest(array[{jobs}]) with ordinality job(id, minutes)", minutes="minutes"))

    def cancel_jobs(self) -> None:
        """Have Slurm end all jobs that wait, as an admin would."""
        self.bed.slurm.inside(["scancel", f"--user={USER}", "--state=PENDING", "--quiet"], timeout=_LONGEST_SECONDS)

    def clear(self) -> None:
        """No rows, and no jobs that have not ended."""
        self._sql("truncate job_submissions, job_progresses, job_submission_metrics cascade;")
        self.cancel_jobs()

    def count(self, status: str, name: str) -> int:
        """How many submissions have this status: those `asked` for, or those `active` from the beginning."""
        return int(self._sql(f"select count(*) from job_submissions where status = '{status}' and name = '{name}';"))

    def submitted_after(self) -> list[float]:
        """Seconds from creation to the first news of Slurm, of each submission that was asked for."""
        return self._seconds("min(p.timestamp) - s.created_at", "s.name = 'asked'")

    def ended_after(self, moment: float) -> list[float]:
        """Seconds from a moment (since 1970) to the end, of each that was active."""
        ends = "s.name = 'active' and p.slurm_job_state = 'CANCELLED'"
        return self._seconds(f"min(p.timestamp) - to_timestamp({moment})", ends)

    def _seconds(self, difference: str, which: str) -> list[float]:
        joined = "job_submissions s join job_progresses p on p.job_submission_id = s.id"
        rows = self._sql(f"select extract(epoch from {difference}) from {joined} where {which} group by s.id;")
        return sorted(float(row) for row in rows.split())

    def _insertion(self, values: str, *, minutes: str = "0") -> str:
        """So many minutes ago."""
        then = f"clock_timestamp() - {minutes} * interval '1 minute'"
        return f"insert into job_submissions ({_ROW}) select {self._values}, {then}, {then}, {values};"

    def _sql(self, statements: str) -> str:
        return self.bed.jobbergate.sql(statements)

    # Waiting and watching --------------------------------------------------------------------------------------------

    def wait(self, ready: Callable[[], bool], what: str, *, every: float = _POLL_SECONDS) -> None:
        """Return when it is so; BedError if that takes ten minutes."""
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                raise BedError(f"{what}: not within {_LONGEST_SECONDS:.0f} s.")
            time.sleep(every)

    @property
    def programs(self) -> Mapping[str, Sequence[Program]]:
        """What everybody uses, by what it is."""
        return {
            "API": [self._service("api"), self._service("s3")],
            "PostgreSQL": [self._service("postgres")],
            "slurmctld": [self.daemon("slurmctld")],
        }

    def _service(self, name: str) -> Program:
        return process(self.bed.jobbergate.service(name).folder / "run", name)

    def daemon(self, name: str) -> Program:
        """A process inside the cluster."""
        namespace = self.bed.slurm.namespace
        pid = namespace.pid(name)
        if pid is None:
            raise BedError(f"{name} does not run.")
        return Program(pid, namespace.root / "proc")


@contextmanager
def ground(name: str) -> Iterator[Ground]:
    """A ground with nothing on it; it goes afterwards."""
    try:
        bed = up(name, slurm=_OPTIONS, jobbergate=True)
        bed.jobbergate.realm.change(token_seconds=_TOKEN_SECONDS)
        yield Ground(bed)
    finally:
        down(name)
