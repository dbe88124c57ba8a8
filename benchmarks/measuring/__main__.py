"""`python -m benchmarks.measuring OLD [NEW]`: what has become of each figure since an older run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measuring.publishing import RESULTS
from benchmarks.measuring.samples import Run
from benchmarks.measuring.table import heading, row

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main(
    old: Annotated[Path, typer.Argument(help="The data of the older run.")],
    new: Annotated[Path | None, typer.Argument(help="That of the newer one; else what lies in benchmarks/results.")] = None,
) -> None:
    """The medians of both, and how many times the old one the new one is."""
    before = Run.load(old)
    typer.echo("\n".join(changes(before, Run.load(new or RESULTS / f"{before.benchmark}.json"))))


def changes(old: Run, new: Run) -> Iterator[str]:
    """A table with a line for each figure that both have."""
    for name in dict.fromkeys((*old.about, *new.about)):
        said = dict.fromkeys(run.about.get(name, "not said") for run in (old, new))
        yield f"{name}: {' → '.join(said)}"
    yield ""
    yield from heading("measure", "who", "figure", "old", "new", "new / old")
    for measure in old.measures:
        before, after = old.medians(measure), new.medians(measure)
        for who, figures in before.items():
            for name, value in figures.items():
                if (now := after.get(who, {}).get(name)) is not None:
                    yield row(measure, who, name, f"{value:.3g}", f"{now:.3g}", f"{now / value:.2f}" if value else "")


if __name__ == "__main__":
    app()
