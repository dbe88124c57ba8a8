"""Index expressions of job arrays, as sbatch --array and squeue write them: `0-9:2,20%3`."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from slurmgate.core.outcomes import Task

MOST_TASKS = 4_000_001
"""Slurm's own ceiling for MaxArraySize (man slurm.conf): no index is as large as this."""

_PART = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7})(?::([0-9]{1,7}))?)?")


def indexes(expression: str, *, most: int = MOST_TASKS) -> tuple[int, ...]:
    """All indexes of an expression, in its order. Raises ValueError for what is none, and for more than `most`."""
    found: list[int] = []
    for span in _spans(expression):
        if len(found) + len(span) > most:
            raise ValueError(f"more tasks than there can be: {expression!r}")
        found.extend(span)
    return tuple(found)


def count(expression: str) -> int:
    """How many different indexes an expression has, at the price of one byte for each. Raises ValueError for what is none."""
    spans = tuple(_spans(expression))
    if sum(map(len, spans)) > MOST_TASKS:
        raise ValueError(f"more tasks than Slurm allows: {expression!r}")
    wanted = bytearray(max(span[-1] for span in spans) + 1)
    for span in spans:
        wanted[span.start : span.stop : span.step] = b"\1" * len(span)
    return wanted.count(1)


def _spans(expression: str) -> Iterator[range]:
    for part in expression.split("%", maxsplit=1)[0].split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"not an array expression: {expression!r}")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if not first <= last < MOST_TASKS:
            raise ValueError(f"not an array expression that Slurm takes: {expression!r}")
        yield range(first, last + 1, step or 1)


def ranges(numbers: Iterable[int]) -> str:
    """The shortest expression for these indexes: `0-6,9`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def expanded(task: Task, *, most: int = MOST_TASKS) -> tuple[Task, ...]:
    """One task for each index of a row that stands for several, such as `59_[4-9%2]`; the row itself if they are too many."""
    if task.index is None or task.index.isdigit() or task.index.startswith("+"):
        return (task,)
    try:
        numbers = indexes(task.index.strip("[]"), most=most)
    except ValueError:
        return (task,)
    return tuple(replace(task, index=str(number)) for number in numbers)
