"""Rows that stand for several tasks of an array, where other rows are about some of the same tasks."""

from collections.abc import Iterable
from dataclasses import replace

from slurmgate.core.arrays import bits, ranges, several, singly
from slurmgate.core.outcomes import Task


def apart(*sides: Iterable[Task]) -> list[list[Task]]:
    """The rows, taken apart just so far that any two stand for the same tasks or have none in common."""
    listed = [list(side) for side in sides]
    indexes = {task.index for side in listed for task in side if task.index}
    named = {bits([index]): index for index in sorted(filter(several, indexes))}
    if not named:
        return listed
    alone = bits(index for index in indexes if index.isdecimal())
    parts = [alone]
    for group in named:
        rest = group
        for part in parts:
            rest &= ~part
        parts = [piece for part in parts for piece in (part & group, part & ~group) if piece] + [rest] * bool(rest)

    def pieces(task: Task) -> list[Task]:
        if not several(task.index):
            return [task]
        group = bits([task.index or ""])
        found = {part: named.get(part) or ranges(part) for part in parts if part & group and not part & alone}
        lowest = {(part & -part).bit_length() - 1: name for part, name in found.items()}
        lowest |= {index: str(index) for index in singly(group & alone)}
        return [task if name == task.index else replace(task, index=name) for _, name in sorted(lowest.items())]

    return [[piece for task in side for piece in pieces(task)] for side in listed]
