"""Where a cluster is reached, how its hosts are recognised, and how much is asked of them at once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from typing_extensions import override

from slurmgate.ssh.credentials import Credential

DEFAULT_PORT: Final = 22


@dataclass(frozen=True, slots=True)
class Host:
    """A login node. `name` is also the name that its host key is looked up by."""

    name: str
    port: int = DEFAULT_PORT

    @override
    def __str__(self) -> str:
        return self.name if self.port == DEFAULT_PORT else f"[{self.name}]:{self.port}"


@dataclass(frozen=True, slots=True)
class JumpHost:
    """A host that connects us to the next one."""

    host: Host
    user: str | None
    """Who logs in there; None: the user of the cluster."""
    key_of: Callable[[str], Awaitable[Credential]] = field(repr=False)
    """The key of a user there, asked for as of a KeySource."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Everything about reaching one cluster that does not depend on the user. Times are seconds."""

    name: str
    """The cluster, for messages and metrics."""
    hosts: tuple[Host, ...]
    """Login nodes that see the same files. Each new connection is made to the first one that can be reached."""
    known_hosts: str
    """Host keys and host authorities in the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"; of jump hosts, too."""
    jump_hosts: tuple[JumpHost, ...] = ()
    """The way to the login nodes, the nearest first."""

    connect_timeout: float = 10.0
    """Until a host accepts the connection; and, before that, until the private key is there."""
    login_timeout: float = 20.0
    """From there until the user is logged in (directory services are slow at times)."""
    keepalive: float = 15.0
    """Between questions whether the host is still there; three without an answer end the connection."""

    connects_per_host: int = 2
    """Unfinished log-ins at a time. sshd's MaxStartups begins to drop them at ten, other people's included."""
    connections_per_user: int = 4
    sessions_per_connection: int = 6
    """Below sshd's MaxSessions (10), because sshd frees a session some time after the client saw its end."""
    idle_close: float = 120.0
    max_age: float = 3600.0
    """A connection takes no new commands after this, so that revoked keys and closed accounts take effect."""
