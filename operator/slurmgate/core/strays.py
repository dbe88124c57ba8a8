"""Jobs in Slurm that came from a submission which is not there any more, or does not wait for them any more."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from typing_extensions import override

from slurmgate.core.outcomes import Seen, Task
from slurmgate.core.states import Kind, state

_NAME = r"([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)"
_ORIGIN = re.compile(rf"([0-9A-Za-z-]{{1,36}}) {_NAME} {_NAME} ([0-9A-Za-z-]{{1,36}})")
_ENDED = "has ended, and Slurm has taken it up again"
MOST_NAMED = 20
"""Stray jobs that a message names."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which submission a job belongs to, as it is written down beside its marker."""

    installation: str
    """The Kubernetes cluster: the uid of its namespace kube-system."""
    namespace: str
    name: str
    uid: str

    @override
    def __str__(self) -> str:
        """One line; none of the parts can have a space."""
        return f"{self.installation} {self.namespace} {self.name} {self.uid}"

    @classmethod
    def parse(cls, line: str) -> "Origin | None":
        """The origin that a line tells; None if it makes no sense. The file is its user's, who writes there what he likes."""
        match = _ORIGIN.fullmatch(line)
        return cls(*match.groups()) if match else None


@dataclass(frozen=True, slots=True)
class Stray:
    """A job that no submission waits for."""

    job_id: str
    user: str
    token: str
    origin: Origin
    ended: bool = False
    """Its submission is there, and has ended; else it is gone."""
    fate: str = ""
    """What came of cancelling it; empty if nobody has tried."""


def suspects(seen: Seen, claimed: Callable[[str], bool]) -> tuple[Task, ...]:
    """One row of each job that runs or waits and carries a token which no submission of ours claims."""
    rows = (next(filter(_has_a_future, tasks), None) for tasks in seen.tasks.values())
    return tuple(row for row in rows if row is not None and row.token is not None and not claimed(row.token))


def _has_a_future(task: Task) -> bool:
    return state(task.state).kind in {Kind.WAITING, Kind.RUNNING}


def described(strays: Iterable[Stray]) -> str:
    """For people: which jobs these are, and what became of them or can be done."""
    listed = sorted(strays, key=lambda stray: int(stray.job_id))
    lines = [
        f"Slurm job {stray.job_id} of {stray.user}: JobSubmission {stray.origin.namespace}/{stray.origin.name} "
        f"(uid {stray.token}) {_ENDED if stray.ended else 'is gone'}. {stray.fate}".rstrip()
        for stray in listed[:MOST_NAMED]
    ]
    if len(listed) > MOST_NAMED:
        lines.append(f"And {len(listed) - MOST_NAMED} more.")
    if not all(stray.fate for stray in listed):
        lines.append(
            "scancel ends such a job, spec.strayJobs: Cancel all of them; a JobSubmission with the annotation "
            "slurmgate.dev/adopt: <that uid> takes one back."
        )
    return "\n".join(lines)
