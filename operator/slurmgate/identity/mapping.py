"""The user mapping file: which person is which Slurm user, and where that user's private key is.

Compatible with JARVICE's `users_id_mapping`. Parsing never raises: every entry stands or falls alone, and what is wrong is
named by its place, with what to do and without a word that might be secret.
"""

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

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
    """.split()
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
    """The users who are gone, or whose key stands somewhere else or is another one. (A Secret's content is not looked at.)"""
    return frozenset(user for user, key in old.keys.items() if new.keys.get(user) != key)


def parse(text: str, *, inline_keys: bool) -> Mapping:
    """Read a mapping file. `inline_keys`: `ssh_private_key_b64` is accepted."""
    try:
        items, problems = _items(read(text))
    except Unreadable as error:
        return Mapping(problems=(Problem("user mapping", str(error)),), readable=False)
    entries = []
    mails = defaultdict(list)
    for index, item in enumerate(items):
        mail = _mail_of(item)
        place = f"{ROOT}[{index}]{f' ({mail})' if mail else ''}, line {item.line}"
        if mail:
            mails[mail].append(place)
        try:
            entries.append(_entry(place, item, inline_keys=inline_keys))
        except _Refused as refused:
            problems.append(Problem(place, str(refused), mail))
    ...
    return Mapping(tuple(entries), tuple(problems))
