"""A login node without Slurm: the real programs of remote/*.sh, run here, with stand-ins for Slurm's commands."""

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slurmgate.core.outcomes import Staged, SubmitOutcome
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import JobSubmissionSpec
from slurmgate.slurm import records
from slurmgate.slurm.cli import CliGateway
from slurmgate.slurm.gateway import File, Package
from slurmgate.ssh.outcome import Outcome, Ran, Unknown

TOKEN = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
OTHER_TOKEN = "0b4bd4d2-13d7-4f2b-8a1c-5f0f5d2a9c11"


def spec(**fields: Any) -> JobSubmissionSpec:
    body = {"clusterRef": {"name": "valhalla"}, "owner": "kirby@example.org", "script": {"inline": "x"}, **fields}
    return JobSubmissionSpec.model_validate(body)


def cluster(**fields: Any) -> SlurmClusterSpec:
    body = {
        "ssh": {"hosts": [{"host": "login"}], "knownHosts": {"inline": "x"}},
        "identity": {"mapping": {"configMap": "mapping"}},
        **fields,
    }
    return SlurmClusterSpec.model_validate(body)


def package(directory: str, **fields: Any) -> Package:
    values: dict[str, Any] = {
        "token": TOKEN,
        "name": "job",
        "directory": directory,
        "script": b"#!/bin/sh\ntrue\n",
        "batch": None,
        "arguments": ("--parsable", f"--comment=slurmgate:{TOKEN}"),
        **fields,
    }
    return Package(**values)


def files(**content: bytes) -> tuple[File, ...]:
    return tuple(File(name, data) for name, data in content.items())


@dataclass
class Shell:
    """A runner that runs everything on this machine, with one shell for all programs."""

    path: str
    home: Path
    programs: Path
    """What is found before the system's own."""
    noise: bytes = b""
    exported: dict[str, str] = field(default_factory=dict)
    """What the person's start files have put into the environment."""
    commands: list[Sequence[str]] = field(default_factory=list, repr=False)

    def logs_in(self, name: str, uid: int | str) -> None:
        """From now on one is somebody there: what id says."""
        program = self.programs / "id"
        program.write_text(f"#!/bin/sh\n[ $1 = -u ] || exec echo {shlex.quote(name)}\necho {uid}\n")
        program.chmod(0o755)

    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float, output_limit: int) -> Outcome:
        del user
        self.commands.append(argv)
        words = [self.path if word == "/bin/sh" else word for word in argv]
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"HOME": str(self.home), "PATH": f"{self.programs}:/usr/bin:/bin", **self.exported},
            cwd="/",
        )
        stdout, stderr = await asyncio.wait_for(process.communicate(stdin), deadline)
        stdout = self.noise + stdout
        if len(stdout + stderr) > output_limit:
            told = f"stopped after {output_limit} bytes of output"
            return Unknown(told, connected=True, stdout=stdout[:output_limit], too_much=True)
        return Ran(process.returncode or 0, stdout, stderr)


