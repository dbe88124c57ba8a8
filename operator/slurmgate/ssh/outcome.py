"""What came of a command: it ran, it certainly did not, or nobody can say.

The three are separate types so that none is taken for another by accident. Only a look-up on the cluster may turn `Unknown`
into one of the other two.
"""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Ran:
    """The command ran to its end and everything it wrote to stdout is here."""

    exit_status: int
    """-1 when a signal ended it."""
    stdout: bytes
    stderr: bytes
    signal: str | None = None
    """Name without `SIG`, as in RFC 4254 section 6.10."""


class Cause(StrEnum):
    """Why a command was never started."""

    UNREACHABLE = "Unreachable"
    """No host could be connected to, or none let the connection get as far as its host key."""
    NO_HOST_KEYS = "NoHostKeys"
    """Nothing is known that the host could be recognised by."""
    HOST_KEY_MISMATCH = "HostKeyMismatch"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    """The host refused the user or the key."""
    JUMP_REFUSED = "JumpRefused"
    """A jump host refused the account that is there for everybody."""
    NO_LOGIN = "NoLogin"
    """The host neither refused the user nor let him in: the log-in hung or was cut, or he was thrown out right after it."""
    KEY_UNAVAILABLE = "KeyUnavailable"
    """The user's private key cannot be read or used."""
    BUSY = "Busy"
    """Connected, but no session became free."""
    CLOSING = "Closing"
    """The runner is being closed."""

    @property
    def of_the_user(self) -> bool:
        """It is about one user and says nothing about others."""
        return self in {Cause.AUTHENTICATION_FAILED, Cause.NO_LOGIN, Cause.KEY_UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class DidNotRun:
    """The command certainly was not started: asking again is safe."""

    cause: Cause
    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The command may or may not have run, or did not come to its end in time."""

    message: str
    connected: bool = False
    """The connection was there to the last: it is the command, or what the user's shell runs before it, that does not end."""
    stdout: bytes = field(default=b"", repr=False, compare=False)
    """What had arrived of it by then."""
    too_much: bool = False
    """It was stopped for writing too much."""


Outcome = Ran | DidNotRun | Unknown
