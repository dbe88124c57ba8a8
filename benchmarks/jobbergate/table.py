"""What people read: a page with the goals, and the figures behind them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

from bed.jobbergate import agent
from bed.life import Bed
from benchmarks.jobbergate.measures import Sample
from benchmarks.measuring import host, publishing
from benchmarks.measuring import samples as data
from benchmarks.measuring.goals import Goal
from benchmarks.measuring.samples import Run
from benchmarks.measuring.table import heading, percentile, row, spread

_PAGE = """\
# Jobbergate's submissions: Slurmgate and the Jobbergate Agent

One run of `make bench-jobbergate` on {about[day]}: {about[machine]}; Slurmgate {about[Slurmgate]},
Jobbergate API {about[Jobbergate API]} (one worker), Jobbergate Agent {about[Jobbergate Agent]}, Slurm {about[Slurm]}.
Everything is real, and shares one machine: only ratios within this page mean anything.

{goals}
"work" is from the look that led to it, or from the first report, to the last report. Waiting for the next look is not in it,
but in "created → submitted". Of several runs, the one with the middle work is shown, and the spread of all. "loop" says how
fast the machine was just before: milliseconds for a million steps of Python. CPU seconds are those of child processes, too.

Slurm {about[Slurm]} has no `scontrol --json`, which the Agent needs: it is given a `scontrol` that makes it out of
`scontrol --oneliner` ([scontrol.sh](../../bed/jobbergate/scontrol.sh)). The Agent's commands are those of its own log;
Slurmgate's are counted by a line of shell in front of each. No job runs: those asked for begin tomorrow, active ones are held.

{figures}"""
_COLUMNS = (
    "",
    "runs",
    "work s",
    "created → submitted p50 / p95 / max s",
    "end → reported p50 / max s",
    "API calls",
    "commands on the cluster",
    "CPU s",
    "loop ms",
)


class Measure(Enum):
    """What is measured, as a heading."""

    AT_ONCE = "200 pending at once"
    AMONG_ACTIVE = "200 pending at once, 1,000 active"
    IN_A_MINUTE = "200 pending within a minute, 1,000 active"
    CHANGES = "1,000 jobs end at once, then 20 are pending"
    REST = "5,000 active, nothing changes"


Samples = Mapping[Measure, Sequence[Sample]]


GOALS = tuple(
    Goal(words, re.escape(measure.value), figure, most=most, beside=beside)
    for measure, words, figure, most, beside in (
        (Measure.AT_ONCE, "work, times the floor's", "work s", 1.2, "floor"),
        (Measure.AT_ONCE, "API calls, times the floor's", "API calls", 1.2, "floor"),
        (Measure.IN_A_MINUTE, "created → submitted, p50, s", "created → submitted p50 s", 3, ""),
        (Measure.CHANGES, "work, times the floor's", "work s", 1.2, "floor"),
        (Measure.CHANGES, "created → submitted, p50, s", "created → submitted p50 s", 3, ""),
        (Measure.REST, "API calls for each look, but of its health", "API calls per look, but of its health", 2, ""),
        (Measure.REST, "commands for each look", "commands per look", 2, ""),
        (Measure.REST, "updates", "updates", 0, ""),
    )
)


def run_of(samples: Samples, bed: Bed) -> Run:
    """The samples as data, with what they were measured on."""
    versions = {"Jobbergate API": bed.jobbergate.description.version, "Jobbergate Agent": agent.VERSION}
    return Run("jobbergate", host.about(bed) | versions, as_data(samples))


def as_data(samples: Samples) -> list[data.Sample]:
    """What the goals, the plots and later comparisons need of them."""
    return [data.Sample(measure.value, each.who, each.figures) for measure, of_it in samples.items() for each in of_it]


def page(samples: Samples, run: Run) -> str:
    """All of it."""
    return _PAGE.format(
        about=run.about,
        goals="\n".join(goals(run)),
        figures="\n".join(
            line for measure, of_it in samples.items() for line in (*figures(measure, of_it), *_plot(measure, run))
        ),
    )


def _plot(measure: Measure, run: Run) -> Iterator[str]:
    if image := publishing.image(run, measure.value, GOALS):
        yield image
        yield ""


def line(measure: Measure, sample: Sample) -> str:
    """What is told while it runs."""
    told = f"{sample.seconds:.1f} s, {sample.calls.total()} calls; loop {sample.loop_milliseconds:.0f} ms"
    return f"{measure.value}: {sample.who}: {told}"


def goals(run: Run) -> Iterator[str]:
    """Who met which goal, as a table."""
    yield from heading("", "goal", "Slurmgate", "Agent", "Agent / Slurmgate")
    for goal in GOALS:
        for measure in Measure:
            if goal.concerns(measure.value):
                ours, theirs = (goal.value(run.medians(measure.value), who) for who in ("Slurmgate", "Agent"))
                yield row(
                    measure.value,
                    f"{goal.words}: at most {goal.most:g}",
                    "" if ours is None else f"{ours:.2f}, {'met' if goal.met(ours) else '**not met**'}",
                    "" if theirs is None else f"{theirs:.2f}",
                    f"{theirs / ours:.0f}" if ours and theirs is not None else "",
                )
    yield ""


def figures(measure: Measure, samples: Sequence[Sample]) -> Iterator[str]:
    """Everybody's figures, as a table with its heading."""
    yield f"## {measure.value}"
    yield ""
    yield from heading(*_COLUMNS)
    for who in dict.fromkeys(sample.who for sample in samples):
        runs = [sample for sample in samples if sample.who == who]
        middle = _middle(runs)
        yield row(
            who,
            str(len(runs)),
            spread([sample.seconds for sample in runs], ".1f"),
            _percentiles(middle.submitted, 50, 95, 100),
            _percentiles(middle.ended, 50, 100),
            _counted(middle.calls, middle.looks),
            _counted(middle.commands, middle.looks),
            ", ".join(f"{name} {seconds:.1f}" for name, seconds in middle.cpu.items()),
            f"{middle.loop_milliseconds:.0f}",
        )
    yield ""


def _middle(runs: Sequence[Sample]) -> Sample:
    """The run whose work took the middle time."""
    return sorted(runs, key=lambda sample: sample.seconds)[len(runs) // 2]


def _percentiles(ordered: Sequence[float], *percents: int) -> str:
    return " / ".join(f"{percentile(ordered, percent):.1f}" for percent in percents) if ordered else ""


def _counted(counter: Counter[str], looks: int) -> str:
    if not counter:
        return ""
    parts = ", ".join(f"{number} {name}" for name, number in counter.most_common())
    during = f" in {looks} looks" if looks > 1 else ""
    return f"{counter.total()}{during}: {parts}"
