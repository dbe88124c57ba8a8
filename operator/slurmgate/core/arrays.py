"""Index expressions of job arrays, as sbatch --array and squeue write them: `0-9:2,20%3`."""

import re
from collections.abc import Iterable, Iterator

MOST_TASKS = 4_000_001
"""Slurm's own ceiling for MaxArraySize (man slurm.conf): no index is as large as this."""

_PART = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7})(?::([0-9]{1,7}))?)?")


def several(index: str | None) -> bool:
    """Whether a row's index stands for several tasks, such as those that Slurm has not split off yet."""
    return index is not None and ("-" in index or "," in index)


def count(expression: str) -> int:
    """How many different indexes an expression has. Raises ValueError for what is none, and for more than there can be."""
    return bits([expression]).bit_count()


def bits(expressions: Iterable[str]) -> int:
    """All indexes of these expressions as one number, with a bit for each: so large sets are compared at once.

    Raises ValueError for what is no expression, and for more indexes than there can be.
    """
    spans = [span for expression in expressions for span in _spans(expression)]
    if sum(map(len, spans)) > MOST_TASKS:
        raise ValueError(f"more tasks than Slurm allows: {MOST_TASKS} at most")
    digits = bytearray(b"0") * (1 + max((span[-1] for span in spans), default=0))
    for span in spans:
        digits[span.start : span.stop : span.step] = b"1" * len(span)
    return int(digits[::-1], 2)


def ranges(wanted: int) -> str:
    """The shortest expression for the indexes with these bits: `0-6,9`."""
    runs = (run.span() for run in re.finditer("1+", bin(wanted)[:1:-1]))
    return ",".join(str(first) if first == end - 1 else f"{first}-{end - 1}" for first, end in runs)


def singly(wanted: int) -> Iterator[int]:
    """Each index with one of these bits, the smallest first."""
    return (found.start() for found in re.finditer("1", bin(wanted)[:1:-1]))


def _spans(expression: str) -> Iterator[range]:
    if expression.isdecimal() and expression.isascii() and int(expression) < MOST_TASKS:  # so are nearly all
        yield range(int(expression), int(expression) + 1)
        return
    for part in expression.split("%", maxsplit=1)[0].split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"not an array expression: {expression!r}")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if not first <= last < MOST_TASKS:
            raise ValueError(f"not an array expression that Slurm takes: {expression!r}")
        yield range(first, last + 1, step or 1)
