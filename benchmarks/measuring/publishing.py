"""Writes a page, with the data that it is made of and a plot of each measure beside it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measuring.goals import Goal
from benchmarks.measuring.plot import Panel, chart
from benchmarks.measuring.samples import Run

RESULTS = Path(__file__).parents[1] / "results"


def publish(run: Run, page: Callable[[Run], str], goals: Sequence[Goal], *, to: Path) -> None:
    """Write the page `to` there, data and plots beside it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    run.save(to.with_suffix(".json"))
    to.write_text(page(run))
    for measure in run.measures:
        if panels := _panels(run, measure, goals):
            plot = to.parent / _plot(run, measure)
            plot.parent.mkdir(exist_ok=True)
            plot.write_text(chart(measure, panels))


def image(run: Run, measure: str, goals: Sequence[Goal]) -> str:
    """The measure's plot, as a page shows it; empty if it has none."""
    return f"![{measure}]({_plot(run, measure)})" if _panels(run, measure, goals) else ""


def _plot(run: Run, measure: str) -> str:
    return f"{run.benchmark}/{re.sub('[^a-z0-9]+', '-', measure.lower()).strip('-')}.svg"


def _panels(run: Run, measure: str, goals: Sequence[Goal]) -> list[Panel]:
    """One for each figure that a goal is set for."""
    values, medians = run.values(measure), run.medians(measure)
    lines = {goal.figure: goal.line(medians) for goal in goals if goal.concerns(measure)}
    bars = {figure: {who: of[figure] for who, of in values.items() if figure in of} for figure in lines}
    return [Panel(figure, bars[figure], line) for figure, line in lines.items() if bars[figure]]
