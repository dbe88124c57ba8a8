"""Where identities come from at run time: the user mapping as it was loaded last."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from slurmgate.identity.entry import Entry, InlineKey, SecretKey
from slurmgate.identity.mapping import File, Identity, Mapping, NotMapped, changes, merged, parse
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey

ReadSecret = Callable[[str, str], Awaitable[bytes]]
"""Reads (name, key) of a Secret in the operator's namespace, now; raises KeyUnavailable with what is missing."""
AWAITED: Final = "it is still being read"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A file as it was read last, and why it cannot be read now; empty if it can."""

    file: File
    why_not: str


class MappingFiles:
    """The user mapping, of one file or several. Keys in Secrets are read for every connection and never kept."""

    def __init__(self, names: Iterable[str], read_secret: ReadSecret) -> None:
        self._read_secret = read_secret
        self._files = dict.fromkeys(names, _Loaded(File(), AWAITED))
        self._mapping = Mapping()

    @property
    def mapping(self) -> Mapping:
        """The entries in force, and the problems of the texts that were loaded last."""
        return self._mapping

    @property
    def awaited(self) -> bool:
        """Whether a file has neither been read nor been found missing yet."""
        return any(loaded.why_not == AWAITED for loaded in self._files.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Why some files cannot be read now."""
        return tuple(loaded.why_not for loaded in self._files.values() if loaded.why_not)

    @property
    def lost(self) -> bool:
        """Whether none of them can be read now."""
        return len(self.missing) == len(self._files)

    def load(self, name: str, text: str, *, inline_keys: bool, certified: bool = False) -> frozenset[str]:
        """Take over a new text of a file (see `parse`). Returns the users whose open connections must not be used any more.

        A text of which nothing can be read leaves the entries as they were: a slip of the pen must not lock everybody out.
        """
        file = parse(text, inline_keys=inline_keys, certified=certified, source=name if len(self._files) > 1 else "")
        before = self._files[name].file
        if file.readable:
            return self._use(name, _Loaded(file, ""))
        if before.entries:
            return self._use(name, _Loaded(replace(file, entries=before.entries), ""))
        return self._use(name, _Loaded(before, "; ".join(map(str, file.problems))))

    def lack(self, name: str, why: str) -> None:
        """A file is not there, or cannot be read. What it said goes on to count against the others, and its keys are used."""
        self._use(name, replace(self._files[name], why_not=why))

    def _use(self, name: str, loaded: _Loaded) -> frozenset[str]:
        self._files[name] = loaded
        old, self._mapping = self._mapping, merged(each.file for each in self._files.values())
        return changes(old, self._mapping)

    def unsaid(self, owner: str) -> str:
        """Why it cannot be said now who an owner is: a file is missing that has his entry, or may have it. Empty if it can."""
        if self.awaited:
            return AWAITED
        entry, found = self.entry(owner), self.resolve(owner)
        if entry:
            home = self._files[entry.source] if entry.source else next(iter(self._files.values()))
            return home.why_not
        unknown = isinstance(found, NotMapped) and not found.wrong
        return "; ".join(self.missing) if unknown else ""

    def entry(self, owner: str) -> Entry | None:
        """The entry of an e-mail address, if that is usable."""
        return self._mapping.entry(owner)

    def resolve(self, owner: str) -> Identity | NotMapped:
        """The Slurm user of an e-mail address."""
        return self._mapping.resolve(owner)

    async def private_key(self, user: str) -> PrivateKey:
        """The private key of a mapped user.

        Raises:
            KeyUnavailable: the user is not mapped (any more), or the Secret or the key in it is not usable.
        """
        self.confirm(user)
        match self._mapping.keys[user]:
            case None:
                raise KeyUnavailable(f"the entry of mapped_user {user} in the user mapping has no key")
            case InlineKey(key):
                return key
            case SecretKey(name, field, passphrase_field):
                passphrase = (name, passphrase_field) if passphrase_field else None
                return await secret_key(self._read_secret, name, field, passphrase=passphrase)

    def confirm(self, user: str) -> None:
        """Somebody is mapped to this user. Raises KeyUnavailable if nobody is (any more)."""
        if user not in self._mapping.keys:
            raise KeyUnavailable(f"no entry of the user mapping has mapped_user {user}")


async def secret_key(
    read_secret: ReadSecret, name: str, field: str, *, passphrase: tuple[str, str] | None = None
) -> PrivateKey:
    """The private key in a Secret; `passphrase`: name and key of the Secret with its passphrase.

    Raises:
        KeyUnavailable: it cannot be read or used.
    """
    material = await read_secret(name, field)
    words = (await read_secret(*passphrase)).rstrip(b"\r\n") if passphrase else None  # an editor adds line ends
    try:
        return await asyncio.to_thread(PrivateKey.parse, material, words) if words else PrivateKey.parse(material)
    except KeyUnavailable as error:
        raise KeyUnavailable(f"Secret {name}, key {field}: {error}") from None
