"""The judge of what comes from Jobbergate: the API's own rows, and Slurm's own records."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from uuid import uuid4

from bed.jobbergate.person import Person
from bed.jobbergate.person import Submission as Row
from tests.faults.counting import Job, all_jobs
from tests.world import World

ENDED = {"DONE", "ABORTED", "REJECTED"}
OVER = {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
_SCRIPT = """\
#!/bin/bash
echo "$SLURM_JOB_ID" >>"/tmp/row-$SLURM_JOB_NAME"
{lines}
"""


@dataclass(frozen=True)
class Asked:
    """A row that somebody has made, whose job goes by the label."""

    number: int
    label: str
    name: str
    """Of its JobSubmission."""


def ask(person: Person, lines: str = "true", *arguments: str, label: str = "row", script: int | None = None) -> Asked:
    """Submit these lines in Jobbergate, or a script that is there, under a label that begins like this."""
    label = f"{label.replace(' ', '-')}-{uuid4().hex[:6]}"
    script = script or person.script(text(lines))
    row = person.submit(script, f"--job-name={label}", *arguments, directory=None)
    return Asked(row.id, label, f"jg-{row.client_id}-{row.id}")


def text(lines: str) -> str:
    """A script that writes down each of its runs."""
    return _SCRIPT.format(lines=lines)


def await_rows(
    world: World, person: Person, asked: Iterable[Asked], good: Callable[[Row], bool], *, seconds: float = 120
) -> None:
    """Return when each row is good; fail if one ends without being so."""
    wanted = {each.number for each in asked}

    def bad() -> dict[int, Row]:
        return {number: row for number in wanted if not good(row := person.seen(number))}

    left = world.eventually(bad, lambda left: not left or any(map(ended, left.values())), seconds=seconds)
    assert not left, f"{left}\n{world.log_end()}"


def ended(row: Row) -> bool:
    """Nothing more comes of it."""
    return row.status in ENDED


def done(row: Row) -> bool:
    """It has run, and well."""
    return row.status == "DONE"


def submitted(row: Row) -> bool:
    """Jobbergate has heard of its job."""
    return row.slurm_job_id is not None


def running(row: Row) -> bool:
    """Jobbergate has heard that it runs."""
    return row.slurm_job_state == "RUNNING"


def once(world: World, person: Person, asked: Collection[Asked], *, seconds: float = 120) -> None:
    """Return when each is DONE, and has run exactly once; fail if one has not."""
    await_rows(world, person, asked, done, seconds=seconds)
    found = wrongs(world, person, asked)
    assert found == {}, found


def wrongs(world: World, person: Person, asked: Collection[Asked]) -> dict[str, str]:
    """Where rows and Slurm do not agree, by label."""
    jobs = all_jobs(world)
    found = {}
    for each in asked:
        row = person.submission(each.number)
        mine = [job for job, marks in jobs.items() if each.label in marks]
        runs = world.slurm("sh", "-c", f"cat /tmp/row-{each.label} 2>/dev/null; true").split()
        if wrong := _wrong(row, mine, runs):
            found[each.label] = f"{wrong}; row: {row}; jobs: {mine}; runs: {runs}"
    return found


def _wrong(row: Row | None, jobs: list[Job], runs: list[str]) -> str | None:
    ids = {job.job_id for job in jobs} | set(runs)
    if len(ids) > 1 or len(runs) > 1:
        return "ran more than once"
    if alive := [job for job in jobs if job.state.split()[0] not in OVER]:
        return f"lives: {alive}" if row is None or ended(row) else None
    if row is None:
        return None
    known = set() if row.slurm_job_id is None else {str(row.slurm_job_id)}
    states = {job.state.split()[0] for job in jobs}
    right = {
        "DONE": states == {"COMPLETED"} and bool(runs),
        "ABORTED": "COMPLETED" not in states,
        "REJECTED": not ids,
    }
    return None if known == ids and right.get(row.status) else "they do not agree"
