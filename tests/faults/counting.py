"""The judge of "at most once, and at least once": Slurm's own records, and what the jobs themselves wrote down."""

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

from bed import valhalla
from tests.api import Json
from tests.world import ENDED, World, manifest

LONG_BYTES = 300 * 1024
_LABEL = "counted-on"
_LONG_SCRIPT = {"name": "long-script", "key": "script"}
_SOURCES = (
    ("squeue", "--noheader", "--states=all", "--all", "--format=%A|%u|%T|%j|%k"),
    (
        *("sacct", "--noheader", "--allocations", "--parsable2", "--allusers", "--duplicates", "--starttime=now-2days"),
        "--format=jobid,user,state,jobname,submitline",
    ),
)


def _script(padding: str) -> str:
    """Writes down each of its runs, at the beginning and in its very last line."""
    return (
        "#!/bin/bash\n"
        'echo "begin $SLURM_JOB_ID $(id -un)" >>"$SLURM_SUBMIT_DIR/runs"\n'
        f": <<'PADDING'\n{padding}PADDING\n"
        'echo "end $SLURM_JOB_ID $(sha256sum <"$0" | cut -c 1-64)" >>"$SLURM_SUBMIT_DIR/runs"\n'
    )


_LINES = "".join(f"{number:06} of many lines, no two alike\n" for number in range(LONG_BYTES // 36 + 1))
_SCRIPTS = {False: _script(""), True: _script(_LINES)}


@dataclass(frozen=True)
class Case:
    """A submission that is to become exactly one job."""

    name: str
    user: str
    cluster: str
    long: bool = False

    @property
    def script(self) -> str:
        """What it runs."""
        return _SCRIPTS[self.long]


@dataclass(frozen=True)
class Job:
    """A job in Slurm's records."""

    job_id: str
    user: str
    state: str


def case(label: str, user: str, cluster: str, *, long: bool = False) -> Case:
    """A submission of its own name, which begins with the label."""
    return Case(f"{label.replace(' ', '-')}-{user}-{uuid4().hex[:6]}", user, cluster, long)


def submit(world: World, cases: Iterable[Case]) -> None:
    """Make them, one right after the other."""
    items: list[Json] = []
    for each in cases:
        source = {"configMapKeyRef": _LONG_SCRIPT} if each.long else {"inline": each.script}
        items.append(manifest(source, name=each.name, user=each.user, clusterRef={"name": each.cluster}))
        items[-1]["metadata"]["labels"] = {_LABEL: each.cluster}
    world.apply(*items)


def publish_long_script(world: World) -> None:
    """Make the ConfigMap that long submissions name."""
    metadata = {"name": _LONG_SCRIPT["name"], "namespace": valhalla.RESEARCH}
    data = {_LONG_SCRIPT["key"]: _SCRIPTS[True]}
    world.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def statuses(world: World, cases: Iterable[Case]) -> dict[str, Json]:
    """The status of each, with the uid, by name."""
    selector = quote(f"{_LABEL} in ({','.join(sorted({each.cluster for each in cases}))})")
    items = world.submissions(query=f"?labelSelector={selector}")
    return {each.name: {"uid": items[each.name]["metadata"]["uid"], **items[each.name].get("status", {})} for each in cases}


def await_all(world: World, cases: Collection[Case], good: Callable[[Json], bool], *, seconds: float = 120) -> None:
    """Return when the status of each is good; fail if one ends without being so."""

    def bad() -> dict[str, Json]:
        return {name: status for name, status in statuses(world, cases).items() if not good(status)}

    left = world.eventually(bad, lambda left: not left or any(map(ended, left.values())), seconds=seconds)
    assert not left, world.log_end()


def known(status: Json) -> bool:
    """It has a job id."""
    return bool(status.get("slurm", {}).get("jobId"))


def ended(status: Json) -> bool:
    """It has ended, one way or the other."""
    return status.get("phase") in ENDED


def unknown(status: Json) -> bool:
    """It says that nobody knows whether there is a job."""
    return reason(status) == "SubmissionUnknown"


def reason(status: Json) -> str:
    """Why it stands where it stands."""
    return next((each["reason"] for each in status.get("conditions", []) if each["type"] == "Ready"), "")


def once(world: World, *cases: Case) -> None:
    """Return when each has run exactly once, whole and as the right user; fail if one has not."""
    await_all(world, cases, ended)
    found = wrongs(world, cases)
    assert found == {}, found


def wrongs(world: World, cases: Collection[Case]) -> dict[str, str]:
    """What is wrong with those that did not run exactly once, whole and as the right user; by name."""
    jobs = all_jobs(world)
    now = statuses(world, cases)
    found = {}
    for each in cases:
        status = now[each.name]
        mine = [job for job, marks in jobs.items() if status["uid"] in marks or each.name in marks]
        if wrong := _wrong(world, each, status, mine):
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


def all_jobs(world: World) -> dict[Job, str]:
    """Every job that Slurm knows, with its name, comment and command line."""
    rows: dict[str, tuple[Job, str]] = {}
    for source in _SOURCES:
        for row in world.slurm(*source).splitlines():
            job_id, user, state, marks = row.split("|", 3)
            rows[job_id] = Job(job_id, user, state), marks
    return dict(rows.values())
