"""What plugins are to Slurmgate, and what they get to see: the only module of Slurmgate that plugins import.

A package offers plugins as entry points of three groups. None is imported unless `SLURMGATE_PLUGINS` has its name.

| group | the entry point is | made |
|---|---|---|
| `slurmgate.identity` | a class or function that takes the parameters of `spec.identity.plugin` and returns an `Identities` | for each SlurmCluster that names it |
| `slurmgate.hooks` | a class or function that takes nothing and returns a `Hook` | for each SlurmCluster |
| `slurmgate.tasks` | a `Task` | once |

Each that was made has a thread and an event loop of its own, in which it is made as well. Every call has `DEADLINE_SECONDS`; one
that takes longer is cancelled. The words of an exception are shown to people: leave secrets out of them.
"""  # noqa: E501 - a table

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

DEADLINE_SECONDS: Final = 10.0
"""For each call. A Task has none."""


# slurmgate.identity --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Account:
    """Who somebody is on a cluster."""

    user: str
    """The Slurm user, who is the one to log in as."""
    secret: str = ""
    """Name of the Secret in the operator's namespace that has the user's private key. Not needed with certificates."""
    key: str = "ssh-privatekey"
    """Key inside it."""


class Identities(Protocol):
    """Knows who is who on a cluster."""

    async def account_of(self, owner: str) -> Account | None:
        """The account of this e-mail address, which is in lower case; None if the person has none.

        An account is remembered for five minutes, and that there is none for one. With an exception submissions wait.
        """
        ...


IdentityPlugin = Callable[[Mapping[str, str]], Identities]
"""The entry point. Gets `parameters` of `spec.identity.plugin`, which are no secrets."""


# slurmgate.hooks -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission that could be sent as it is."""

    namespace: str
    name: str
    uid: str
    cluster: str
    """Name of the SlurmCluster."""
    owner: str
    user: str
    """The Slurm user it will run as."""
    script: bytes = field(repr=False)
    """The person's script, byte for byte."""
    arguments: tuple[str, ...]
    """Those of sbatch as they stand now, without the script's own #SBATCH lines."""
    directory: str
    """The working directory: absolute, or below `~`."""
    files: tuple[str, ...] = ()
    """Names of the supporting files."""


@dataclass(frozen=True, slots=True)
class Proceed:
    """Submit it."""

    arguments: tuple[str, ...] = ()
    """Further arguments of sbatch, such as `--nice=100`. They win over what the person asked for, and `denyOptions` is not
    about them; what is never allowed (`--uid`, `--wrap`, ...) is not allowed here either."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Reject it for good."""

    message: str
    """For the person: what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now. The hook is asked again, after pauses that grow from 2 s to 2 min."""

    message: str
    """For the person: what it waits for."""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A submission whose status has changed."""

    namespace: str
    name: str
    uid: str
    cluster: str
    owner: str
    phase: str | None
    """As in `status.phase`: Created, Submitted, Done, Aborted, Rejected or Cancelled."""
    status: Mapping[str, Any] = field(repr=False)
    """All of its status, as it stands in the API."""


class Hook:
    """Has a say before each submission, and hears what became of it. Override what you need."""

    async def before_submission(self, submission: Submission) -> Proceed | Refuse | Wait:  # noqa: ARG002 - for others
        """Whether it may be sent. Asked before every attempt, so perhaps more than once; with an exception it waits."""
        return Proceed()

    async def status_changed(self, change: StatusChange) -> None:
        """Its status is another one now. Of several changes in a row perhaps only the last is told, and none twice."""


HookPlugin = Callable[[], Hook]
"""The entry point."""


# slurmgate.tasks -----------------------------------------------------------------------------------------------------

Task = Callable[[], Awaitable[None]]
"""The entry point: a coroutine function that runs while the operator leads, and is cancelled when that stops. If it ends or
raises, it is started again after pauses that grow from 2 s to 2 min."""
