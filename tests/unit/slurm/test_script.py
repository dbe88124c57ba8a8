"""The script: can it run, does it start its own tasks, and the batch script around it."""

import subprocess
from pathlib import Path

import pytest

from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import MAX_SCRIPT_BYTES, Launch, LaunchMode
from slurmgate.slurm.directives import Directives, read
from slurmgate.slurm.script import check, decide, wrap
from tests.unit.slurm.support import TOKEN

INVALID: dict[str, tuple[bytes, LaunchMode | None, str | None]] = {
    "nothing": (b"", None, "the script is empty"),
    "only white space": (b" \n\t\n", None, "the script is empty"),
    "too long": (b"#!" + b"x" * MAX_SCRIPT_BYTES, None, "the script has 1048578 bytes; the most is 1048576"),
    "as long as can be": (b"#!" + b"x" * (MAX_SCRIPT_BYTES - 2), None, None),
    "a NUL byte": (b"#!/bin/sh\n\0", LaunchMode.NONE, "the script contains a NUL byte"),
    "no interpreter, by srun": (b"echo\n", LaunchMode.SRUN, "This does not look like a batch script."),
    "no interpreter, plain: sbatch itself says so": (b"echo\n", LaunchMode.NONE, None),
    "DOS line ends, by srun": (b"#!/bin/sh\r\n", LaunchMode.SRUN, "Batch script contains DOS line breaks"),
    "DOS line ends, plain: sbatch itself says so": (b"#!/bin/sh\r\n", LaunchMode.NONE, None),
    "a carriage return alone": (b"#!/bin/sh\nprintf '\r'\n", LaunchMode.SRUN, None),
}


@pytest.mark.parametrize(("content", "mode", "message"), INVALID.values(), ids=INVALID.keys())
def test_what_cannot_be_a_batch_script_is_refused(content: bytes, mode: LaunchMode | None, message: str | None) -> None:
    refused = check(content, wrapped=mode is LaunchMode.SRUN)
    if message is None:
        assert refused is None
    else:
        assert isinstance(refused, Refused)
        assert refused.reason is Reason.SCRIPT_INVALID
        assert refused.message.startswith(message)


LAUNCHES = {
    "a plain script": ("echo hello", None),
    "srun": ("srun ./a.out", "srun"),
    "srun by its path": ("/opt/slurm/bin/srun ./a.out", "srun"),
    "mpirun after something else": ("time numactl --all mpirun -np 4 ./a.out", "mpirun"),
    "mpiexec.hydra": ("mpiexec.hydra ./a.out", "mpiexec.hydra"),
    "in a variable": ("LAUNCHER=srun; $LAUNCHER ./a.out", "srun"),
    "in a string of another language": ("os.system('mpirun ./a.out')", "mpirun"),
    "in a substitution": ("x=$(srun hostname)", "srun"),
    "after a semicolon": ("cd x;srun hostname", "srun"),
    "indented": ("    aprun ./a.out", "aprun"),
    "at the very end": ("exec srun", "srun"),
    "in a comment": ("# srun ./a.out", None),
    "in a comment behind a command": ("./a.out  # not with srun", None),
    "behind a # in a string": ('echo "a # b"; srun ./a.out', "srun"),
    "behind a # in a string over two lines": ('echo "a\n # b"; srun ./a.out', None),
    "part of other words": ("./my-srun srun-helper mysrun srunner --srun _mpirun", None),
    "a file of that name": ("cat prun.log mpirun_rsh", "prun.log"),
}


@pytest.mark.parametrize(("line", "word"), LAUNCHES.values(), ids=LAUNCHES.keys())
def test_scripts_that_start_their_own_tasks_are_left_alone(line: str, word: str | None) -> None:
    content = f"#!/bin/sh\n{line}\n".encode()
    status = decide(Launch(mode=LaunchMode.AUTO), content, Directives(()), ())
    if word is None:
        assert status.mode is LaunchMode.SRUN
    else:
        assert (status.mode, status.why) == (LaunchMode.NONE, f"line 2 of the script names {word}")


def test_what_is_asked_for_is_done() -> None:
    for mode in (LaunchMode.SRUN, LaunchMode.NONE):
        assert decide(Launch(mode=mode), b"#!/bin/sh\nsrun x\n", Directives(((), ())), ()).mode is mode


def test_heterogeneous_jobs_and_containers_are_left_alone() -> None:
    assert decide(Launch(), b"#!/bin/sh\n", Directives(((), ())), ()).mode is LaunchMode.NONE
    assert decide(Launch(), b"#!/bin/sh\n", Directives(()), {"container": "x"}).mode is LaunchMode.NONE


SCRIPT = b"#!/usr/bin/python3\n# \xff not UTF-8\n#SBATCH -N2 'quoted' # remark\n\n#PBS -x\nprint('#SBATCH')\n#SBATCH --hold\n"


def wrapped(script: bytes = SCRIPT, *arguments: str) -> bytes:
    return wrap(script, token=TOKEN, srun="/usr/bin/srun", arguments=arguments, recorded=False)


def test_the_batch_script_keeps_the_comments_and_their_lines() -> None:
    lines = wrapped().split(b"\n")
    assert lines[0] == b"#!/bin/sh"
    assert lines[1:5] == SCRIPT.split(b"\n")[1:5]
    assert b"print" not in wrapped()
    assert b"--hold" not in wrapped()


