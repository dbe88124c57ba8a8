"""Jobs in Slurm that came from a submission which is not there any more."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from typing_extensions import override

from slurmgate.core.outcomes import Seen, Task
from slurmgate.core.tracking import live

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
        """The origin that a line tells; None if it makes no sense."""
        words = line.split(" ")
        return cls(*words) if len(words) == 4 and all(words) else None  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Stray:
    """A job whose submission is gone."""

    job_id: str
    user: str
    token: str
    origin: Origin


def suspects(seen: Seen, held: Callable[[str], bool]) -> tuple[Task, ...]:
    """One live row of each job that carries a token which no submission of ours holds."""
    return tuple(
        next(filter(live, rows))
        for rows in seen.tasks.values()
        if any(map(live, rows)) and (token := rows[0].token) is not None and not held(token)
    )


def named(strays: Iterable[Stray], *, cancelled: bool) -> str:
    """For people: which jobs these are, and what becomes of them."""
    listed = sorted(strays, key=lambda stray: int(stray.job_id))
    lines = [
        f"Slurm job {stray.job_id} of {stray.user}: JobSubmission {stray.origin.namespace}/{stray.origin.name} "
        f"(uid {stray.token}) is gone."
        for stray in listed[:MOST_NAMED]
    ]
    if len(listed) > MOST_NAMED:
        lines.append(f"And {len(listed) - MOST_NAMED} more.")
    lines.append(
        "They are cancelled, as spec.strayJobs says."
        if cancelled
        else "scancel ends such a job, spec.strayJobs: Cancel all of them; a JobSubmission with the annotation "
        "slurmgate.dev/adopt: <that uid> takes one back."
    )
    return "\n".join(lines)
