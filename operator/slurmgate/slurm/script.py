"""The person's script: whether it can run at all, whether it starts its own tasks, and the batch script that starts it by srun.

The script is never altered and never quoted: it lies in a file, and srun executes that file. What Slurm records must be what
plain sbatch would have given, so the batch script made here (remote/batch.sh)

* carries the script's own leading comment lines, `#SBATCH` among them, as they are, for sbatch to read;
* lets a single task write into the very files that Slurm opened for the batch script. Through srun's own streams output and
  error would change places, and srun's words ("task 0: Exited with exit code 3") would be mixed into them;
* hands on signals, and ends by the signal that ended the task, which srun itself turns into the exit code 128+n;
* starts the step with `--overlap`: a script that runs srun itself, unnoticed by `Auto`, must not wait for itself for ever.

What is not the same: `$0` is the staged file; standard input is a pipe; the environment has the variables of a step, too; sacct
has a step `.0`, and its DerivedExitCode is the script's; slurmstepd's line about a signal names the step as well as the job;
`scancel --full --signal` reaches srun as well as the script, and the time limit sends SIGTERM twice; a script that runs out of
memory is a FAILED job whose step is OUT_OF_MEMORY (records.py takes the step's word for it). Several tasks have no counterpart
in plain sbatch at all: there srun speaks for itself.
"""

import re
import shlex
from collections.abc import Collection, Sequence

from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import MAX_SCRIPT_BYTES, Launch, LaunchMode, LaunchStatus
from slurmgate.slurm import remote
from slurmgate.slurm.directives import Directives, head

_LAUNCHER = re.compile(
    rb"(?:^|[\s;&|(){}`'\"=/:,\[])((?:srun|mpirun|mpiexec|orterun|prterun|prun|aprun|jsrun|ibrun)(?:[._][\w.]+)?)(?![\w-])"
)
"""The word anywhere, also after `numactl` or in a variable or a string: rather not wrapped than N copies of mpirun."""
_COMMENT = re.compile(rb"(?:^|\s)#.*")
_ONE_TASK_STAYS_ONE = re.compile(
    r"--(mpi|cpu-bind|mem-bind|gpu-bind|gpu-freq|cpu-freq|hint|distribution|exact|export|propagate|profile|network)(=|$)"
)
"""srun arguments that change neither the number of tasks nor where their output goes."""


def check(script: bytes, *, wrapped: bool) -> Refused | None:
    """Whether this can be a batch script at all.

    A wrapped script is held to what sbatch demands of a plain one (src/sbatch/sbatch.c, _get_script_buffer, the same from
    22.05 to 26.05), in its words; a plain one meets sbatch itself.
    """
    if not script.strip():
        return _invalid("the script is empty")
    if len(script) > MAX_SCRIPT_BYTES:
        return _invalid(f"the script has {len(script)} bytes; the most is {MAX_SCRIPT_BYTES}")
    if b"\0" in script:
        return _invalid("the script contains a NUL byte, which Slurm does not allow")
    if wrapped and not script.startswith(b"#!"):
        return _invalid(
            "This does not look like a batch script. The first line must start with #! followed by the path to an "
            "interpreter. For instance: #!/bin/sh"
        )
    if wrapped and b"\r\n" in script:
        return _invalid("Batch script contains DOS line breaks (\\r\\n) instead of expected UNIX line breaks (\\n).")
    return None


def _invalid(message: str) -> Refused:
    return Refused(Reason.SCRIPT_INVALID, message)


def decide(launch: Launch, script: bytes, directives: Directives, options: Collection[str]) -> LaunchStatus:
    """Srun or not; `options` are the names of all options that are set. Where `Auto` cannot be sure it chooses `None`."""
    if launch.mode is LaunchMode.SRUN or launch.mode is LaunchMode.NONE:
        return LaunchStatus(mode=launch.mode, why="asked for by spec.launch, or the cluster's default")
    if directives.het:
        return LaunchStatus(mode=LaunchMode.NONE, why="a heterogeneous job starts its own steps")
    if in_container(options):
        return LaunchStatus(mode=LaunchMode.NONE, why="the job runs in a container, which may have no srun")
    for number, line in enumerate(script.split(b"\n"), start=1):
        if launcher := _LAUNCHER.search(_uncommented(line)):
            return LaunchStatus(mode=LaunchMode.NONE, why=f"line {number} of the script names {launcher[1].decode()}")
    return LaunchStatus(mode=LaunchMode.SRUN, why="the script does not start tasks itself")


def in_container(options: Collection[str]) -> bool:
    """Whether the batch script itself would run in a container, where nothing of ours may be."""
    return any(name.startswith("container") for name in options)


def _uncommented(line: bytes) -> bytes:
    """The line without a comment, if the `#` is certainly not inside quotes."""
    comment = _COMMENT.search(line)
    before = line[: comment.start()] if comment else line
    return before if before.count(b'"') % 2 == 0 and before.count(b"'") % 2 == 0 else line


def wrap(script: bytes, *, token: str, srun: str | None, arguments: Sequence[str], recorded: bool) -> bytes:
    """The batch script that starts the staged script by srun, if there is one.

    `recorded`: it leaves a file that says how the job ended, see remote/exits.sh.
    """
    one = srun is not None and all(_ONE_TASK_STAYS_ONE.match(argument) for argument in arguments)
    values = {
        "@TOKEN@": token,
        "@SRUN@": shlex.join([srun, "--overlap", "--export=ALL", *arguments]) if srun else "",
        "@ONE@": "yes" if one else "no",
        "@RECORDED@": "yes" if recorded else "no",
    }
    body = re.sub("|".join(values), lambda match: values[match[0]], remote.text("batch"))
    _, _, comments = head(script).partition(b"\n")
    if comments and not comments.endswith(b"\n"):
        comments += b"\n"
    return b"#!/bin/sh\n" + comments + body.encode("utf-8", "surrogateescape")