def test_sbatch_reads_the_same_options_from_both() -> None:
    script = b"#!/bin/sh\n#SBATCH -N2\n\n#SBATCH --comment='a\\'b' \n#SBATCH --nodes"
    for content in (script + b" 4", script + b" 4\ntrue\n"):
        assert [option.word for option in read(wrapped(content)).options] == [
            "--nodes=2",
            "--comment=a'b",
            "--nodes=4",
        ]


@pytest.mark.parametrize("content", [b"#!/bin/sh", b"#!/bin/sh\n", b"#!/bin/sh\n#SBATCH -N1", b"#!/bin/sh\n\n\ntrue"])
@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash"])
def test_the_batch_script_is_a_shell_script(tmp_path: Path, content: bytes, shell: str) -> None:
    (tmp_path / "batch").write_bytes(wrapped(content, "--mpi=pmix", '--comment=it\'s "$x" `y` \\ !'))
    done = subprocess.run([shell, "-n", tmp_path / "batch"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


ARGUMENTS = {
    "none": ((), True),
    "what does not change the number of tasks": (("--mpi=pmix", "--cpu-bind=cores", "--exact"), True),
    "more tasks": (("--mpi=pmix", "--ntasks=2"), False),
    "a file of its own": (("-oout",), False),
    "a program in between": (("numactl",), False),
}


@pytest.mark.parametrize(("arguments", "one"), ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments_decide_whether_one_task_stays_one(arguments: tuple[str, ...], *, one: bool) -> None:
    assert f"\n_one={'yes' if one else 'no'}\n".encode() in wrapped(SCRIPT, *arguments)


@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash"])
def test_several_tasks_are_left_to_srun_with_arguments_as_they_were_given(tmp_path: Path, shell: str) -> None:
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf \'%s\\n\' "$@" "$SRUN_CPUS_PER_TASK"\nexit 7\n')
    srun.chmod(0o755)
    words = ('--comment=it\'s "$x" `y` \\ !', "-n", "2")
    (tmp_path / "batch").write_bytes(wrap(SCRIPT, token=TOKEN, srun=str(srun), arguments=words, recorded=False))
    place = tmp_path / "a b"
    (place / ".slurmgate" / TOKEN).mkdir(parents=True)
    environment = {"SLURM_SUBMIT_DIR": str(place), "SLURM_JOB_ID": "5", "SLURM_JOB_NUM_NODES": "1", "SLURM_CPUS_PER_TASK": "3"}
    done = subprocess.run([shell, tmp_path / "batch"], capture_output=True, check=False, env=environment)
    expected = ["--overlap", "--export=ALL", *words, f"{place}/.slurmgate/{TOKEN}/script", "3"]
    assert (done.returncode, done.stdout.decode().split("\n")[:-1]) == (7, expected)


NAMES = ("gate", "signals", "record", "began", "status", "one", "number", "io", "signal", "task", "pid")


@pytest.mark.parametrize("recorded", [True, False], ids=["with an exit record", "without"])
@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash"])
def test_what_the_person_has_exported_reaches_the_script(tmp_path: Path, shell: str, recorded: bool) -> None:
    state = tmp_path / ".slurmgate" / TOKEN
    state.mkdir(parents=True)
    (state / "script").write_text("#!/bin/sh\nexec env -0\n")
    (state / "script").chmod(0o755)
    (tmp_path / "batch").write_bytes(wrap(SCRIPT, token=TOKEN, srun="/usr/bin/env", arguments=(), recorded=recorded))
    environment = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "5", "SLURM_JOB_NUM_NODES": "2", "PATH": "/usr/bin:/bin"}
    batch = (tmp_path / "batch").read_text("utf-8", "surrogateescape").replace("--overlap --export=ALL", "")
    (tmp_path / "batch").write_text(batch, "utf-8", "surrogateescape")
    done = subprocess.run(
        [shell, tmp_path / "batch"], capture_output=True, check=True, env=environment | dict.fromkeys(NAMES, "mine")
    )
    found = dict(entry.split("=", 1) for entry in done.stdout.decode().rstrip("\0").split("\0"))
    assert {name: found.get(name) for name in NAMES} == dict.fromkeys(NAMES, "mine")
    assert (state / "exit.job").exists() is recorded


@pytest.mark.parametrize("kind", ["nothing", "a link"])
def test_the_batch_script_runs_nothing_from_a_folder_that_is_not_its_users_own(tmp_path: Path, kind: str) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\necho ran\n")
    srun.chmod(0o755)
    (tmp_path / "batch").write_bytes(wrap(SCRIPT, token=TOKEN, srun=str(srun), arguments=(), recorded=False))
    (tmp_path / ".slurmgate").mkdir()
    if kind == "a link":
        (tmp_path / ".slurmgate" / TOKEN).symlink_to(tmp_path)
    environment = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "5"}
    done = subprocess.run(["/bin/sh", tmp_path / "batch"], capture_output=True, check=False, env=environment, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"slurmgate: {tmp_path}/.slurmgate/{TOKEN} is not this user's own folder\n"
