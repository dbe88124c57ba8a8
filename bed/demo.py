"""`make demo`: six submissions of two people on a real cluster, from `kubectl apply` to their ends."""

import shlex
import sys
import time
from dataclasses import dataclass
from typing import Any

import yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from bed import valhalla
from bed.demonstration import shown
from bed.errors import BedError
from bed.life import Bed
from bed.report import say

BED = "demo"
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Expected:
    """How an example has to end."""

    phase: str
    reason: str
    exit_code: int | None = None


EXAMPLES = {
    "plain": Expected("Done", "Completed", 0),
    "array": Expected("Done", "Completed", 0),
    "files": Expected("Done", "Completed", 0),
    "fails": Expected("Aborted", "JobFailed", 3),
    "long": Expected("Cancelled", "Cancelled"),
    "unmapped": Expected("Rejected", "UserNotMapped"),
}

COLUMNS = {
    "NAME": ("metadata", "name"),
    "CLUSTER": ("spec", "clusterRef", "name"),
    "USER": ("status", "user"),
    "JOBID": ("status", "slurm", "jobId"),
    "PHASE": ("status", "phase"),
    "STATE": ("status", "slurm", "state"),
    "REASON": (),
    "EXIT": ("status", "slurm", "exitCode"),
}

Json = dict[str, Any]


def main() -> int:
    """Show it; 0 if every submission ended as it should."""
    if not (code := shown(BED, valhalla.prepare, _play)):
        say("To play with it: `make bed` starts it and keeps it, `make run` runs the operator there, `make down` ends it.")
    return code


def _play(bed: Bed) -> list[str]:
    """Apply the examples and watch them to their ends. Returns what went wrong."""
    _remove_examples(bed)
    for name in EXAMPLES:
        say(f"kubectl apply -f examples/{name}.yaml")
        done = bed.kubectl("apply", f"--filename={valhalla.EXAMPLES / name}.yaml")
        if done.returncode:
            return [done.stderr.strip()]
    cancelled = False
    deadline = time.monotonic() + PATIENCE_SECONDS
    with Live(console=Console(), refresh_per_second=4, transient=False) as screen:
        while True:
            submissions = _submissions(bed)
            screen.update(_table(submissions))
            if not cancelled and _state(submissions["long"]) == "RUNNING":
                screen.console.print(f"kubectl {shlex.join(_CANCEL)}")
                bed.kubectl(*_CANCEL)
                cancelled = True
            wrong = [
                f"{name}: {problem}"
                for name, expected in EXAMPLES.items()
                if (problem := _difference(submissions[name], expected))
            ]
            if not wrong or time.monotonic() > deadline:
                break
            time.sleep(0.5)
    if not wrong:
        path = _at(submissions["plain"], ("status", "slurm", "stdoutPath"))
        say(f"\n{path} of `plain` says:\n{bed.slurm.inside(['cat', path]).stdout}")
        _remove_examples(bed)
    return wrong


def _remove_examples(bed: Bed) -> None:
    """In a cluster of somebody's own (BED_KUBECONFIG) they would be there the next time."""
    bed.kubectl("delete", "--ignore-not-found", *(f"--filename={valhalla.EXAMPLES / name}.yaml" for name in EXAMPLES))


_CANCEL = ("patch", "jsub", "long", f"--namespace={valhalla.RESEARCH}", "--type=merge", '--patch={"spec":{"cancel":true}}')


def _submissions(bed: Bed) -> dict[str, Json]:
    listing = bed.kubectl("get", "jobsubmissions", f"--namespace={valhalla.RESEARCH}", "--output=yaml")
    if listing.returncode:
        raise BedError(f"kubectl get jobsubmissions: {listing.stderr.strip()}")
    return {item["metadata"]["name"]: item for item in yaml.safe_load(listing.stdout)["items"]}


def _table(submissions: dict[str, Json]) -> Table:
    """`kubectl get jobsubmissions`, as it changes."""
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for submission in submissions.values():
        cells = [_reason(submission) if not path else _at(submission, path) for path in COLUMNS.values()]
        table.add_row(*(str(cell) if cell is not None else "" for cell in cells))
    return table


def _difference(submission: Json, expected: Expected) -> str | None:
    """What is not (yet) as it should be."""
    seen = Expected(
        _at(submission, ("status", "phase")) or "",
        _reason(submission),
        _at(submission, ("status", "slurm", "exitCode")) if expected.exit_code is not None else None,
    )
    return None if seen == expected else f"expected {expected}, found {seen}"


def _state(submission: Json) -> Any:
    return _at(submission, ("status", "slurm", "state"))


def _reason(submission: Json) -> str:
    conditions = _at(submission, ("status", "conditions")) or []
    return next((condition["reason"] for condition in conditions if condition["type"] == "Ready"), "")


def _at(submission: Json, path: tuple[str, ...]) -> Any:
    value: Any = submission
    for key in path:
        value = (value or {}).get(key)
    return value


if __name__ == "__main__":
    sys.exit(main())
