"""What people read: the goals, and a table of figures for each measure."""

from collections.abc import Iterator

from benchmarks.load.ground import TICK_SECONDS
from benchmarks.load.measures import OURS, SSH, WRITES
from benchmarks.measuring import publishing, table
from benchmarks.measuring.goals import Goal
from benchmarks.measuring.samples import Run, Sample

_PAGE = """\
# Many submissions: Slurmgate, and what Slurm and the API server can do by themselves

One run of `make bench-load` on {about[day]}: {about[machine]}; Slurmgate {about[Slurmgate]}, Slurm {about[Slurm]},
SlurmClusters polled every {tick} s. Everything is real, and shares one machine: only ratios within this page mean anything.
Figures are medians of all rounds, with the least and the most. "loop" says how fast the machine was just before: milliseconds
for a million steps of Python. CPU seconds are those of child processes, too. No job runs: all are held.

{goals}

{figures}
"""

GOALS = (
    Goal("jobs/s, of those of asyncssh: at least 0.7", "1000 submissions at once, .*", "jobs/s", least=0.7, beside=SSH),
    Goal("p50 s: less than 0.15", "one submission at a time", "p50 s", most=0.15),
    Goal("p99 s: less than 0.5", "one submission at a time", "p99 s", most=0.5),
    Goal("p50 s: less than 3", "one submission at a time, .*", "p50 s", most=3),
    Goal("commands per tick: at most 2", "10000 active, .*", "commands per tick", most=2.2),
    Goal("% of a core: less than 5", "10000 active, .*", "core %", most=5),
    Goal("API writes: none", "10000 active, .*", "API writes", most=0),
    Goal("most MiB, with start and burst: less than 250", "10000 active, .*", "most MiB", most=250),
    Goal("s: at most a tick and 2", "a change in Slurm, .*", "most s", most=TICK_SECONDS + 2),
    Goal("s: less than 30", "started again, .*", "tracking again s", most=30),
    Goal("sbatch: none", "started again, .*", "sbatch", most=0),
    Goal("commands: at most 5", "started again, .*", "commands", most=5),
    Goal("writes/s, of the API server's: at least 0.6", "1000 jobs end at once", "writes/s", least=0.6, beside=WRITES),
    Goal("commands: at most 20", "1000 cancelled at once", "commands", most=20),
    Goal("s: less than 2", "start to ready", "ready s", most=2),
    Goal("MiB: less than 70", "start to ready", "most MiB", most=70),
)


def page(run: Run) -> str:
    """All of it."""
    return _PAGE.format(
        about=run.about,
        tick=TICK_SECONDS,
        goals="\n".join(_goals(run)),
        figures="\n\n".join("\n".join(_figures(run, measure)) for measure in run.measures),
    )


def line(sample: Sample) -> str:
    """What is told while it runs."""
    return f"{sample.measure}: {sample.who}: " + ", ".join(f"{name} {value:.3g}" for name, value in sample.figures.items())


def _goals(run: Run) -> Iterator[str]:
    yield from table.heading("", "goal", "")
    for goal in GOALS:
        for measure in filter(goal.concerns, run.measures):
            if (value := goal.value(run.medians(measure), OURS)) is not None:
                yield table.row(measure, goal.words, f"{value:.3g}, {'met' if goal.met(value) else '**not met**'}")


def _figures(run: Run, measure: str) -> Iterator[str]:
    yield f"## {measure}"
    yield ""
    if image := publishing.image(run, measure, GOALS):
        yield image
        yield ""
    yield from table.figures(run, measure)
