"""The judge of "at most once, and at least once": Slurm's own records, and what the jobs themselves wrote down."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from uuid import uuid4

from bed import valhalla
from tests.operated.world import ENDED, Json, World, manifest

_SOURCES = (
    ("squeue", "--noheader", "--states=all", "--all", "--format=%A|%u|%T|%j|%k"),
    (
        *("sacct", "--noheader", "--allocations", "--parsable2", "--allusers", "--duplicates", "--starttime=now-2days"),
        "--format=jobid,user,state,jobname,submitline",
    ),
)


def script(*, kilobytes: int = 0) -> str:
    """A script that writes down each of its runs, at the beginning and in its very last line."""
    padding = "".join(f"{number:07} the quick brown fox jumps over the lazy dog. 'xyz'\n" for number in range(kilobytes * 16))
    return (
        "#!/bin/bash\n"
        'echo "begin $SLURM_JOB_ID $(id -un)" >>"$SLURM_SUBMIT_DIR/runs"\n'
        f": <<'PADDING'\n{padding}PADDING\n"
        'echo "end $SLURM_JOB_ID $(sha256sum <"$0" | cut -c 1-64)" >>"$SLURM_SUBMIT_DIR/runs"\n'
    )


@dataclass(frozen=True)
class Case:
    """A submission that is to become exactly one job."""

    name: str
    user: str
    script: str
    cluster: str


@dataclass(frozen=True)
class Job:
    """A job in Slurm's records."""

    job_id: str
    user: str
    state: str


def case(label: str, user: str, cluster: str, *, kilobytes: int = 0) -> Case:
    """A submission of its own name, which begins with the label."""
    return Case(f"{label.replace(' ', '-')}-{user}-{uuid4().hex[:6]}", user, script(kilobytes=kilobytes), cluster)


def submit(world: World, cases: Iterable[Case]) -> None:
    """Apply them, all at once."""
    bodies = (
        manifest({"inline": each.script}, name=each.name, user=each.user, clusterRef={"name": each.cluster}) for each in cases
    )
    world.apply(*bodies)


def statuses(world: World, cases: Iterable[Case]) -> dict[str, Json]:
    """The status of each, with the uid, by name."""
    answer = world.kubectl("get", "jobsubmissions", f"--namespace={valhalla.RESEARCH}", "--output=json")
    items = {item["metadata"]["name"]: item for item in json.loads(answer)["items"]}
    return {each.name: {"uid": items[each.name]["metadata"]["uid"], **items[each.name].get("status", {})} for each in cases}


def await_all(world: World, cases: Collection[Case], good: Callable[[Json], bool], *, seconds: float = 120) -> None:
    """Return when the status of each is good."""

    def bad() -> dict[str, Json]:
        return {name: status for name, status in statuses(world, cases).items() if not good(status)}

    world.eventually(bad, lambda left: not left, seconds=seconds)


def known(status: Json) -> bool:
    """It has a job id."""
    return bool(status.get("slurm", {}).get("jobId"))


def ended(status: Json) -> bool:
    """It has ended, one way or the other."""
    return status.get("phase") in ENDED


def reason(status: Json) -> str:
    """Why it stands where it stands."""
    return next((each["reason"] for each in status.get("conditions", []) if each["type"] == "Ready"), "")


def wrongs(world: World, cases: Collection[Case]) -> dict[str, str]:
    """What is wrong with those that did not run exactly once, whole and as the right user; by name."""
    jobs = _jobs(world)
    found = {}
    now = statuses(world, cases)
    for each in cases:
        status = now[each.name]
        mine = [job for job, marks in jobs.items() if status["uid"] in marks or each.name in marks]
        wrong = _wrong(world, each, status, mine)
        if wrong:
            found[each.name] = f"{wrong}; jobs: {mine}; status: {status}"
    return found


def _wrong(world: World, case: Case, status: Json, jobs: list[Job]) -> str | None:
    if len(jobs) != 1:
        return f"{len(jobs)} jobs"
    (job,) = jobs
    digest = hashlib.sha256(case.script.encode()).hexdigest()
    runs = world.slurm("cat", f"{status['workingDirectory']}/runs").splitlines()
    if runs != [f"begin {job.job_id} {case.user}", f"end {job.job_id} {digest}"]:
        return f"runs: {runs}"
    told = (status.get("phase"), status.get("slurm", {}).get("jobId"), status.get("user"), status.get("scriptSha256"))
    truth = ("Done", job.job_id, case.user, digest)
    return None if told == truth and job == Job(job.job_id, case.user, "COMPLETED") else f"told {told}, true is {truth}"


def _jobs(world: World) -> dict[Job, str]:
    """Every job that Slurm knows, with its name, comment and command line."""
    rows: dict[str, tuple[Job, str]] = {}
    for source in _SOURCES:
        for row in world.slurm(*source).splitlines():
            job_id, user, state, marks = row.split("|", 3)
            rows[job_id] = Job(job_id, user, state), marks
    return dict(rows.values())
