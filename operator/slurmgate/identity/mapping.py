"""The user mapping file: which person is which Slurm user, and where that user's private key is.

Compatible with JARVICE's `users_id_mapping`. Parsing never raises: every entry stands or falls alone, and what is wrong is
named by its place, with what to do and without a word that might be secret.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from typing_extensions import override

from slurmgate.identity.document import Fields, Items, Node, Text, UnreadableDocumentError, read
from slurmgate.identity.entry import BadEntryError, Entry, InlineKey, SecretKey, mail_in, read_entry, shown

ROOT: Final = "users_id_mapping"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the file that is not used, and why."""

    place: str
    """Such as `users_id_mapping[3] (ada@example.org), line 12`."""
    message: str
    mail: str | None = None

    @override
    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an owner is on the cluster."""

    user: str


@dataclass(frozen=True, slots=True)
class NotMapped:
    """The owner is nobody on the cluster."""

    message: str


@dataclass(frozen=True)
class Mapping:
    """A parsed file."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    readable: bool = True
    """False: nothing at all could be made of the file."""

    def resolve(self, owner: str) -> Identity | NotMapped:
        """The Slurm user of this e-mail address."""
        mail = owner.strip().lower()
        # Letters outside ASCII can have lower-case forms inside it (the Kelvin sign): nobody becomes somebody else by that.
        if not owner.isascii() or not mail:
            return NotMapped(f"{owner!r} is not an e-mail address that can be in the user mapping")
        if mail in self._by_mail:
            return Identity(self._by_mail[mail].mapped_user)
        for problem in self.problems:
            if problem.mail == mail:
                return NotMapped(f"the entry of {mail} in the user mapping cannot be used: {problem}")
        return NotMapped(f"{mail} is not in the user mapping")

    @cached_property
    def keys(self) -> dict[str, InlineKey | SecretKey]:
        """Where the key of each mapped user is."""
        return {entry.mapped_user: entry.key for entry in self.entries}

    @cached_property
    def _by_mail(self) -> dict[str, Entry]:
        return {entry.mail: entry for entry in self.entries}


def changes(old: Mapping, new: Mapping) -> frozenset[str]:
    """The users who are gone, or whose key stands somewhere else or is another one; what is in a Secret is not looked at."""
    return frozenset(user for user, key in old.keys.items() if new.keys.get(user) != key)


def parse(text: str, *, inline_keys: bool) -> Mapping:
    """Read a mapping file. `inline_keys`: `ssh_private_key_b64` is accepted."""
    try:
        items, problems = _items(read(text))
    except UnreadableDocumentError as error:
        return Mapping(problems=(Problem("user mapping", str(error)),), readable=False)
    entries: list[Entry] = []
    places: defaultdict[str, list[str]] = defaultdict(list)
    for index, item in enumerate(items):
        mail = mail_in(item)
        place = f"{ROOT}[{index}]{f' ({mail})' if mail else ''}, line {item.line}"
        if mail:
            places[mail].append(place)
        try:
            entries.append(read_entry(place, item, inline_keys=inline_keys))
        except BadEntryError as refused:
            problems.append(Problem(place, str(refused), mail))
    entries = [entry for entry in entries if len(places[entry.mail]) == 1]
    at_odds = tuple(_at_odds(entries))
    unused = {problem.place for problem in at_odds}
    usable = tuple(entry for entry in entries if entry.place not in unused)
    return Mapping(usable, (*problems, *_repeated(places), *at_odds))


def _repeated(places: dict[str, list[str]]) -> Iterator[Problem]:
    """People with several entries. To pick one would be a guess at who somebody is."""
    for mail, several in places.items():
        if len(several) > 1:
            named = "; ".join(several[:5])
            message = f"{mail} is written {len(several)} times and none of them is used: keep one of {named}"
            yield from (Problem(place, message, mail) for place in several)


def _at_odds(entries: list[Entry]) -> Iterator[Problem]:
    """Entries that name different keys for one user, who can only be logged in with one."""
    keys: defaultdict[str, set[InlineKey | SecretKey]] = defaultdict(set)
    for entry in entries:
        keys[entry.mapped_user].add(entry.key)
    for entry in entries:
        if len(keys[entry.mapped_user]) > 1:
            message = f"the entries of mapped_user {entry.mapped_user} have different keys and none is used: give all the same"
            yield Problem(entry.place, message, entry.mail)


def _items(root: Node) -> tuple[tuple[Node, ...], list[Problem]]:
    if not isinstance(root, Fields) or [name for name, _ in root.pairs].count(ROOT) != 1:
        raise UnreadableDocumentError(f"line {root.line}: expected one field `{ROOT}:` with a list")
    problems = []
    items: tuple[Node, ...] = ()
    for name, value in root.pairs:
        if name != ROOT:
            problems.append(Problem(f"line {value.line}", f"unknown field {shown(name)}"))
        elif isinstance(value, Items):
            items = value.nodes
        elif value != Text("", value.line):
            raise UnreadableDocumentError(f"line {value.line}: `{ROOT}` is not a list")
    return items, problems
