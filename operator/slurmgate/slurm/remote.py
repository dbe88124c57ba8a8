"""The programs that run on login nodes: `remote/*.sh`, how they are started, and how their answers are read.

A program travels as one word of base64 for /bin/sh, so that any login shell (csh and fish, too) hands it on as it is. What
comes from people travels on stdin. Answers stand between two sentinel lines; what start files print around them is ignored.
login-node/slurmgate-shell knows this form, and the programs by their digests: `make generate` after a change.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

PROGRAMS = ("belong", "close", "describe", "exits", "find", "origins", "read", "run", "stage", "submit", "tidy")
KILL_AFTER_SECONDS = 5
_BEGIN, _END = b"\nSLURMGATE-BEGIN\n", b"\nSLURMGATE-END\n"
STATUS, ERROR = "SLURMGATE-STATUS", "SLURMGATE-ERROR"
"""Keys that run.sh adds to the output of the command: its exit status and its stderr."""


@cache
def text(name: str) -> str:
    """The source of remote/<name>.sh."""
    return (files("slurmgate.slurm") / "remote" / f"{name}.sh").read_text("utf-8")


@cache
def program(name: str) -> str:
    """What runs there: remote/<name>.sh with what it has in common with the others, without comments."""
    source = text("common") + text(name)
    return "\n".join(line for line in source.splitlines() if not line.startswith("#"))


@cache
def _encoded(name: str) -> str:
    return base64.b64encode(program(name).encode()).decode()


def command(name: str, *arguments: str, seconds: int) -> tuple[str, ...]:
    """The argv that runs remote/<name>.sh for at most this long. `arguments` come from admins or from us, never from people."""
    evaluation = f'eval "$(echo {_encoded(name)}|base64 -d)"'
    limit = ("timeout", "-k", str(KILL_AFTER_SECONDS), str(seconds))
    return (*limit, "/bin/sh", "-c", evaluation, "slurmgate", *arguments)


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

    def has(self, key: str) -> bool:
        """Whether there is such a key."""
        return f"\n{key}=".encode() in self.body

    def number(self, key: str) -> int | None:
        """A value that is a number."""
        value = self.get(key)
        return int(value) if re.fullmatch("[0-9]{1,18}", value) else None

    def content(self, key: str) -> bytes:
        """A value that travelled as base64, or as a plain word after `=`; empty if there is none."""
        value = self.get(key)
        if value.startswith("="):
            return f"{value[1:]}\n".encode()
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:  # binascii.Error, and another one for letters outside ASCII
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


def answers(stdout: bytes) -> tuple[dict[int, Answer], Answer | None]:
    """What a program answered to each thing that it was asked, by number, and what it said of all of them at its end."""
    found = [Answer(body) for piece in stdout.split(_BEGIN)[1:] if (body := _whole(piece))]
    told = {number: each for each in found if (number := each.number("item"))}
    return told, next((each for each in found if not each.has("item")), None)


def _whole(piece: bytes) -> bytes:
    """What stands between the sentinels in a piece that begins after the first one; empty if the second has not come."""
    end = (b"\n" + piece).find(_END)
    return b"\n" + piece[:end] if end >= 0 else b""


def begun(stdout: bytes) -> bool:
    """Whether a program has begun to answer."""
    return _BEGIN in stdout
