"""Where identities come from at run time: the user mapping as it was loaded last."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from slurmgate.identity.entry import InlineKey, SecretKey
from slurmgate.identity.mapping import Identity, Mapping, NotMapped, changes, parse
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey

ReadSecret = Callable[[str, str], Awaitable[bytes]]
"""Reads (name, key) of a Secret in the operator's namespace, now; raises KeyUnavailable with what is missing."""


class IdentitySource(Protocol):
    """Knows who somebody is on a cluster, and has the keys (an ssh.credentials.KeySource)."""

    def resolve(self, owner: str) -> Identity | NotMapped:
        """The Slurm user of an e-mail address."""
        ...

    async def private_key(self, user: str) -> PrivateKey:
        """The private key of a Slurm user; raises KeyUnavailable."""
        ...


class MappingFile:
    """The user mapping file. Keys in Secrets are read for every connection and never kept."""

    def __init__(self, read_secret: ReadSecret) -> None:
        self._read_secret = read_secret
        self._mapping = Mapping()

    @property
    def mapping(self) -> Mapping:
        """The entries in force, and the problems of the text that was loaded last."""
        return self._mapping

    def load(self, text: str, *, inline_keys: bool) -> frozenset[str]:
        """Take over a new text. Returns the Slurm users whose open connections must not be used any more.

        A text of which nothing can be read leaves the entries as they were: a slip of the pen must not lock everybody out.
        """
        old, new = self._mapping, parse(text, inline_keys=inline_keys)
        self._mapping = new if new.readable else replace(new, entries=old.entries)
        return changes(old, self._mapping)

    def resolve(self, owner: str) -> Identity | NotMapped:
        """The Slurm user of an e-mail address."""
        return self._mapping.resolve(owner)

    async def private_key(self, user: str) -> PrivateKey:
        """The private key of a mapped user.

        Raises:
            KeyUnavailable: the user is not mapped (any more), or the Secret or the key in it is not usable.
        """
        match self._mapping.keys.get(user):
            case None:
                raise KeyUnavailable(f"no entry of the user mapping has mapped_user {user}")
            case InlineKey(key):
                return key
            case SecretKey(name, field):
                material = await self._read_secret(name, field)
                try:
                    return PrivateKey.parse(material)
                except KeyUnavailable as error:
                    raise KeyUnavailable(f"Secret {name}, key {field}: {error}") from None
