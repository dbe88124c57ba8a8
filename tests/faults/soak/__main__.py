"""`python -m tests.faults.soak`: faults without end, and a judge at the end."""

import random
import sys
from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from tests.faults.soak.course import BRIEF, Terms, soak
from tests.faults.soak.faults.table import FAULTS
from tests.faults.soak.report import keep, show

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def main(
    injections: Annotated[int, typer.Option(min=1, help="How many faults.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same faults and submissions.")] = None,
    only: Annotated[str, typer.Option(help="Only faults with this in their names.")] = "",
    *,
    brief: Annotated[bool, typer.Option(help="Shorter faults, and an operator that waits less, as in make test.")] = False,
) -> None:
    """Never lost, never twice, never wrong? Exit code 1 if anything was."""
    seed = random.randrange(1_000_000) if seed is None else seed
    console = Console()
    console.print(f"seed {seed}")
    terms = replace(BRIEF if brief else Terms(), table=[fault for fault in FAULTS if only in fault.name])
    result = soak(f"soak-{seed}", seed=seed, injections=injections, terms=terms, tell=console.log)
    show(result, console)
    console.print(f"Everything about it is in {keep(result)}")
    sys.exit(bool(result.failures))


if __name__ == "__main__":
    app()
