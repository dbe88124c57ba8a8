"""The user mapping file: which person is which Slurm user, and where that user's private key is.

Compatible with JARVICE's `users_id_mapping`. Parsing never raises: every entry stands or falls alone, and what is wrong is
named by its place, with what to do and without a word that might be secret.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from typing_extensions import override

from slurmgate.identity.document import Fields, Foreign, Items, Node, Text, Unreadable, read
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey

ROOT: Final = "users_id_mapping"

SYSTEM_USERS: Final = frozenset(
    """
    root toor bin daemon adm lp sync shutdown halt mail news uucp operator games gopher ftp man proxy www-data backup list irc
    gnats nobody nfsnobody nogroup sys systemd dbus messagebus polkitd sshd rpc rpcuser statd ntp chrony _chrony _apt tss uuidd
    avahi tcpdump postfix exim Debian-exim dovecot named bind unbound dnsmasq ldap openldap slapd sssd nslcd nscd kdc
    slurm slurmrestd slurmdbd munge mysql mariadb postgres redis memcache mongodb apache httpd nginx haproxy squid
    influxdb telegraf grafana prometheus elasticsearch docker containerd kube etcd ceph gluster lightdm gdm colord
    """.split()  # noqa: SIM905 - ninety quoted words would be harder to read
)
"""Accounts that belong to the system or a service. Jobs belong to people (or to people's project accounts)."""

_SHOWABLE = re.compile(r"[\w.-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class InlineKey:
    """A key that stands in the mapping itself."""

    key: PrivateKey


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key in a Secret of the operator's namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A person's usable entry."""

    place: str
    mail: str
    """In lower case."""
    mapped_user: str
    key: InlineKey | SecretKey


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
    except Unreadable as error:
        return Mapping(problems=(Problem("user mapping", str(error)),), readable=False)
    entries: list[Entry] = []
    places: defaultdict[str, list[str]] = defaultdict(list)
    for index, item in enumerate(items):
        mail = _mail_in(item)
        place = f"{ROOT}[{index}]{f' ({mail})' if mail else ''}, line {item.line}"
        if mail:
            places[mail].append(place)
        try:
            entries.append(_entry(place, item, inline_keys=inline_keys))
        except _Refused as refused:
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


class _Refused(ValueError):  # noqa: N818 - a state of affairs
    """An entry cannot be used. The message says why and what to do."""


def _items(root: Node) -> tuple[tuple[Node, ...], list[Problem]]:
    if not isinstance(root, Fields) or [name for name, _ in root.pairs].count(ROOT) != 1:
        raise Unreadable(f"line {root.line}: expected one field `{ROOT}:` with a list")
    problems = []
    items: tuple[Node, ...] = ()
    for name, value in root.pairs:
        if name != ROOT:
            problems.append(Problem(f"line {value.line}", f"unknown field {_shown(name)}"))
        elif isinstance(value, Items):
            items = value.nodes
        elif value != Text("", value.line):
            raise Unreadable(f"line {value.line}: `{ROOT}` is not a list")
    return items, problems


def _mail_in(item: Node) -> str | None:
    fields = item.pairs if isinstance(item, Fields) else ()
    for name, value in fields:
        if name == "mail" and isinstance(value, Text):
            with suppress(ValueError):
                return _mail(value.value)
    return None


def _entry(place: str, item: Node, *, inline_keys: bool) -> Entry:
    if not isinstance(item, Fields):
        raise _Refused("not an entry with fields")
    try:
        written = _Written.model_validate(_plain(item))
    except ValidationError as error:
        raise _Refused("; ".join(_sentences(error))) from None
    if (written.ssh_private_key_b64 is None) == (written.ssh_private_key_secret is None):
        raise _Refused("give either ssh_private_key_secret (recommended) or ssh_private_key_b64")
    key: InlineKey | SecretKey
    if written.ssh_private_key_secret:
        key = SecretKey(written.ssh_private_key_secret.name, written.ssh_private_key_secret.key)
    elif written.ssh_private_key_b64 and inline_keys:
        key = _inline(written.ssh_private_key_b64)
    else:
        raise _Refused(
            "ssh_private_key_b64 is not accepted from a ConfigMap: put the key into a Secret (ssh_private_key_secret)"
        )
    return Entry(place, written.mail, written.mapped_user, key)


def _inline(encoded: str) -> InlineKey:
    try:
        return InlineKey(PrivateKey.parse(base64.b64decode("".join(encoded.split()), validate=True)))
    except ValueError:
        raise _Refused("ssh_private_key_b64 is not base64: use the output of `base64 -w0 KEYFILE`") from None
    except KeyUnavailable as error:
        raise _Refused(f"ssh_private_key_b64: {error}") from None


def _plain(fields: Fields) -> dict[str, object]:
    """The fields with a value, for validation."""
    values: dict[str, object] = {}
    for name, value in fields.pairs:
        if name in values:
            raise _Refused(f"{_shown(name)} is written twice (line {value.line})")
        match value:
            case Text():
                values[name] = value.value
            case Fields():
                values[name] = _plain(value)
            case Items():
                values[name] = []
            case Foreign():
                raise _Refused(f"aliases and tags are not used here (line {value.line})")
    return {name: value for name, value in values.items() if value != "" or name not in _Written.model_fields}


def _mail(value: str) -> str:
    mail = value.strip().lower()
    if not re.fullmatch(r"[!-?A-~]+@[!-?A-~]+", mail) or len(mail) > 254 or not value.isascii():  # noqa: PLR2004 - RFC 5321
        raise ValueError("is not an e-mail address")
    return mail


def _user_name(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}", value):
        raise ValueError("is not a user name (lower case letters, digits, _ . -, at most 32)")
    if value in SYSTEM_USERS or value.startswith("systemd-"):
        raise ValueError(f"{value} is a system account: jobs belong to people")
    return value


class _SecretReference(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=253)]
    key: Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class _Written(BaseModel):
    """The fields of an entry. `user` and `jarvice_user` mean something to JARVICE and nothing here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    user: str = ""
    jarvice_user: str = ""
    mail: Annotated[str, AfterValidator(_mail)]
    mapped_user: Annotated[str, AfterValidator(_user_name)]
    ssh_private_key_b64: str | None = Field(None, repr=False)
    ssh_private_key_secret: _SecretReference | None = None


def _sentences(error: ValidationError) -> Iterator[str]:
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        field = ".".join(_shown(str(part)) for part in found["loc"])
        match found["type"]:
            case "missing":
                yield f"{field} is missing"
            case "extra_forbidden":
                yield f"unknown field {field}"
            case _:
                yield f"{field}: {found['msg'].removeprefix('Value error, ')}"


def _shown(name: str) -> str:
    """A field name, unless it may be a misplaced value."""
    return name if _SHOWABLE.fullmatch(name) else "(a name not shown here)"
