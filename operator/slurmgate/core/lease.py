"""Who may lead, decided as client-go decides it (tools/leaderelection).

What a holder wrote is believed for its duration, counted from when *we* saw it. Clocks of two machines are never compared; the
times in a Lease are for people.

A holder stops before anybody else may begin: it counts `Terms.renew_deadline` from before it asked for its last renewal, and
the others count `Terms.duration`, which is longer, from after that was written.
"""

from dataclasses import dataclass, replace
from datetime import datetime

RELEASED_SECONDS = 1
"""The duration in a Lease that nobody holds any more, as client-go writes it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long what lasts, in seconds. `duration` > `renew_deadline` > `retry_period`."""

    duration: int = 15
    """For so long after its last sign of life nobody takes a holder's place."""
    renew_deadline: float = 10.0
    """A holder that could not renew for so long leads no more."""
    retry_period: float = 2.0
    """Between two renewals, and about between two looks of those who stand by."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a `coordination.k8s.io/v1` Lease says."""

    holder: str = ""
    duration: int = 0
    acquired: datetime | None = None
    renewed: datetime | None = None
    transitions: int = 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A Lease as it was last seen."""

    lease: Lease
    since: float
    """When it was first seen to say this, by our own monotonic clock."""


def see(before: Sighting | None, lease: Lease, clock: float) -> Sighting:
    """The Lease says this now. Only a word that is new is a sign of life."""
    return before if before and before.lease == lease else Sighting(lease, clock)


def claim(me: str, terms: Terms, seen: Sighting | None, *, clock: float, now: datetime) -> Lease | None:
    """What I should write to hold the Lease; None: somebody else holds it. `seen` None: there is no Lease.

    `clock` is our own monotonic clock, `now` what people are told.
    """
    mine = Lease(holder=me, duration=terms.duration, acquired=now, renewed=now)
    if seen is None:
        return mine
    lease = seen.lease
    if lease.holder == me:
        return replace(mine, acquired=lease.acquired, transitions=lease.transitions)
    if lease.holder and clock < seen.since + lease.duration:
        return None
    return replace(mine, transitions=lease.transitions + 1)


def held_until(asked: float, terms: Terms) -> float:
    """Until when I may act on what was accepted after I asked for it at `asked`, both by our own monotonic clock."""
    return asked + terms.renew_deadline


def release(lease: Lease, now: datetime) -> Lease:
    """What I should write so that somebody else takes over at once."""
    return replace(lease, holder="", duration=RELEASED_SECONDS, acquired=now, renewed=now)
