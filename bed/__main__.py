"""`python -m bed`: start, look at and end test beds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from bed import life, state
from bed.errors import BedError
from bed.report import say
from bed.state import Description

app = typer.Typer(help="Slurm, a Kubernetes API server and Jobbergate's API, all real, on this machine.", no_args_is_help=True)

Name = Annotated[str, typer.Option(help="Which bed: several can be up side by side.")]


@app.command()
def up(
    name: Name = "default",
    *,
    slurm: Annotated[bool, typer.Option(help="Start Slurm.")] = True,
    kubernetes: Annotated[bool, typer.Option(help="Start Kubernetes.")] = True,
    jobbergate: Annotated[bool, typer.Option(help="Start Jobbergate's API.")] = False,
) -> None:
    """Start a bed. It stays up until `down`."""
    began = time.monotonic()
    with _plainly():
        bed = life.up(name, slurm=slurm, kubernetes=kubernetes, jobbergate=jobbergate)
        say(f"Ready after {time.monotonic() - began:.1f} s")
        _print(bed.description)


@app.command()
def down(name: Name = "default") -> None:
    """End a bed and remove what it left; caches stay."""
    with _plainly():
        say(f"The bed {name} is down" if life.down(name) else f"There is no bed {name}")


@app.command()
def status(name: Name = "default") -> None:
    """Say whether a bed is up and how to reach it; exit code 1 if it is not up."""
    with _plainly():
        bed = life.find(name)
        if bed is None:
            raise BedError(f"The bed {name} is not up (python -m bed up --name {name}).")
        _print(bed.description)


def _print(description: Description) -> None:
    print(f"Bed {description.name}: {state.folder(description.name)}/bed.json")
    if kubernetes := description.kubernetes:
        print(f"  Kubernetes at {kubernetes.server}")
        print(f"    export KUBECONFIG={kubernetes.kubeconfig}")
        print(f"    {kubernetes.kubectl} get namespaces")
    if jobbergate := description.jobbergate:
        print(f"  Jobbergate {jobbergate.version} at {jobbergate.url}")
        print(f"    issuer {jobbergate.issuer}, client {jobbergate.client_id}, secret {jobbergate.client_secret}")
    if slurm := description.slurm:
        print(f"  Slurm {slurm.version}, cluster {slurm.cluster}, users {', '.join(slurm.users)}")
        print(f"    {' '.join(slurm.ssh('kirby'))} sinfo")


@contextmanager
def _plainly() -> Iterator[None]:
    """Errors that say what to do are for reading, not for debugging."""
    try:
        yield
    except BedError as error:
        say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    app()
