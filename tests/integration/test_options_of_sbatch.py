"""sbatch's options, held against sbatch itself: what it acts on, our parser has seen."""

import re
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import bed
from slurmgate.slurm import directives, options
from slurmgate.slurm.options import NotUnderstoodError
from tests.integration.gateway import Site, site_of
from tests.integration.gateway import gateway_bed as _gateway_bed

pytestmark = [pytest.mark.bed, pytest.mark.slow]
gateway_bed = _gateway_bed

USER = "kirby"
LATER = {
    *("autocomplete", "consolidate-segments", "container-id", "container-type", "external", "mem-update", "oom-kill-step"),
    *("resources", "resv-ports", "segment", "spread-segments", "stepmgr", "tres-bind", "tres-per-task"),
}
"""Options that 22.05 has not yet."""
SEEN = {
    "job-name": "JobName",
    "comment": "Comment",
    "time": "TimeLimit",
    "output": "StdOut",
    "error": "StdErr",
    "input": "StdIn",
    "nice": "Nice",
    "nodes": "NumNodes",
    "chdir": "WorkDir",
    "no-requeue": "Requeue",
    "oversubscribe": "OverSubscribe",
}
"""Options whose effect can be read from the job, and where."""

VALUE = st.sampled_from(
    ["x", "y", "a-b", "'q r'", '"s t"', "u'v'", "3", "/tmp/z", r"\"w", "''", "a#b", "é", "hetjob", ":", "--hold"]
)
NUMBER = st.sampled_from(["1", "2", "7", "'2'", "1-2"])
LONG = st.sampled_from(
    ["job-name", "job-n", "job", "comment", "comm", "output", "out", "error", "err", "input", "chdir", "chd"]
)
SPELLED = st.one_of(
    st.builds("--{}={}".format, LONG, VALUE),
    st.builds("--{} {}".format, LONG, VALUE),
    st.builds("-{}{}{}".format, st.sampled_from("Joei"), st.sampled_from(["", " ", "\t", "="]), VALUE),
    st.builds("-{}{}{}".format, st.sampled_from("tN"), st.sampled_from(["", " "]), NUMBER),
    st.builds("-s{}{}{}".format, st.sampled_from("JtN"), st.sampled_from(["", " "]), NUMBER),
    st.builds("--{}={}".format, st.sampled_from(["nice", "time", "nodes", "node", "tim", "nic"]), NUMBER),
    st.sampled_from(
        ["--nice", "--no-requeue", "--no-req", "-s", "--oversubscribe", "--over", "-sQ", "-v", "-Ov", "--nice 3", "-s-"]
    ),
)
JUNK = st.sampled_from(["#", " #", "\\", '"', "'", "\r", "\f", "--", ":", "hetjob", "x", "-", "''", " "])
WORDS = st.lists(st.one_of(SPELLED, SPELLED, SPELLED, JUNK), max_size=4).map(" ".join)
LINE = st.one_of(
    st.builds("#SBATCH {}".format, WORDS),
    st.builds("#SBATCH {}".format, WORDS),
    st.builds("#SBATCH {}".format, WORDS),
    st.builds(
        "{}{}".format,
        st.sampled_from(["#SBATCH", "#SLURM ", "##SBATCH ", " #SBATCH ", "# SBATCH ", "#sbatch ", "#SBATCH\t"]),
        WORDS,
    ),
    st.sampled_from(["", "# a comment", "true", "\t", "#SBATCH --job-name", "#SBATCH \\", "  # x", "#SBATCH hetjob"]),
)
SCRIPT = st.lists(LINE, min_size=1, max_size=5).map(
    lambda lines: "#!/bin/sh\n" + "".join(f"{line}\n" for line in lines) + "true\n"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(gateway_bed: bed.Bed) -> AsyncIterator[Site]:
    async with site_of(gateway_bed) as site:
        yield site


@pytest.fixture(scope="module")
def place(gateway_bed: bed.Bed) -> Path:
    """A folder on the cluster."""
    folder = gateway_bed.slurm.description.homes / USER / "options"
    done = gateway_bed.slurm.inside(["mkdir", "options"], user=USER)
    assert done.returncode == 0, done.stderr
    return folder


def jobs_of(running: bed.Bed, place: Path, scripts: list[bytes]) -> list[list[dict[str, str]]]:
    """For each script the jobs that sbatch makes of it, as slurmctld shows them: several if heterogeneous, none if refused."""
    for old in place.iterdir():
        old.unlink()
    for number, script in enumerate(scripts):
        (place / f"{number:03d}").write_bytes(script)
    program = (
        'cd ~/options && for file in *; do echo FILE; job=$(sbatch --hold --parsable $file 2>/dev/null) && [ -n "$job" ] && '
        "scontrol --oneliner show job $job && scancel $job; done; true"
    )
    done = running.slurm.inside(["/bin/bash", "-c", program], user=USER, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split("FILE\n")[1:]
    assert len(answers) == len(scripts)
    return [[_fields(line) for line in answer.splitlines() if line.startswith("JobId=")] for answer in answers]


def _fields(line: str) -> dict[str, str]:
    return dict(re.findall(r"([A-Za-z/:]+)=(.*?)(?=\s+[A-Za-z/:]+=|\s*$)", line))


@settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(scripts=st.lists(SCRIPT, min_size=60, max_size=60))
def test_whatever_sbatch_acts_on_was_seen(gateway_bed: bed.Bed, place: Path, scripts: list[str]) -> None:
    content = [script.encode() for script in scripts]
    (plain,), *told = jobs_of(gateway_bed, place, [b"#!/bin/sh\ntrue\n", *content])
    compared = 0
    for number, (script, jobs) in enumerate(zip(content, told, strict=True), start=1):
        try:
            found = directives.read(script)
        except NotUnderstoodError:
            continue
        for job in jobs:
            compared += 1
            _compare(found, plain, job, f"{number:03d}", script)
    assert compared > len(scripts) // 10, "too few of them are understood by both"


def _compare(found: directives.Directives, plain: dict[str, str], job: dict[str, str], name: str, script: bytes) -> None:
    """Everything that is other than usual was asked for by an option that we have read, and name and comment are those."""
    values = {option.name: option.value for option in found.options}
    for option, field in SEEN.items():
        usual = {"JobName": name}.get(field, plain.get(field))
        if field.startswith("Std") and {"output", "chdir"} & values.keys():
            continue  # where one of them is tells where the others are
        differs = job.get(field) != (usual and usual.replace(f"slurm-{plain['JobId']}.out", f"slurm-{job['JobId']}.out"))
        assert not differs or option in values, f"{field}={job.get(field)} was not seen in {script!r}"
    if not found.het:
        for option in ("job-name", "comment"):
            if values.get(option):
                shown = job.get(SEEN[option], "")
                assert shown == (values[option] or "").strip(), f"{SEEN[option]} in {script!r}"


@contextmanager
def start_file(site: Site, content: str) -> Iterator[None]:
    """This is the user's ~/.bashrc."""
    path = site.bed.slurm.description.homes / USER / ".bashrc"
    path.write_text(content)
    try:
        yield
    finally:
        path.unlink()


NEEDED = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CONF_OUT", "SLURM_JWT", "SLURM_"}
"""How slurmctld is reached and who asks there, which is for the login node to say."""
CHANGING = ("JobId", "AllocNode", "Comment", "Time", "WorkDir", "Std", "Command", "Priority", "LastSchedEval")


def _variables() -> set[str]:
    """The names of all variables that stand in sbatch and its library."""
    paths = [Path("/usr/bin/sbatch"), *Path("/usr/lib").glob("*/slurm-wlm/libslurmfull.so")]
    return {name.decode() for path in paths for name in re.findall(rb"\b(?:SBATCH|SLURM)_[A-Z0-9_]*\b", path.read_bytes())}


@pytest.mark.asyncio(loop_scope="module")
async def test_no_variable_of_a_start_file_changes_what_is_submitted(site: Site) -> None:
    """Each variable that sbatch itself knows, set in the user's start file."""
    names = _variables()
    assert len(names) > 100
    jobs = []
    for content in ("", "".join(f"export {name}=2\n" for name in sorted(names - NEEDED))):
        with start_file(site, content):
            job = await site.run("#!/bin/sh\n#SBATCH -n1\ntrue\n", held=True)
            line = site.shell(f"SLURM_BITSTR_LEN=0 /usr/bin/env -i /usr/bin/scontrol --oneliner show job {job.job_id}")
            jobs.append({name: value for name, value in _fields(line).items() if not name.endswith("Time")})
            await site.gateway.cancel(USER, [job.job_id])
    usual, with_variables = ({k: v for k, v in job.items() if not k.startswith(CHANGING)} for job in jobs)
    assert with_variables == usual
    assert all(job["StdOut"] == f"{job['WorkDir']}/slurm-{job['JobId']}.out" for job in jobs)


def test_every_option_that_sbatch_prints_is_in_the_table(gateway_bed: bed.Bed) -> None:
    printed = gateway_bed.slurm.inside(["sbatch", "--help"]).stdout + gateway_bed.slurm.inside(["sbatch", "--usage"]).stdout
    names = set(re.findall(r"--([a-z][a-z-]+)", printed))
    assert len(names) > 80
    assert {name for name in names if name not in options._LONG} == set()


def test_the_name_of_every_option_is_one_that_sbatch_takes(gateway_bed: bed.Bed) -> None:
    """Or that a later version takes, which are named here."""
    known = shlex.join(sorted(options._LONG))
    asked = "timeout 5 sbatch --$name --usage 2>&1 </dev/null | grep -q 'unrecognized option' && echo $name"
    done = gateway_bed.slurm.inside(["/bin/bash", "-c", f"for name in {known}; do {asked}; done; true"], user=USER)
    assert set(done.stdout.split()) == LATER
