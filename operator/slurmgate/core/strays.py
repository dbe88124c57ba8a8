"""Jobs in Slurm that came from a submission which is not there any more."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from typing_extensions import override

from slurmgate.core.outcomes import Seen, Task
from slurmgate.core.tasks import live

_NAME = r"([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)"
_ORIGIN = re.compile(rf"([0-9A-Za-z-]{{1,36}}) {_NAME} {_NAME} ([0-9A-Za-z-]{{1,36}})")
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
    """A job whose submission is gone."""

    job_id: str
    user: str
    token: str
    origin: Origin
    fate: str = ""
    """What came of cancelling it; empty if nobody has tried."""


def suspects(seen: Seen, claimed: Callable[[str], bool]) -> tuple[Task, ...]:
    """One live row of each job that carries a token which no submission of ours claims."""
    rows = (next(filter(live, tasks), None) for tasks in seen.tasks.values())
    return tuple(row for row in rows if row is not None and row.token is not None and not claimed(row.token))


def described(strays: Iterable[Stray]) -> str:
    """For people: which jobs these are, and what became of them or can be done."""
    listed = sorted(strays, key=lambda stray: int(stray.job_id))
    lines = [
        f"Slurm job {stray.job_id} of {stray.user}: JobSubmission {stray.origin.namespace}/{stray.origin.name} "
        f"(uid {stray.token}) is gone. {stray.fate}".rstrip()
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
