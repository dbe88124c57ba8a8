"""The person's script: whether sbatch would take it, whether it starts its own tasks, and the batch script that starts it by srun.

The script is never altered and never quoted: it lies in a file, and srun executes that file. What Slurm records must be what plain
sbatch would have given, so the batch script made here

* carries the script's own leading comment lines, `#SBATCH` among them, as they are, for sbatch to read;
* gives a single task the very files that Slurm opened for the batch script as input, output and error. Through srun's own streams
  output and error could change places, and srun's words ("task 0: Exited with exit code 3") would be mixed into them;
* hands signals on, and ends by the signal that ended the task, which srun itself turns into the exit code 128+n;
* starts the step with `--overlap`, so that a script that runs srun itself, unnoticed by `Auto`, does not wait for itself for ever.

Several tasks have no counterpart in plain sbatch: there srun speaks for itself. docs/explanation has what cannot be identical.
"""

import re
import shlex
from collections.abc import Collection, Sequence

from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import MAX_SCRIPT_BYTES, Launch, LaunchMode, LaunchStatus
from slurmgate.slurm import remote
from slurmgate.slurm.options import Directives, head

_LAUNCHERS = rb"srun|mpirun|mpiexec(?:\.[a-z]+)?|orterun|prun|prterun|aprun|jsrun|ibrun|flux|salloc"
_LAUNCH = re.compile(
    rb"(?:^|[;&|({`!]|\b(?:if|then|else|elif|do|while|until|time|exec|env|nohup|command|timeout)\b[^;&|\n#]*?)"
    rb"[ \t]*(?:[A-Za-z_][A-Za-z0-9_]*=\S*[ \t]+)*[\"']?(?:[^\s;&|(){}\"'#]*/)?(" + _LAUNCHERS + rb")(?=[\s\"';&|)]|$)",
    re.MULTILINE,
)
_ONE_TASK_ARGUMENTS = re.compile(
    r"--(mpi|cpu-bind|mem-bind|gpu-bind|gpu-freq|cpu-freq|hint|distribution|exact|export|propagate|profile|network|quiet)(=|$)"
)
"""srun arguments that change neither the number of tasks nor where their output goes."""


def check(script: bytes, mode: LaunchMode | None) -> Refused | None:
    """Whether this can be a batch script at all.

    A wrapped script is held to what sbatch demands of a plain one (src/sbatch/sbatch.c, _get_script_buffer), in its words;
    a plain one meets sbatch itself.
    """
    if not script.strip():
        return _invalid("the script is empty")
    if len(script) > MAX_SCRIPT_BYTES:
        return _invalid(f"the script has {len(script)} bytes; the most is {MAX_SCRIPT_BYTES}")
    if b"\0" in script:
        return _invalid("the script contains a NUL byte, which Slurm does not allow")
    if mode is LaunchMode.SRUN and not script.startswith(b"#!"):
        return _invalid(
            "This does not look like a batch script. The first line must start with #! followed by the path to an "
            "interpreter. For instance: #!/bin/sh"
        )
    if mode is LaunchMode.SRUN and b"\r\n" in script:
        return _invalid("Batch script contains DOS line breaks (\\r\\n) instead of expected UNIX line breaks (\\n).")
    return None


def _invalid(message: str) -> Refused:
    return Refused(Reason.SCRIPT_INVALID, message)


def decide(launch: Launch, script: bytes, directives: Directives, options: Collection[str]) -> LaunchStatus:
    """Srun or not. `options` are the names of all options that are set.

    `Auto` errs to None: a script that does start its own tasks must not be started once for each task.
    """
    if launch.mode not in {None, LaunchMode.AUTO}:
        return LaunchStatus(mode=launch.mode or LaunchMode.NONE, why="asked for by spec.launch or the cluster's defaults")
    if directives.het:
        return LaunchStatus(mode=LaunchMode.NONE, why="a heterogeneous job starts its own steps")
    if container := next((name for name in sorted(options) if name.startswith("container")), None):
        return LaunchStatus(mode=LaunchMode.NONE, why=f"--{container}: the container may have no srun")
    for number, line in enumerate(script.split(b"\n"), start=1):
        if not line.lstrip().startswith(b"#") and (match := _LAUNCH.search(line)):
            word = match[1].decode()
            return LaunchStatus(mode=LaunchMode.NONE, why=f"line {number} of the script seems to call {word} itself")
    return LaunchStatus(mode=LaunchMode.SRUN, why="the script calls no srun, mpirun or mpiexec itself")


def wrap(script: bytes, *, token: str, srun: str, arguments: Sequence[str]) -> bytes:
    """The batch script that starts the staged script by srun."""
    one = all(_ONE_TASK_ARGUMENTS.match(argument) for argument in arguments)
    command = shlex.join([srun, "--overlap", "--export=ALL", *arguments])
    body = remote.text("batch").replace("@TOKEN@", token).replace("@ONE@", "yes" if one else "no").replace("@SRUN@", command)
    _, _, comments = head(script).partition(b"\n")
    if comments and not comments.endswith(b"\n"):
        comments += b"\n"
    return b"#!/bin/sh\n" + comments + body.encode("utf-8", "surrogateescape")