@dataclass
class LoginNode:
    """Slurm's commands, each saying what it is told to."""

    folder: Path
    shell: Shell
    gateway: CliGateway

    @classmethod
    def prepare(cls, folder: Path, shell: str, *, noise: bytes = b"", seconds: int = 5, **spec: Any) -> "LoginNode":
        home = folder / "home"
        programs = folder / "bin"
        home.mkdir()
        programs.mkdir()
        names = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo")
        commands = {name: str(folder / name) for name in names}
        described = cluster(commands=commands, limits={"commandTimeoutSeconds": seconds}, **spec)
        runner = Shell(shell, home, programs, noise)
        runner.logs_in("kirby", 7001)
        node = cls(folder, runner, CliGateway(runner, described))
        for name in names:
            node.says(name)
        return node

    @property
    def home(self) -> Path:
        return self.shell.home

    @property
    def directory(self) -> str:
        """Of `package("~/x")`."""
        return str(self.home / "x")

    @property
    def state(self) -> Path:
        """What is kept there for our token."""
        return self.home / "x/.slurmgate" / TOKEN

    async def submit(self, sent: Package | None = None) -> SubmitOutcome:
        """Stage a package, and run sbatch for it."""
        staged = await self.gateway.stage("kirby", sent or package("~/x"))
        assert isinstance(staged, Staged)
        return await self.gateway.submit("kirby", TOKEN, staged.directory, staged.attempt)

    def says(self, command: str, stdout: str = "", *, stderr: str = "", status: int = 0, before: str = "") -> None:
        """From now on `command` prints this. It notes its arguments and environment, NUL after each."""
        path = self.folder / command
        path.write_text(
            "#!/bin/sh\n"
            f"printf '%s\\0' \"$@\" >{self.folder}/{command}.argv\n"
            f"echo x >>{self.folder}/{command}.count\n"
            f"env -0 >{self.folder}/{command}.env; pwd >{self.folder}/{command}.cwd\n"
            f"{before}\n"
            f"printf %s {shlex.quote(stdout)}\n"
            f"printf %s {shlex.quote(stderr)} >&2\n"
            f"exit {status}\n"
        )
        path.chmod(0o755)

    def argv(self, command: str) -> list[str]:
        return _split((self.folder / f"{command}.argv").read_bytes())

    def environment(self, command: str) -> dict[str, str]:
        entries = _split((self.folder / f"{command}.env").read_bytes())
        return dict(entry.split("=", 1) for entry in entries)

    def runs(self, command: str) -> int:
        path = self.folder / f"{command}.count"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def queue(
        self, *, token: str = TOKEN, job_id: str = "7", state: str = "PENDING", user: str = "kirby", looks_before: int = 0
    ) -> None:
        """squeue, which knows this job; `looks_before`: so many are answered before slurmctld has it."""
        row = f"{job_id}@{state}|None|{user}|batch||1700000000|N/A|N/A|0|/home/{user}/x@slurmgate:{token}"
        self.says(
            "squeue",
            before=f"[ $(wc -l <{self.folder}/squeue.count) -gt {looks_before} ] || exit 0\n"
            "for word; do case $word in --Format=*) mark=${word#*=JobArrayID:0} mark=${mark%%,*} ;; esac; done\n"
            f"printf '%s\\n' {shlex.quote(row)} | sed \"s/@/$mark/g\"",
        )

    def queue_of_all(self, *, rows: int) -> None:
        """squeue, which knows so many jobs of each of two users."""
        row = f"{{}}@RUNNING|None|{{}}|batch|node1|1700000000|1700000001|N/A|0|x@slurmgate:{TOKEN}"
        lines = "; ".join(
            f"[ ${{user:-{user}}} != {user} ] || seq {first} {first + rows - 1} | sed 's#.*#{row.format('&', user)}#'"
            for first, user in ((1000, "kirby"), (5000, "mario"))
        )
        self.says(
            "squeue",
            before="for word; do case $word in\n"
            "--user=*) user=${word#*=} ;;\n"
            "--Format=*) mark=${word#*=JobArrayID:0} mark=${mark%%,*} ;; esac; done\n"
            f'{{ {lines}; }} | sed "s/@/$mark/g"',
        )

    def accounting(
        self, *, token: str = TOKEN, job_id: str = "7", state: str = "COMPLETED", end: str = "1700000002", others: int = 0
    ) -> None:
        """sacct, which separates as it was told to. Before the job it knows so many `others`, of no token."""
        before = f"seq 1000 {999 + others} | sed 's/.*/{_record('&', state, '')}/'\n" if others else ""
        self.says("sacct", before=f"{{ {before}\necho '{_record(job_id, state, token, end)}'; }} | sed \"s/@/{_DELIMITER}/g\"")

    def accounting_of_all(self, *, steps: int, array: str = "", tasks: int = 0) -> None:
        """sacct, which knows every job that it is asked about, and so many steps of each; `array` has so many tasks instead.

        Task 0 of the array was requeued, so there is another record of it, submitted later.
        """
        row = _record("$job", "COMPLETED", TOKEN)
        requeued = row.replace("COMPLETED", "PREEMPTED"), row.replace("1700000000", "1700000009")
        array_rows = f"seq 1 {tasks - 1} | sed 's/.*/{row.replace('$job', f'{array}_&')}/'"
        job, step = (_record(job_id, "COMPLETED", "") for job_id in ("$job", "$job.$step"))
        self.says(
            "sacct",
            before=f"steps=$(seq 0 {steps - 1}); for word; do case $word in\n"
            "--jobs=*) jobs=$(echo ${word#*=} | tr , ' ') ;;\n"
            "--allocations) steps= ;; esac; done\n"
            "for job in $jobs; do case $job in\n"
            f'{array or "-"}) job={array}_0; printf \'%s\\n\' "{requeued[0]}" "{requeued[1]}"; {array_rows} ;;\n'
            f'{array or "-"}_0) printf \'%s\\n\' "{requeued[0]}" "{requeued[1]}" ;;\n'
            f'{array or "-"}_*) echo "{row}" ;;\n'
            f'*) echo "{job}"; for step in $steps; do echo "{step}"; done ;; esac; done'
            f' | {_COLUMNS} | sed "s/@/{_DELIMITER}/g"',
        )


_DELIMITER = "$(printf '%s\\0' \"$@\" | sed -zn 's/^--delimiter=//p' | tr -d '\\0')"


_COLUMNS = (
    "awk -F@ -v OFS=@ -v have=" + records.ACCOUNT_FORMAT + " -v want=\"$(printf '%s\\n' \"$@\" | sed -n 's/^--format=//p')\" "
    '\'BEGIN { split(have, names, ","); count = split(want, wanted, ","); for (i in names) at[names[i]] = i } '
    "{ line = $at[wanted[1]]; for (i = 2; i <= count; i++) line = line OFS $at[wanted[i]]; print line }'"
)
"""Of records in full, the cells that sacct was asked for."""


def _record(job_id: str, state: str, token: str, end: str = "1700000002") -> str:
    """A row of sacct, with @ between its cells."""
    cells = [job_id, state, "0:0", "0:0", "1700000000", "1700000001", end, "1", "00:01", "", "kirby", "batch"]
    return "@".join([*cells, "node1", "None", "x", f"sbatch --comment=slurmgate:{token} x", ""])


def _split(content: bytes) -> list[str]:
    return [item.decode("utf-8", "surrogateescape") for item in content.split(b"\0")[:-1]]
