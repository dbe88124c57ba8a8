"""When to try again what has failed: a login node that cannot be reached, a user who cannot log in. Pure; time is handed in.

closed --failed--> open --pause is over--> half-open: one try --reached--> closed
                    ^                         |
                    +---------failed----------+   with a longer pause
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from slurmgate.ssh.outcome import DidNotRun

SEVERAL: Final = 3
"""One user's log-in may hang because of his home. If those of so many do, one after the other, the login node is to blame."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How pauses grow. Seconds."""

    first: float
    longest: float
    factor: float
    """Each pause is so many times as long as the one before."""

    def pause(self, failures: int, chance: float) -> float:
        """The pause after so many failures in a row. `chance`: 0 to 1, for up to a quarter more, so that crowds disperse."""
        growth = self.factor ** min(failures - 1, 30)
        return min(self.longest, self.first * growth) * (1 + chance / 4)


LOGIN_NODE: Final = Pace(first=1, longest=30, factor=2)
USER: Final = Pace(first=15, longest=300, factor=4)
"""At most four refusals in ten minutes: at the fifth fail2ban's default shuts out our address, and with it everybody."""


class State(StrEnum):
    """Whether something may be tried."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known about the one thing that is tried. Each try is told to it: `tried`, then what came of it."""

    pace: Pace
    failure: DidNotRun | None = None
    """Why it is not closed."""
    failures: int = 0
    """In a row."""
    retry_at: float = 0.0
    probing: bool = False
    """The one try of the half-open state is under way."""
    stuck: frozenset[str] = frozenset()
    """Whose log-ins have hung or were cut since somebody got in."""

    def state(self, now: float) -> State:
        """What it is now."""
        if self.failure is None:
            return State.CLOSED
        return State.HALF_OPEN if now >= self.retry_at else State.OPEN

    def refusal(self, now: float) -> DidNotRun | None:
        """Why nothing may be tried now; None if it may."""
        return self.failure if self.probing or self.state(now) is State.OPEN else None

    def tried(self) -> "Breaker":
        """A try begins that was not refused."""
        return replace(self, probing=self.failure is not None)

    def reached(self) -> "Breaker":
        """It works."""
        return Breaker(self.pace)

    def failed(self, failure: DidNotRun, now: float, chance: float) -> "Breaker":
        """It does not work. Several tries that were under way together and fail together are one failure."""
        if self.state(now) is State.OPEN:
            return replace(self, failure=failure)
        failures = self.failures + 1
        return Breaker(self.pace, failure, failures, now + self.pace.pause(failures, chance))

    def hung(self, user: str, failure: DidNotRun, now: float, chance: float) -> "Breaker":
        """The login node was reached, but the log-in of this user did not come to its end."""
        stuck = self.stuck | {user}
        if self.failure is not None or len(stuck) >= SEVERAL:
            return self.failed(failure, now, chance)
        return replace(self, stuck=stuck)

    def stopped(self) -> "Breaker":
        """A try was given up before anything came of it."""
        return replace(self, probing=False)
