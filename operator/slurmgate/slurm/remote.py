"""The programs that run on login nodes: `remote/*.sh`, how they are started, and how their answers are read.

A program travels as one word of base64 for /bin/sh, so that any login shell (csh and fish, too) hands it on as it is. What
comes from people travels on stdin. Answers stand between two sentinel lines; what start files print around them is ignored.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

KILL_AFTER_SECONDS = 5
_BEGIN, _END = b"\nSLURMGATE-BEGIN\n", b"\nSLURMGATE-END\n"
STATUS, ERROR = "SLURMGATE-STATUS", "SLURMGATE-ERROR"
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
    """What stands between the sentinels.

    It is read where it lies: as a list of lines, a start file that prints line ends would make it many times as large.
    """

    body: bytes = field(repr=False)
    """Lines, with a line end before and after each."""

    def all(self, key: str) -> Iterator[str]:
        """All values of a key."""
        return self._found(rf"\n{key}=(.*)")

    def get(self, key: str) -> str:
        """The value of a key (the last one), empty if there is none."""
        start = self.body.rfind(f"\n{key}=".encode())
        return next(self._found(rf"\n{key}=(.*)", start), "") if start >= 0 else ""

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

    def rows(self, mark: str) -> Iterator[str]:
        """The lines in which this mark stands: rows that a command started by run.sh has printed."""
        end = 0
        while (found := self.body.find(mark.encode(), end)) >= 0:
            end = self.body.index(b"\n", found)
            yield self.body[self.body.rindex(b"\n", 0, found) + 1 : end].decode("utf-8", "replace")

    def _found(self, pattern: str, start: int = 0) -> Iterator[str]:
        matches = re.compile(pattern.encode()).finditer(self.body, start)
        return (match[1].decode("utf-8", "replace") for match in matches)


def answer(stdout: bytes) -> Answer | None:
    """What a program answered; None if it did not come to its end."""
    begin, end = stdout.find(_BEGIN), stdout.rfind(_END)
    return Answer(stdout[begin + len(_BEGIN) - 1 : end + 1]) if 0 <= begin < end else None


def begun(stdout: bytes) -> bool:
    """Whether a program has begun to answer."""
    return _BEGIN in stdout
