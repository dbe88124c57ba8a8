"""One entry of the user mapping file: what it may say, and what is wrong with it."""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from slurmgate.identity.document import Fields, Foreign, Items, Node, Text
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey

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


class BadEntryError(ValueError):
    """An entry cannot be used. The message says why and what to do."""


def mail_in(item: Node) -> str | None:
    """Whose entry it is, in lower case, if it says so."""
    fields = item.pairs if isinstance(item, Fields) else ()
    for name, value in fields:
        if name == "mail" and isinstance(value, Text):
            with suppress(ValueError):
                return _mail(value.value)
    return None


def read_entry(place: str, item: Node, *, inline_keys: bool) -> Entry:
    """The entry that stands at this place.

    Raises:
        BadEntryError: it cannot be used.
    """
    if not isinstance(item, Fields):
        raise BadEntryError("not an entry with fields")
    try:
        written = _Written.model_validate(_plain(item))
    except ValidationError as error:
        raise BadEntryError("; ".join(_sentences(error))) from None
    if (written.ssh_private_key_b64 is None) == (written.ssh_private_key_secret is None):
        raise BadEntryError("give either ssh_private_key_secret (recommended) or ssh_private_key_b64")
    key: InlineKey | SecretKey
    if written.ssh_private_key_secret:
        key = SecretKey(written.ssh_private_key_secret.name, written.ssh_private_key_secret.key)
    elif written.ssh_private_key_b64 and inline_keys:
        key = _inline(written.ssh_private_key_b64)
    else:
        raise BadEntryError(
            "ssh_private_key_b64 is not accepted from a ConfigMap: put the key into a Secret (ssh_private_key_secret)"
        )
    return Entry(place, written.mail, written.mapped_user, key)


def _inline(encoded: str) -> InlineKey:
    try:
        return InlineKey(PrivateKey.parse(base64.b64decode("".join(encoded.split()), validate=True)))
    except ValueError:
        raise BadEntryError("ssh_private_key_b64 is not base64: use the output of `base64 -w0 KEYFILE`") from None
    except KeyUnavailable as error:
        raise BadEntryError(f"ssh_private_key_b64: {error}") from None


def _plain(fields: Fields) -> dict[str, object]:
    """The fields with a value, for validation."""
    values: dict[str, object] = {}
    for name, value in fields.pairs:
        if name in values:
            raise BadEntryError(f"{shown(name)} is written twice (line {value.line})")
        match value:
            case Text():
                values[name] = value.value
            case Fields():
                values[name] = _plain(value)
            case Items():
                values[name] = []
            case Foreign():
                raise BadEntryError(f"aliases and tags are not used here (line {value.line})")
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
        field = ".".join(shown(str(part)) for part in found["loc"])
        match found["type"]:
            case "missing":
                yield f"{field} is missing"
            case "extra_forbidden":
                yield f"unknown field {field}"
            case _:
                yield f"{field}: {found['msg'].removeprefix('Value error, ')}"


def shown(name: str) -> str:
    """A field name, unless it may be a misplaced value."""
    return name if _SHOWABLE.fullmatch(name) else "(a name not shown here)"
