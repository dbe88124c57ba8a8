"""Started by srun or by sbatch alone: the same person's script, side by side on the real Slurm, must leave the same record.

All scripts run at once, each twice; then the pairs are compared. What cannot be the same is at the end.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from slurmgate.core.outcomes import Refused
from slurmgate.core.states import Kind, state
from slurmgate.resources.submission import MAX_SCRIPT_BYTES
from tests.integration.gateway import Job, Site, eventually, site_of
from tests.integration.gateway import gateway_bed as _gateway_bed

pytestmark = [pytest.mark.bed, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
gateway_bed = _gateway_bed

HORRORS = r"""#!/bin/bash
#SBATCH --comment="quoted 'comment' \" # here"
# ünïcödé: 'unbalanced " quotes
echo 'single "double" $HOME `id`' "double 'single' $((1+1)) \$HOME" plain\ backslash\\ !bang!
printf '%s|' "$@" '' "a b" $'tab\there' "trailing\\"; echo
cat <<'EOF'
$HOME `id` \ "quotes' !
EOF
cat <<EOF2
$((2 * 21)) "quotes' \$HOME \\
EOF2
cat <<-EOF3
	tabs are removed
	EOF3
printf 'no line end, and a carriage return: \r, a NUL: \0, bytes: \xff\xfe'
printf '\n--- BEGIN ---\n\\n %%s ${undefined:-default}\n' >&2
: '
#SBATCH --hold
'
"""
LONG = "#!/bin/bash\n" + "".join(f"echo 'line {number:07d} of a long script, with \"quotes\"'\n" for number in range(5000))
LONG += "exit 4\n" + "# padding\n" * 200_000
LONG = LONG[:MAX_SCRIPT_BYTES]
PYTHON = (
    "#!/usr/bin/env python3\nimport os, sys\nprint(sys.argv[1:], os.getcwd() == os.environ['SLURM_SUBMIT_DIR'])\nsys.exit(3)\n"
)

SCRIPTS: dict[str, str | bytes] = {
    **{f"exit {code}": f"#!/bin/sh\necho out\nexit {code}\n" for code in (0, 1, 2, 3, 126, 127, 130, 137, 143, 255)},
    **{
        f"killed by {name}": f"#!/bin/bash\nulimit -c 0\necho out\nkill -s {name} $$\nsleep 9\n"
        for name in ("HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "SEGV", "PIPE", "ALRM", "TERM")
    },
    "a child that is killed": "#!/bin/bash\nsh -c 'kill -9 $$'\nexit $?\n",
    "a command that is missing": "#!/bin/bash\n/no/such/command\n",
    "an interpreter that is missing": "#!/no/such/interpreter\necho out\n",
    "an interpreter that is none": "#!/etc/passwd\necho out\n",
    "a syntax error": "#!/bin/bash\necho out\nif then\n",
    "another language": PYTHON,
    "output and error in turn": "#!/bin/bash\n" + "echo out; echo err >&2\n" * 200,
    "much output": "#!/bin/bash\nseq 200000\necho end >&2\n",
    "error elsewhere": "#!/bin/bash\n#SBATCH -o out-%x -e err-%u\necho out\necho err >&2\nexit 5\n",
    "no output": "#!/bin/bash\n#SBATCH -o /dev/null\necho out\nexit 6\n",
    "input": "#!/bin/bash\ncat\necho end\n",
    "input from a file": "#!/bin/bash\n#SBATCH --input=/etc/passwd\nhead -n 3\n",
    "the environment": "#!/bin/bash\n#SBATCH -c2\numask; ulimit -n; echo $HOME $SLURM_CPUS_PER_TASK $VALUE $# $SLURM_NNODES\n",
    "no environment": "#!/bin/bash\n#SBATCH --export=NONE\necho $HOME $VALUE; env | grep -c ^SLURM_JOB_ID\n",
    "something left running": "#!/bin/bash\nsleep 600 &\necho out\n",
    "its own step": "#!/bin/bash\nsrun sh -c 'echo step; exit 9' 2>&1 | sort\nexit ${PIPESTATUS[0]}\n",
    "every horror of quoting": HORRORS,
    "as long as can be": LONG,
    "bytes that are no text": b"#!/bin/bash\n# \xff\xfe \x80\n#SBATCH --comment='\xe9'\necho '\xff\xc3\x28' '\x1b[31m'\n",
    "a task that traps": "#!/bin/bash\ntrap 'echo trapped; exit 7' TERM\nkill $$\nsleep 9\n",
}

RUNNING = "#!/bin/bash\n{traps}\necho ready\nfor _ in $(seq 600); do sleep 0.2; done\necho end\n"
TRAPS = "\n".join(f"trap 'echo got {name}' {name}" for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM"))
CLEANS_UP = "trap 'echo got TERM; sleep 1; echo cleaned up; exit 5' TERM"
OUT_OF_TIME = "root: until scontrol update jobid={job} EndTime=now; do sleep 1; done"  # not within the first second
TREATED: dict[str, tuple[str, str]] = {
    "cancelled": (RUNNING.format(traps=""), "scancel {job}"),
    "cancelled, cleaning up": (RUNNING.format(traps=CLEANS_UP), "scancel {job}"),
    "told to end": (RUNNING.format(traps=CLEANS_UP), "scancel --batch --signal=TERM {job}"),
    "told to end, not listening": (RUNNING.format(traps=""), "scancel --batch --signal=TERM {job}"),
    "killed from outside": (RUNNING.format(traps=TRAPS), "scancel --batch --signal=KILL {job}"),
    **{
        f"signalled with {name}": (
            RUNNING.format(traps=f"{TRAPS}\ntrap 'echo got TERM; exit 8' TERM"),
            f"scancel --batch --signal={name} {{job}}; sleep 1; scancel --batch --signal=TERM {{job}}",
        )
        for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM")
    },
    "out of time": (RUNNING.format(traps=""), OUT_OF_TIME),
    "out of time, cleaning up": (RUNNING.format(traps=CLEANS_UP), OUT_OF_TIME),
}


@dataclass
class Ran:
    """What is left of one job."""

    job: Job
    states: str
    """State, reason and wait status, as slurmctld has them."""
    record: tuple[Any, ...]
    """State, exit code and signal, as we report them."""
    outputs: dict[str, bytes] = field(repr=False)

    def text(self, name: str = "") -> str:
        """The standard output, without what differs between any two jobs."""
        name = name or next(name for name in self.outputs if name.startswith("slurm-"))
        text = self.outputs[name].decode("utf-8", "surrogateescape")
        text = re.sub(r"slurmstepd-node\d|\bnode\d(?=: task )|\[20[-\dT:.]+\](?= error: )", "NODE", text)
        text = text.replace("NODE error: ", "NODE: error: ")  # from 24.11 on
        text = re.sub(r"\S*/(slurm_script|script)\b", "SCRIPT", text)  # $0
        text = re.sub(r"(?<=: line \d: ) *\d+ (?=[A-Z])", "PID ", text)  # of bash: "line 2: 4290 Killed"
        # what slurmstepd says of a signal, and what bash says of the `sleep` that got it, too, if it gets to it
        return re.sub(r"^(NODE: error: \*\*\* .*|Terminated( .*)?)\n", "", text, flags=re.MULTILINE)


Pair = tuple[Ran, Ran]


async def look(site: Site, job: Job) -> Ran:
    (task,) = await site.record(job, seconds=240)
    layout = "State:0|,Reason:0|,exit_code:0"
    states = site.shell(f"squeue --noheader --states=all --jobs={job.job_id} --Format='{layout}'").strip()
    files = {path.name: path.read_bytes() for path in site.path(job).iterdir() if path.is_file() and path.name != "job.sh"}
    return Ran(job, states, (task.state, task.exit_code, task.signal), files)


async def both(run: Callable[[str], Awaitable[Ran]]) -> Pair:
    plain, wrapped = await asyncio.gather(run("None"), run("Srun"))
    return plain, wrapped


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(gateway_bed: Any) -> AsyncIterator[Site]:
    async with site_of(gateway_bed) as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pairs(site: Site) -> dict[str, Pair]:
    """All of them, run at once, but not all submitted at once."""
    turnstile = asyncio.Semaphore(6)

    async def submitted(script: str | bytes, mode: str, **more: Any) -> Job:
        async with turnstile:
            return await site.run(script, launch={"mode": mode}, **more)

    async def untouched(name: str) -> Pair:
        async def run(mode: str) -> Ran:
            return await look(site, await submitted(SCRIPTS[name], mode, environment=[("VALUE", "it's")]))

        return await both(run)

    async def treated(name: str) -> Pair:
        script, command = TREATED[name]

        async def run(mode: str) -> Ran:
            job = await submitted(script, mode)
            output = f"slurm-{job.job_id}.out"

            async def ready() -> bool:
                return site.path(job, output).exists() and b"ready" in site.read(job, output)

            await eventually(ready, seconds=120)
            await asyncio.sleep(0.5)
            user = None if command.startswith("root: ") else "kirby"
            line = command.removeprefix("root: ").format(job=job.job_id)
            done = await asyncio.to_thread(site.bed.slurm.inside, ["/bin/sh", "-c", line], user=user)
            assert done.returncode == 0, done.stderr
            return await look(site, job)

        return await both(run)

    names = [*SCRIPTS, *TREATED]
    found = await asyncio.gather(*(untouched(name) if name in SCRIPTS else treated(name) for name in names))
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("name", [*SCRIPTS, *TREATED])
async def test_the_record_is_the_same(pairs: dict[str, Pair], name: str) -> None:
    plain, wrapped = pairs[name]
    assert wrapped.states == plain.states
    assert wrapped.record == plain.record


@pytest.mark.parametrize("name", [name for name in (*SCRIPTS, *TREATED) if name not in {"error elsewhere", "no output"}])
async def test_the_output_is_the_same(pairs: dict[str, Pair], name: str) -> None:
    plain, wrapped = (ran.text() for ran in pairs[name])
    if name == "out of time, cleaning up":  # Slurm sends steps SIGTERM twice
        wrapped = wrapped.replace("got TERM\ngot TERM\n", "got TERM\n")
    assert wrapped == plain
    assert "srun" not in wrapped.replace("srun: error: ", "", plain.count("srun: error: "))


async def test_output_goes_where_the_script_says(pairs: dict[str, Pair]) -> None:
    for ran in pairs["error elsewhere"]:
        assert ran.outputs == {"out-job": b"out\n", "err-kirby": b"err\n"}
    for ran in pairs["no output"]:
        assert ran.outputs == {}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_script_ran_as_it_was_given(site: Site, pairs: dict[str, Pair], name: str) -> None:
    content = SCRIPTS[name]
    content = content if isinstance(content, bytes) else content.encode()
    for ran in pairs[name]:
        assert site.read(ran.job, f".slurmgate/{ran.job.token}/script") == content
        assert site.read(ran.job, "job.sh") == content


@pytest.mark.parametrize("name", [*SCRIPTS, *TREATED])
async def test_nothing_is_left_over(site: Site, pairs: dict[str, Pair], name: str) -> None:
    _, wrapped = pairs[name]
    left = {path.name for path in site.path(wrapped.job, f".slurmgate/{wrapped.job.token}").iterdir()}
    allowed = {"arguments", "attempt.1", "batch", "complete", "job", "origin", "script"}
    if name in {"killed from outside", "cancelled", "out of time"}:  # the batch script itself was killed
        allowed |= {f"io.{wrapped.job.job_id}"}
    assert left <= allowed


async def test_tasks_of_an_array_end_each_in_its_way(site: Site) -> None:
    script = "#!/bin/bash\n#SBATCH --array=0-2\ni=$SLURM_ARRAY_TASK_ID\necho task $i\n[ $i != 2 ] || kill -9 $$\nexit $i\n"
    jobs = [await site.run(script, launch={"mode": mode}) for mode in ("None", "Srun")]
    plain, wrapped = [
        {
            task.index: (task.state, task.exit_code, task.signal, site.read(job, f"slurm-{job.job_id}_{task.index}.out"))
            for task in await site.record(job, tasks=3)
        }
        for job in jobs
    ]
    assert wrapped == plain
    assert wrapped["2"][:3] == ("FAILED", 0, 9)


async def test_a_requeued_job_starts_again(site: Site) -> None:
    script = "#!/bin/bash\n#SBATCH --open-mode=append\nrun=${SLURM_RESTART_COUNT:-0}\n"
    script += "echo run $run\n[ $run = 1 ] || sleep 60\nexit 3\n"
    job = await site.run(script, launch={"mode": "Srun"})

    async def running() -> bool:
        return (
            b"run 0" in site.read(job, f"slurm-{job.job_id}.out")
            if site.path(job, f"slurm-{job.job_id}.out").exists()
            else False
        )

    await eventually(running)
    assert site.bed.slurm.inside(["scontrol", "requeue", job.job_id]).returncode == 0

    async def back() -> bool:  # and slurmd launches no step beside the one before
        left = site.bed.slurm.inside(["pgrep", "--full", rf"slurmstepd: \[{job.job_id}\."]).stdout
        return not left and [state(row.state).kind for row in await site.rows(job)] == [Kind.WAITING]

    await eventually(back)
    site.bed.slurm.inside(["scontrol", "update", f"jobid={job.job_id}", "StartTime=now"])
    (task,) = await site.record(job)
    assert (task.state, task.exit_code, task.restarts, task.token) == ("FAILED", 3, 1, job.token)
    assert b"run 1" in site.read(job, f"slurm-{job.job_id}.out")


REFUSED: dict[str, bytes] = {
    "no interpreter": b"echo out\n",
    "DOS line ends": b"#!/bin/bash\r\necho out\r\n",
    "DOS line ends further down": b"#!/bin/bash\ncat <<E\na\r\nE\n",
    "a mark before the interpreter": b"\xef\xbb\xbf#!/bin/bash\necho out\n",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_sbatch_refuses_is_refused_in_its_words(site: Site, name: str) -> None:
    plain = await site.stage(site.job(REFUSED[name], launch={"mode": "None"}))
    by_sbatch = await site.send(plain)
    by_us = site.make(REFUSED[name], launch={"mode": "Srun"})
    assert isinstance(by_sbatch, Refused)
    assert isinstance(by_us, Refused)
    assert " ".join(by_us.message.split()) == " ".join(by_sbatch.message.split())


# What cannot be the same ---------------------------------------------------------------------------------------------


async def test_the_environment_has_more_in_it_and_nothing_else(site: Site) -> None:
    script = "#!/usr/bin/env python3\nimport os\nprint(*(f'{k}={v}' for k, v in os.environ.items()), sep='\\n')\n"
    jobs = [await site.run(script, launch={"mode": mode}, sbatchArguments=["-c2"]) for mode in ("None", "Srun")]
    found = []
    for job in jobs:
        await site.record(job)
        lines = site.read(job, f"slurm-{job.job_id}.out").decode().splitlines()
        found.append(dict(line.split("=", 1) for line in lines))
    plain, wrapped = found
    own = {"SLURM_JOB_ID", "SLURM_JOBID", "SLURM_TASK_PID", "SLURM_SUBMIT_DIR", "PWD", "SLURM_TOPOLOGY_ADDR", "SLURM_NODELIST"}
    own |= {"SLURM_JOB_NODELIST", "SLURMD_NODENAME", "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME", "_", "SLURM_JOB_SLUID"}
    own |= {"SLURM_STEP_ID", "SLURM_STEPID"}  # from 24.11 on the batch step has a number, too
    assert {name: value for name, value in plain.items() if wrapped.get(name) != value and name not in own} == {}
    assert wrapped["SLURM_STEP_ID"] == "0"
    more = set(wrapped) - set(plain)
    assert {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SRUN_CPUS_PER_TASK"} <= more
    assert all(name.startswith(("SLURM_", "SRUN_")) for name in more)


async def test_the_name_of_the_script_is_another(site: Site) -> None:
    job = await site.run('#!/bin/bash\necho "$0"\n', launch={"mode": "Srun"})
    await site.record(job)
    assert site.read(job, f"slurm-{job.job_id}.out").decode() == f"{job.directory}/.slurmgate/{job.token}/script\n"


async def test_several_tasks_are_several_copies_as_srun_makes_them(site: Site) -> None:
    script = "#!/bin/bash\n#SBATCH --ntasks=3\necho task $SLURM_PROCID\n[ $SLURM_PROCID != 1 ] || exit 4\n"
    job = await site.run(script, launch={"mode": "Srun"})
    (task,) = await site.record(job)
    assert (task.state, task.exit_code) == ("FAILED", 4)
    lines = site.read(job, f"slurm-{job.job_id}.out").decode().splitlines()
    assert sorted(lines)[-3:] == ["task 0", "task 1", "task 2"]
    assert any(re.fullmatch(r"srun: error: node\d: task 1: Exited with exit code 4", line) for line in lines)


async def test_arguments_for_srun_reach_it(site: Site) -> None:
    job = await site.run("#!/bin/bash\necho out\n", launch={"mode": "Srun", "srunArguments": ["--label", "-n", "2"]}, tasks=2)
    await site.record(job)
    assert sorted(site.read(job, f"slurm-{job.job_id}.out").splitlines()) == [b"0: out", b"1: out"]


async def test_a_directory_with_signs_that_srun_reads_still_works(site: Site) -> None:
    job = await site.run("#!/bin/bash\necho out\nexit 3\n", launch={"mode": "Srun"}, executionDirectory="~/100% \\odd 'dir'")
    (task,) = await site.record(job)
    assert (task.state, task.exit_code) == ("FAILED", 3)
    assert b"out\n" in site.read(job, f"slurm-{job.job_id}.out")
