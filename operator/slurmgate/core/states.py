"""Slurm's job states, and what each means to us. One row each; a new one is one more row.

Sources: man squeue (JOB STATE CODES) of 22.05, 24.11 and 26.05; slurm/slurm.h (enum job_states, JOB_* flags).
"""

from dataclasses import dataclass
from enum import Enum, auto

from slurmgate.core.reasons import Reason
from slurmgate.resources.submission import Phase


class Kind(Enum):
    """What a state says about the job's life."""

    WAITING = auto()
    RUNNING = auto()
    ENDING = auto()
    """Over or about to be requeued: Slurm has not decided, so neither do we."""
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class State:
    """A row of the table. `phase` is set for ended states only."""

    kind: Kind
    reason: Reason
    phase: Phase | None = None


def _ended(reason: Reason, phase: Phase = Phase.ABORTED) -> State:
    return State(Kind.ENDED, reason, phase)


_WAITING = State(Kind.WAITING, Reason.QUEUED)
_HELD = State(Kind.WAITING, Reason.HELD)
_REQUEUED = State(Kind.WAITING, Reason.REQUEUED)
_RUNNING = State(Kind.RUNNING, Reason.RUNNING)
_SUSPENDED = State(Kind.RUNNING, Reason.SUSPENDED)
_ENDING = State(Kind.ENDING, Reason.COMPLETING)

STATES: dict[str, State] = {
    "PENDING": _WAITING,
    "REQUEUED": _REQUEUED,
    "REQUEUE_FED": _REQUEUED,
    "REQUEUE_HOLD": _HELD,
    "RESV_DEL_HOLD": _HELD,
    "SPECIAL_EXIT": _HELD,
    "CONFIGURING": _RUNNING,
    "POWER_UP_NODE": _RUNNING,
    "RUNNING": _RUNNING,
    "EXPEDITING": _WAITING,
    "RESIZING": _RUNNING,
    "SIGNALING": _RUNNING,
    "STAGE_OUT": _ENDING,
    "STOPPED": _SUSPENDED,
    "SUSPENDED": _SUSPENDED,
    "UPDATE_DB": _ENDING,
    "LAUNCH_FAILED": _ENDING,  # flags beside a base state, which says whether it is requeued or over
    "RECONFIG_FAIL": _ENDING,
    "COMPLETING": _ENDING,
    "COMPLETED": _ended(Reason.COMPLETED, Phase.DONE),
    "CANCELLED": _ended(Reason.CANCELLED, Phase.CANCELLED),
    "FAILED": _ended(Reason.JOB_FAILED),
    "TIMEOUT": _ended(Reason.TIME_LIMIT),
    "OUT_OF_MEMORY": _ended(Reason.OUT_OF_MEMORY),
    "NODE_FAIL": _ended(Reason.NODE_FAIL),
    "BOOT_FAIL": _ended(Reason.LAUNCH_FAILED),
    "PREEMPTED": _ended(Reason.PREEMPTED),
    "DEADLINE": _ended(Reason.DEADLINE),
    "REVOKED": _ended(Reason.REVOKED),
}

UNHEARD_OF = State(Kind.ENDING, Reason.COMPLETING)
"""A state that no version we know has: nothing is concluded from it."""


def state(word: str) -> State:
    """The row of a Slurm state; Slurm's own word is kept in status whatever the row says."""
    return STATES.get(word, UNHEARD_OF)
