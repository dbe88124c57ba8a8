"""The programs that run on login nodes: `remote/*.sh`, how they are started, and how their answers are read.

A program travels as one word of base64 for /bin/sh, so that any login shell (csh and fish, too) hands it on as it is. What
comes from people travels on stdin. Answers stand between two sentinel lines; what start files print around them is ignored.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

KILL_AFTER_SECONDS = 5
_BEGIN, _END, _RUN = "SLURMGATE-BEGIN", "SLURMGATE-END", "SLURMGATE-"
STATUS, ERROR = f"{_RUN}STATUS", f"{_RUN}ERROR"
"""Keys that run.sh adds to the output of the command: its exit status and its stderr."""


@cache
def text(name: str) -> str:
    """The source of remote/<name>.sh."""
    return (files("slurmgate.slurm") / "remote" / f"{name}.sh").read_text("utf-8")


@cache
def _encoded(name: str) -> str:
    source = text("common") + text(name)
    lines = [line for line in source.splitlines() if not line.startswith("#")]
    return base64.b64encode("\n".join(lines).encode()).decode()


def command(name: str, *arguments: str, seconds: int) -> tuple[str, ...]:
    """The argv that runs remote/<name>.sh for at most this long. `arguments` come from admins or from us, never from people."""
    program = f'eval "$(echo {_encoded(name)}|base64 -d)"'
    limit = ("timeout", "-k", str(KILL_AFTER_SECONDS), str(seconds))
    return (*limit, "/bin/sh", "-c", program, "slurmgate", *arguments)


@dataclass(frozen=True, slots=True)
class Answer:
    """The lines between the sentinels."""

    lines: tuple[str, ...]

    def all(self, key: str) -> tuple[str, ...]:
        """All values of a key."""
        return tuple(line[len(key) + 1 :] for line in self.lines if line.startswith(f"{key}="))

    def get(self, key: str) -> str:
        """The value of a key (the last one), empty if there is none."""
        return next(reversed(self.all(key)), "")

    def number(self, key: str) -> int | None:
        """A value that is a number."""
        value = self.get(key)
        return int(value) if re.fullmatch("[0-9]{1,18}", value) else None

    def content(self, key: str) -> bytes:
        """A value that travelled as base64; empty if there is none."""
        try:
            return base64.b64decode(self.get(key), validate=True)
        except binascii.Error:
            return b""

    def words(self, key: str) -> str:
        """A value that travelled as base64, as text for people."""
        return self.content(key).decode("utf-8", "replace").strip()

    @property
    def rows(self) -> tuple[str, ...]:
        """The output of a command started by run.sh."""
        return tuple(line for line in self.lines if line and not line.startswith(_RUN))


def answer(stdout: bytes) -> Answer | None:
    """What a program answered; None if it did not come to its end."""
    lines = stdout.decode("utf-8", "replace").split("\n")
    try:
        begin = lines.index(_BEGIN)
        end = len(lines) - 1 - lines[::-1].index(_END)
    except ValueError:
        return None
    return Answer(tuple(lines[begin + 1 : end])) if begin < end else None
