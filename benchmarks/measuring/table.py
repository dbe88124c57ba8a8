"""Tables in Markdown. Pure."""

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.measuring.samples import Run


def row(*cells: str) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def heading(*cells: str) -> Iterator[str]:
    """The lines that begin a table."""
    yield row(*cells)
    yield row(*("---" for _ in cells))


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Of values in order, the one that so many percent do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def spread(values: Sequence[float], form: str = ".3g") -> str:
    """The median, with the least and the most if there are several; empty if there are none."""
    if not values:
        return ""
    middle, least, most = (f"{value:{form}}" for value in (statistics.median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least} to {most})"


def figures(run: Run, measure: str) -> Iterator[str]:
    """All figures of a measure: a column for everybody."""
    values = run.values(measure)
    yield from heading("", *values)
    for name in dict.fromkeys(name for of in values.values() for name in of):
        yield row(name, *(spread(of.get(name, ())) for of in values.values()))
