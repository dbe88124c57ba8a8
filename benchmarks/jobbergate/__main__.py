"""`python -m benchmarks.jobbergate`: everybody in turn on one bed, and a page with what has come of it."""

import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bed.errors import BedError
from bed.report import say
from benchmarks.jobbergate import measures, table
from benchmarks.jobbergate.contestants import Contestant
from benchmarks.jobbergate.counting import ACTIVE, PENDING
from benchmarks.jobbergate.floor import Floor
from benchmarks.jobbergate.ground import Ground, ground
from benchmarks.jobbergate.measures import Sample
from benchmarks.jobbergate.rival import Agent
from benchmarks.jobbergate.slurmgate import Slurmgate
from benchmarks.jobbergate.table import Measure
from benchmarks.measuring.publishing import RESULTS, publish

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often what is short is repeated.")] = 2,
    only: Annotated[list[str] | None, typer.Option(help="Only contestants with this, or one of these, in their names.")] = None,
    results: Annotated[Path, typer.Option(help="Where to write the page; data and plots go beside it.")] = RESULTS
    / "jobbergate.md",
) -> None:
    """Floor, Agent and Slurmgate side by side: twenty to thirty minutes on a machine that does nothing else."""
    samples: dict[Measure, list[Sample]] = {}
    try:
        with ground(f"bench-{os.getpid()}") as here:
            for measure, sample in _samples(here, rounds, only or [""]):
                samples.setdefault(measure, []).append(sample)
                say(table.line(measure, sample))
                publish(table.run_of(samples, here.bed), partial(table.page, samples), table.GOALS, to=results)
    except BedError as error:
        say(str(error))
        sys.exit(1)
    say(f"Written to {results}")


def _samples(here: Ground, rounds: int, only: list[str]) -> Iterator[tuple[Measure, Sample]]:
    # At its own interval the Agent submits undisturbed; where only counts matter, or how long news takes, it shall not wait.
    floor, usual, quick, slurmgate = Floor(here), Agent(here, 60), Agent(here, 10), Slurmgate(here)

    def chosen(*contestants: Contestant) -> list[Contestant]:
        return [contestant for contestant in contestants if any(word in contestant.name for word in only)]

    for _ in range(rounds):
        for each in chosen(floor, usual, slurmgate):
            yield Measure.AT_ONCE, measures.submitting(here, each, pending=200)
    for each in chosen(usual, slurmgate):
        yield Measure.AMONG_ACTIVE, measures.arriving(here, each, pending=200, active=1000)
    for each in chosen(usual, slurmgate):
        yield Measure.IN_A_MINUTE, measures.arriving(here, each, pending=200, active=1000, over_seconds=60)
    for each in chosen(floor, quick, slurmgate):
        yield Measure.CHANGES, measures.ending(here, each, active=1000, pending=20)
    here.clear()
    here.hold(5000)
    for each in chosen(quick):
        yield Measure.REST, measures.resting(here, each, look=ACTIVE, looks=1)
    for each in chosen(slurmgate):
        yield Measure.REST, measures.resting(here, each, look=PENDING, looks=20)


if __name__ == "__main__":
    app()
