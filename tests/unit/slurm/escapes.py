"""What somebody who has a restricted key would send, in place of our commands, to get out of slurmgate-shell."""

import base64
import shlex

from slurmgate.slurm import remote

CANARY = "escaped"
"""A file in the home that is there if one of them ran."""
RUN = f"touch ~/{CANARY}"


def ours(program: str = "find", *arguments: str) -> str:
    """A command as our runner sends it."""
    return shlex.join(remote.command(program, *arguments, seconds=5))


def _with_program(text: str) -> str:
    encoded = base64.b64encode(text.encode()).decode()
    return f"timeout -k 5 5 /bin/sh -c 'eval \"$(echo {encoded}|base64 -d)\"' slurmgate"


_SH = ours().split("'")[0]

ESCAPES = {
    "a shell": "/bin/sh",
    "an interactive shell": "sh -i",
    "a command": RUN,
    "a command before ours": f"{RUN}; {ours()}",
    "a command behind ours": f"{ours()}; {RUN}",
    "a command behind ours if it ends well": f"{ours()} && {RUN}",
    "a command behind ours in the background": f"{ours()} & {RUN}",
    "a command on the next line": f"{ours()}\n{RUN}",
    "a command on the line before": f"{RUN}\n{ours()}",
    "a command that reads from ours": f"{ours()} | {RUN}",
    "a command substituted": f"{ours()} $({RUN})",
    "a command substituted in the old way": f"{ours()} `{RUN}`",
    "a command substituted in quotes": f"{ours()} '$({RUN})'",
    "output into a file": f"{ours()} >~/{CANARY}",
    "another program": _with_program(RUN),
    "our program and another one": _with_program(f"{remote.program('find')}\n{RUN}"),
    "another program and ours": _with_program(f"{RUN}\n{remote.program('find')}"),
    "no program": _with_program(""),
    "our program with its comments": _with_program(remote.text("common") + remote.text("find")),
    "a command in place of the program": f"{_SH}'eval \"$(echo x;{RUN};echo|base64 -d)\"' slurmgate",
    "a command behind the program": ours().replace("|base64 -d)", f"|base64 -d);{RUN}"),
    "a command in the time limit": ours().replace(" 5 /bin/sh", f" 5;{RUN}; /bin/sh"),
    "a time limit without end": ours().replace("-k 5 5 ", "-k 5 0x7fffffff "),
    "a long time limit": ours().replace("-k 5 5 ", "-k 5 86400 "),
    "no time limit": ours().replace("timeout -k 5 5 ", ""),
    "another shell": ours().replace("/bin/sh", "/bin/bash"),
    "ours through env": f"env BASH_ENV=/tmp/x {ours()}",
    "ours with a variable before it": f"LD_PRELOAD=/tmp/x {ours()}",
    "ours behind exec": f"exec {ours()}",
    "a space before ours": f" {ours()}",
    "tabs between the words": ours().replace(" ", "\t"),
    "a space of another kind": ours().replace(" slurmgate", "\u00a0slurmgate"),
    "half of ours": ours()[: len(ours()) // 2],
    "a quote that is not closed": f"{ours()} 'x",
    "a quote inside a word": f"{ours()} 'a'b",
    "an escape at the end": f"{ours()} \\",
    "an argument where none belongs": ours("stage", "/bin/sh"),
    "a shell in place of sbatch": ours("submit", "/bin/sh"),
    "an option beside sbatch": ours("submit", "/usr/bin/sbatch", "--wrap=id"),
    "a shell to be described": ours("describe", *["/bin/sh"] * 6),
    "a shell in place of squeue": ours("run", "/bin/sh", "-c", RUN),
    "nothing in place of squeue": ours("run"),
    "squeue by another way": ours("run", "/usr/bin/../bin/squeue", "--noheader"),
    "squeue from the path": ours("run", "squeue", "--noheader"),
    "an option of squeue that is not ours": ours("run", "/usr/bin/squeue", "--json"),
    "sacct with scripts": ours("run", "/usr/bin/sacct", "--batch-script", "--jobs=1"),
    "sacct with the environment": ours("run", "/usr/bin/sacct", "--env-vars", "--jobs=1"),
    "scancel of all": ours("run", "/usr/bin/scancel", "--user=kirby"),
    "scancel of nothing": ours("run", "/usr/bin/scancel"),
    "scancel of a job and an option": ours("run", "/usr/bin/scancel", "1", "--signal=KILL"),
    "scancel of a job that is a pattern": ours("run", "/usr/bin/scancel", "1[0-9]"),
    "scontrol to be typed into": ours("run", "/usr/bin/scontrol"),
    "scontrol that changes a job": ours("run", "/usr/bin/scontrol", "update", "jobid=1"),
    "scontrol that writes a file": ours("run", "/usr/bin/scontrol", "write", "batch_script", "1", "x"),
    "scontrol with two verbs": ours("run", "/usr/bin/scontrol", "uhold", "release"),
    "scontrol without a verb": ours("run", "/usr/bin/scontrol", "1", "2"),
    "sinfo": ours("run", "/usr/bin/sinfo"),
    "sbatch": ours("run", "/usr/bin/sbatch", "--wrap=id"),
    "scp": "scp -t .",
    "rsync": "rsync --server -e.LsfxC . .",
    "the sftp server": "/usr/lib/openssh/sftp-server",
    "sftp inside of sshd": "internal-sftp",
    "git": "git-upload-pack '/'",
}
