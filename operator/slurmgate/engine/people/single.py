"""Everybody is the same user."""

import asyncio
from collections.abc import Sequence

from slurmgate.core.health import MappingHealth
from slurmgate.core.outcomes import NotNow
from slurmgate.core.reasons import Reason
from slurmgate.engine.people.people import Changed, Show
from slurmgate.identity.asked import account
from slurmgate.identity.source import ReadSecret, secret_key
from slurmgate.resources.cluster import Defaults
from slurmgate.resources.identity import SingleUser
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey


class SinglePeople:
    """Whoever may submit runs as one and the same user."""

    def __init__(self, source: SingleUser, *, read_secret: ReadSecret, show: Show, changed: Changed) -> None:
        self._source = source
        self._read_secret = read_secret
        self._show = show
        self._changed = changed
        found = account(user=source.name)
        self._why_not = f"spec.identity.singleUser.name: {source.name}: {found}" if isinstance(found, str) else ""

    @property
    def users(self) -> Sequence[str]:
        """The one."""
        return [] if self._why_not else [self._source.name]

    async def run(self) -> None:
        """Say so, once."""
        self._show(MappingHealth(usable=1, everybody=self._source.name, unreadable=self._why_not))
        await self._changed(())
        await asyncio.Event().wait()

    async def user_of(self, owner: str) -> str | NotNow:  # noqa: ARG002 - whoever it is
        """The one; not a system account."""
        return NotNow(Reason.MAPPING_NOT_LOADED, self._why_not) if self._why_not else self._source.name

    def defaults_of(self, owner: str, defaults: Defaults) -> Defaults:  # noqa: ARG002 - as above
        """Those of everybody."""
        return defaults

    async def private_key(self, user: str) -> PrivateKey:  # noqa: ARG002 - as above
        """His key; raises KeyUnavailable."""
        reference = self._source.private_key_secret_ref
        if reference is None:
            raise KeyUnavailable("spec.identity.singleUser names no privateKeySecretRef, and there is no spec.ssh.certificates")
        return await secret_key(self._read_secret, reference.name, reference.key)

    async def confirm(self, user: str) -> None:
        """It is he, whoever asks."""
