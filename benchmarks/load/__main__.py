"""`python -m benchmarks.load`: all measures in turn on one bed, and a page with what has come of them."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from bed.errors import BedError
from bed.report import say
from benchmarks.load import measures, table
from benchmarks.load.client import Client, client
from benchmarks.load.ground import USERS, Ground, ground
from benchmarks.measuring import host
from benchmarks.measuring.publishing import RESULTS, publish
from benchmarks.measuring.samples import Run, Sample

_ACTIVE = 10_000

Measure = partial[Coroutine[Any, Any, list[Sample]]]

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often what is short is repeated.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help="Only these measures, by the names of their functions.")] = None,
    active: Annotated[int, typer.Option(min=20, help="How many jobs are active where that is measured.")] = _ACTIVE,
    results: Annotated[Path, typer.Option(help="Where to write the page; data and plots go beside it.")] = RESULTS / "load.md",
) -> None:
    """Bursts, single ones, changes, ends, cancels and ten thousand active: about twenty minutes on a quiet machine."""
    try:
        with ground(f"bench-load-{os.getpid()}") as here:
            asyncio.run(_run(here, rounds, only or [], active, results))
    except BedError as error:
        say(str(error))
        sys.exit(1)
    say(f"Written to {results}")


async def _run(here: Ground, rounds: int, only: Sequence[str], active: int, results: Path) -> None:
    samples: list[Sample] = []
    async with client(here.bed) as kubectl:
        for measure in _plan(here, kubectl, rounds, active):
            if only and measure.func.__name__ not in only:
                continue
            for sample in await measure():
                samples.append(sample)
                say(table.line(sample))
            run = Run("load", host.about(here.bed), samples)
            await asyncio.to_thread(publish, run, table.page, table.GOALS, to=results)


def _plan(here: Ground, kubectl: Client, rounds: int, active: int) -> Iterator[Measure]:
    """What is short, again and again; then what is long."""
    for _ in range(rounds):
        yield partial(measures.starting, here)
        yield partial(measures.burst, here, kubectl, count=1000, users=USERS)
        yield partial(measures.burst, here, kubectl, count=1000, users=1)
        yield partial(measures.single, here, kubectl, count=30)
        yield partial(measures.single, here, kubectl, count=10, others=1000)
        yield partial(measures.cancelling, here, kubectl, count=1000)
        yield partial(measures.ending, here, kubectl, count=1000)
    yield partial(measures.active, here, kubectl, count=active, seconds=60)


if __name__ == "__main__":
    app()
