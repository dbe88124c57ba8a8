"""The people of a cluster, whatever they are known by."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from typing import Protocol

from slurmgate.core.health import MappingHealth
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.identity.mapping import Identity, NotMapped
from slurmgate.kube.content import Kind
from slurmgate.kube.watch import Followed
from slurmgate.resources.cluster import Defaults
from slurmgate.ssh.credentials import PrivateKey

Follow = Callable[[Kind, str], AsyncGenerator[Followed]]
"""Follows a ConfigMap or Secret of the operator's namespace by name."""
Show = Callable[[MappingHealth], None]
"""Says how the mapping is now."""
Changed = Callable[[Collection[str]], Awaitable[None]]
"""Uses what is known anew. The open connections of these users must not be used any more."""
Residents = Callable[[], Collection[tuple[str, str]]]
"""Owner and Slurm user of each submission that is there and has one."""


class People(Protocol):
    """Knows the people of a cluster, and has their keys, unless they log in with certificates."""

    @property
    def users(self) -> Sequence[str]:
        """The Slurm users that are known now."""
        ...

    async def run(self) -> None:
        """Read what there is to be read, and keep up to date."""
        ...

    async def user_of(self, owner: str) -> str | Refused | NotNow:
        """The Slurm user that an owner is."""
        ...

    def defaults_of(self, owner: str, defaults: Defaults) -> Defaults:
        """What holds for an owner of what the cluster says of everybody."""
        ...

    async def private_key(self, user: str) -> PrivateKey:
        """The private key of a Slurm user; raises KeyUnavailable."""
        ...

    async def confirm(self, user: str) -> None:
        """Somebody is this Slurm user; raises KeyUnavailable if nobody is (any more)."""
        ...


def slurm_user(found: Identity | NotMapped) -> str | Refused:
    """The Slurm user that was found for an owner."""
    if isinstance(found, NotMapped):
        return Refused(Reason.USER_NOT_MAPPED, f"spec.owner: {found.message}")
    return found.user
