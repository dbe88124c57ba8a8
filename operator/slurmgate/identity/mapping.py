"""The user mapping: which person is which Slurm user, and where that user's private key is.

Compatible with JARVICE's `users_id_mapping`. Parsing never raises: every entry stands or falls alone, and what is wrong is
named by its place, with what to do and without a word that might be secret. Several files are one mapping: none of them is
more right than another, so what two of them say differently is used from neither.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
    wrong: bool = False
    """He is in the mapping, but not in a way that could be used."""


@dataclass(frozen=True, slots=True)
class File:
    """A parsed file. What its entries say of each other, and of those in other files, is not looked at yet."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    readable: bool = True
    """False: nothing at all could be made of the file."""


@dataclass(frozen=True)
class Mapping:
    """What all files together say."""

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()

    def entry(self, owner: str) -> Entry | None:
        """The entry of this e-mail address."""
        # Letters outside ASCII can have lower-case forms inside it (the Kelvin sign): nobody becomes somebody else by that.
        return self._by_mail.get(owner.strip().lower()) if owner.isascii() else None

    def resolve(self, owner: str) -> Identity | NotMapped:
        """The Slurm user of this e-mail address."""
        mail = owner.strip().lower()
        if not owner.isascii() or not mail:
            return NotMapped(f"{owner!r} is not an e-mail address that can be in the user mapping")
        if entry := self.entry(owner):
            return Identity(entry.mapped_user)
        for problem in self.problems:
            if problem.mail == mail:
                return NotMapped(f"the entry of {mail} in the user mapping cannot be used: {problem}", wrong=True)
        return NotMapped(f"{mail} is not in the user mapping")

    @cached_property
    def keys(self) -> dict[str, InlineKey | SecretKey | None]:
        """Where the key of each mapped user is; None where certificates are used."""
        return {entry.mapped_user: entry.key for entry in self.entries}

    @cached_property
    def _by_mail(self) -> dict[str, Entry]:
        return {entry.mail: entry for entry in self.entries}


def changes(old: Mapping, new: Mapping) -> frozenset[str]:
    """The users who are gone, or whose key stands somewhere else or is another one; what is in a Secret is not looked at."""
    return frozenset(user for user, key in old.keys.items() if user not in new.keys or new.keys[user] != key)


def parse(text: str, *, inline_keys: bool, certified: bool = False, source: str = "") -> File:
    """Read a mapping file.

    Args:
        text: The file.
        inline_keys: `ssh_private_key_b64` is accepted.
        certified: People log in with certificates: entries need no key, and one that is there is not looked at.
        source: What the file is called, where there are several.
    """
    called = f"{source}: " if source else ""
    try:
        items, problems = _items(read(text))
    except UnreadableDocumentError as error:
        return File(problems=(Problem(source or "user mapping", str(error)),), readable=False)
    entries: list[Entry] = []
    for index, item in enumerate(items):
        mail = mail_in(item)
        place = f"{ROOT}[{index}]{f' ({mail})' if mail else ''}, line {item.line}"
        try:
            entries.append(read_entry(place, item, inline_keys=inline_keys, certified=certified))
        except BadEntryError as refused:
            problems.append(Problem(place, str(refused), mail))
    return File(
        tuple(replace(entry, place=called + entry.place, source=source) for entry in entries),
        tuple(replace(problem, place=called + problem.place) for problem in problems),
    )


def merged(files: Iterable[File]) -> Mapping:
    """One mapping of all files."""
    all_files = tuple(files)
    entries = [entry for file in all_files for entry in file.entries]
    problems = [problem for file in all_files for problem in file.problems]
    claims: defaultdict[str, list[Entry | Problem]] = defaultdict(list)
    for entry in entries:
        claims[entry.mail].append(entry)
    for problem in problems:
        if problem.mail:
            claims[problem.mail].append(problem)
    repeated = {mail: several for mail, several in claims.items() if len(several) > 1 and not _alike(several)}
    people: dict[str, Entry] = {}
    for entry in entries:
        if entry.mail not in repeated:
            people.setdefault(entry.mail, entry)
    at_odds = (*_at_odds(people.values()), *_lent(people.values()))
    unused = {problem.mail for problem in at_odds}
    usable = tuple(entry for entry in people.values() if entry.mail not in unused)
    return Mapping(usable, (*problems, *_repeated(repeated), *at_odds))


def _alike(several: Sequence[Entry | Problem]) -> bool:
    """Whether these are entries of as many files, and all the same."""
    entries = [claim for claim in several if isinstance(claim, Entry)]
    said = {replace(entry, place="", source="") for entry in entries}
    return len(entries) == len(several) == len({entry.source for entry in entries}) and len(said) == 1


def _repeated(claims: dict[str, list[Entry | Problem]]) -> Iterator[Problem]:
    """People with several entries. To pick one would be a guess at who somebody is."""
    for mail, several in claims.items():
        places = "; ".join(claim.place for claim in several[:5])
        message = f"{mail} is written {len(several)} times and none of them is used: keep one of {places}"
        yield from (Problem(claim.place, message, mail) for claim in several)


def _at_odds(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Entries that name different keys for one user, who can only be logged in with one."""
    by_user: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_user[entry.mapped_user].append(entry)
    for user, several in by_user.items():
        if len({entry.key for entry in several}) > 1:
            places = "; ".join(entry.place for entry in several[:5])
            message = f"the entries of mapped_user {user} have different keys and none is used: give all the same in {places}"
            yield from (Problem(entry.place, message, entry.mail) for entry in several)


def _lent(entries: Iterable[Entry]) -> Iterator[Problem]:
    """Entries of different files that use one key for different users: it is not known whose it is."""
    by_key: defaultdict[InlineKey | SecretKey, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.key:
            by_key[entry.key].append(entry)
    for several in by_key.values():
        users = {entry.mapped_user for entry in several}
        if len(users) > 1 and len({entry.source for entry in several}) > 1:
            places = "; ".join(entry.place for entry in several[:5])
            message = (
                f"one key is used for {', '.join(sorted(users))} and for none of them: give each a key of his own in {places}"
            )
            yield from (Problem(entry.place, message, entry.mail) for entry in several)


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
