"""The submissions of the soak: one row for each kind, with what is done to it while it is under way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from bed import valhalla
from tests.api import Json
from tests.world import manifest

USERS = valhalla.USERS
RUNS = "/tmp/runs"
_BEGIN = """\
#!/bin/bash
runs=/tmp/runs/${SLURM_SUBMIT_DIR##*/}.$(id -un)
job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
echo "begin $job $(id -un)" >>"$runs"
trap 'echo "end $job $?" >>"$runs"' EXIT
"""
FOR_EVER = "sleep 3000"
_LONG = {"name": "long-script", "key": "script"}
_LONG_LINES = 8000
LONG_SCRIPT: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": _LONG["name"], "namespace": valhalla.RESEARCH},
    "data": {_LONG["key"]: _BEGIN + "".join(f"# {number:06} of many lines, no two alike\n" for number in range(_LONG_LINES))},
}
"""300 KiB; what is cut off at its end changes nothing, for how often it begins is what counts."""


@dataclass(frozen=True)
class Kind:
    """A kind of submission."""

    name: str
    weight: int
    lines: str = "sleep {seconds}"
    """Of the script; empty: the long script of a ConfigMap."""
    spec: Json = field(default_factory=dict)
    then: tuple[str, ...] = ()
    """What is done to it, one after the other: cancel, delete, release, edit, again."""
    refused: bool = False
    size: int = 1
    """Tasks of its array."""
    arguments: tuple[str, ...] = ()
    """Of sbatch, in Jobbergate."""
    on_site: bool = False
    """Its owner submits it on the cluster, and tells Jobbergate."""


KINDS = (
    Kind("succeeds", 10),
    Kind("fails", 3, "sleep {seconds}; exit 3"),
    Kind("is killed", 2, "sleep {seconds}; kill -9 $$"),
    Kind("array", 3, "sleep {seconds}; exit $((SLURM_ARRAY_TASK_ID % 3))", {"array": "0-4"}, size=5),
    Kind("good array", 1, "sleep {seconds}", {"array": "1,3-5%2"}, size=4),
    Kind("long script", 2, ""),
    Kind("tidied", 2, "sleep {seconds}", {"writeSubmissionFiles": False}),
    Kind("plain", 2, "sleep {seconds}", {"launch": {"mode": "None"}, "environment": [{"name": "TUNE", "value": "x"}]}),
    Kind("cancelled", 4, FOR_EVER, then=("cancel",)),
    Kind("deleted", 4, FOR_EVER, then=("delete",)),
    Kind("orphan", 2, "sleep {seconds}", {"deletionPolicy": "Orphan"}, then=("delete",)),
    Kind("suspended", 3, "sleep {seconds}", {"suspend": True}, then=("release",)),
    Kind("edited", 2, "sleep {seconds}", then=("edit", "edit")),
    Kind("made again", 2, FOR_EVER, then=("delete", "again", "cancel")),
    Kind("cancelled and deleted", 1, FOR_EVER, then=("cancel", "delete")),
    Kind("refused", 2, "true", {"partition": "nowhere"}, refused=True),
)

ROWS = (
    Kind("row", 8),
    Kind("row that fails", 3, "sleep {seconds}; exit 3"),
    Kind("row that is refused", 2, arguments=("--partition=nowhere",), refused=True),
    Kind("row that is cancelled", 4, FOR_EVER, then=("cancel",)),
    Kind("row that is deleted", 4, FOR_EVER, then=("delete",)),
    Kind("row submitted on site", 3, on_site=True),
    Kind("row that is cancelled and deleted", 1, FOR_EVER, then=("cancel", "delete")),
)
"""What people submit in Jobbergate."""


def choose(kinds: Sequence[Kind], chance: Random) -> Kind:
    """One of these."""
    return chance.choices(kinds, [kind.weight for kind in kinds])[0]


def made(kind: Kind, *, name: str, user: str, cluster: str, seconds: float) -> Json:
    """The manifest. `seconds` is how long it runs if it ends by itself."""
    script: str | Json = {"configMapKeyRef": _LONG}
    if kind.lines:
        script = {"inline": script_of(kind, seconds=seconds)}
    return manifest(script, name=name, user=user, clusterRef={"name": cluster}, **kind.spec)


def script_of(kind: Kind, *, seconds: float) -> str:
    """What it runs, of one whose script is not the long one."""
    return _BEGIN + kind.lines.format(seconds=f"{seconds:.1f}") + "\n"


EDITS: tuple[Json, ...] = (
    {"readyWhen": "Submitted"},
    {"readyWhen": "Running"},
    {"deletionPolicy": "Orphan"},
    {"deletionPolicy": "Cancel"},
)
