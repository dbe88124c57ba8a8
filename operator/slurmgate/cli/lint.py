"""What is wrong with the files of a user mapping, before they are merged: in the very words of the SlurmCluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slurmgate.identity.document import SIZE_LIMIT
from slurmgate.identity.mapping import File, Problem, merged, parse


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found."""

    problems: tuple[str, ...]
    summary: str


def lint(paths: Sequence[Path], *, inline_keys: bool, certified: bool = False) -> Findings:
    """Read files as the operator would, as one mapping (see `parse`)."""
    mapping = merged(_read(path, inline_keys=inline_keys, certified=certified) for path in paths)
    problems = tuple(map(str, mapping.problems))
    files = "1 file" if len(paths) == 1 else f"{len(paths)} files"
    people = "1 person" if len(mapping.entries) == 1 else f"{len(mapping.entries)} people"
    return Findings(problems, f"{files}, {people}, {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}")


def _read(path: Path, *, inline_keys: bool, certified: bool) -> File:
    try:
        with path.open("rb") as file:
            text = file.read(SIZE_LIMIT + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "not UTF-8"
        return File(problems=(Problem(str(path), f"cannot be read: {words}"),), readable=False)
    return parse(text, inline_keys=inline_keys, certified=certified, source=str(path))
