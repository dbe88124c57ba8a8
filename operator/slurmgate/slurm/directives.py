"""The `#SBATCH` lines of a script, read as sbatch reads them (src/sbatch/opt.c: _opt_batch_script, get_argument).

sbatch looks at the comments before the first command. An option that is overlooked here escapes the cluster's policy, so what
sbatch might read in another way than we do is refused.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from slurmgate.slurm.options import NotUnderstoodError, Option, Word, parse

_SPACE = " \t\n\v\f\r"
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_MAGIC = re.compile(rb"#(?:SBATCH|SLURM)")
_SEPARATOR = re.compile(rf"[{_SPACE}]*(?:het|pack)job(?![^{_SPACE}])", re.IGNORECASE)
_MOST_BYTES = 64 * 1024
_GAP = re.compile(rf"[{_SPACE}]*")
_PIECE = re.compile(
    rf"""(?P<plain>[^{_SPACE}"'\\#]+)|\\(?P<escaped>[^{_SPACE}])|(?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)"""
)
_FOREIGN_COMMANDS = 100
"""Lines of PBS and LSF are looked for among this many commands, too (src/sbatch/xlate.c)."""


@dataclass(frozen=True, slots=True)
class Directives:
    """What a script asks sbatch for."""

    components: tuple[tuple[Option, ...], ...]
    """Of each component of the job, of which there are several in a heterogeneous one (`#SBATCH hetjob`)."""
    foreign: str | None = None
    """Where the first `#PBS` or `#BSUB` line is, which sbatch would translate."""

    @property
    def options(self) -> tuple[Option, ...]:
        """Those of all components."""
        return tuple(option for component in self.components for option in component)

    @property
    def het(self) -> bool:
        """Whether the job is heterogeneous."""
        return len(self.components) > 1


def head(script: bytes) -> bytes:
    """The comment and blank lines before the first command."""
    end = 0
    for line in _LINE.finditer(script):
        text = line[0].strip(_SPACE.encode())
        if text and not text.startswith(b"#"):
            break
        end = line.end()
    return script[:end]


def read(script: bytes, *, allowed: Collection[str] = ()) -> Directives:
    """Read a script. `allowed` as in `options.parse`.

    Raises:
        NotUnderstoodError: naming the word and its line.
    """
    components: list[list[Word]] = [[]]
    size = 0
    for number, line in enumerate(_LINE.findall(head(script)), start=1):
        if magic := _MAGIC.match(line):
            text = line[magic.end() :].decode("utf-8", "surrogateescape")
            where = f"line {number} of the script"
            size += len(line)
            if size > _MOST_BYTES:
                raise NotUnderstoodError(f"{where}: more than 64 KiB of #SBATCH lines")
            if separator := _SEPARATOR.match(text):
                components.append([])
                if any(words(text[separator.end() :], where)):
                    raise NotUnderstoodError(f"{where}: a line that begins another component can hold nothing else")
                continue
            components[-1].extend(Word(word, where) for word in words(text, where))
    return Directives(tuple(parse(component, allowed=allowed) for component in components), _foreign(script))


def words(text: str, where: str) -> Iterator[str]:
    """The words of what stands behind `#SBATCH` in one line.

    Raises:
        NotUnderstoodError: naming the word and `where` it stands.
    """
    position = 0
    while True:
        position = _end(_GAP, text, position)
        word = ""
        if separator := _SEPARATOR.match(text, position):  # for sbatch it is one anywhere, and the rest of the line is lost
            raise NotUnderstoodError(f"{where}: {separator[0].strip()} begins another component; use quotes")
        while piece := _PIECE.match(text, position):
            word += piece["plain"] or piece["escaped"] or re.sub(r"\\(.)", r"\1", piece["quoted"] or "")
            position = piece.end()
        stop = text[position : position + 1]
        if stop == "\\":
            raise NotUnderstoodError(f"{where}: versions of sbatch differ on '\\' before a space; use quotes")
        if stop in {'"', "'"}:
            raise NotUnderstoodError(f"{where}: {stop} is not closed")
        if not word:  # the end; or '', which for sbatch is the end as well
            return
        yield word
        if stop == "#":
            return


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _foreign(script: bytes) -> str | None:
    commands = 0
    for number, line in enumerate(_LINE.findall(script), start=1):
        if line.startswith((b"#PBS", b"#BSUB")):
            return f"line {number} of the script"
        commands += not line.startswith(b"#")
        if commands > _FOREIGN_COMMANDS:
            break
    return None
