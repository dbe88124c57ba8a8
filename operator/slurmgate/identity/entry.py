"""One entry of the user mapping file: what it may say, and what is wrong with it."""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)

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

_PATTERN = re.compile(r"[\\^$|?*()\[\]{}]")
_LETTERS = r"[!\"#%&'+,\-./0-9:;<=>A-Z_`a-z~]{1,253}"
_MAIL: Final = rf"(?=.{{3,254}}$){_LETTERS}@{_LETTERS}"
_USER_NAME: Final = r"(?!systemd-)[a-z_][a-z0-9_.-]{0,31}"
_DIRECTORY: Final = r"(?=.*\{uid\})(/|~/)[^\x00-\x1f\x7f]{0,1022}"
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
    passphrase_key: str | None = None
    """The key of the same Secret that has its passphrase."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A person's usable entry."""

    place: str
    mail: str
    """In lower case."""
    mapped_user: str
    key: InlineKey | SecretKey | None
    """None where people log in with certificates."""
    slurm_account: str | None = None
    """For sbatch, where neither submission nor script asks for one."""
    work_directory: str | None = None
    """Template of the working directory, in place of the cluster's."""
    source: str = ""
    """The file, where there are several."""


class BadEntryError(ValueError):
    """An entry cannot be used. The message says why and what to do."""


def mail_in(item: Node) -> str | None:
    """Whose entry it is, in lower case, if it says so."""
    fields = item.pairs if isinstance(item, Fields) else ()
    for name, value in fields:
        if name == "mail" and isinstance(value, Text):
            with suppress(ValueError):
                return mail_address(value.value)
    return None


def read_entry(place: str, item: Node, *, inline_keys: bool, certified: bool = False) -> Entry:
    """The entry that stands at this place; with `certified`, it needs no key.

    Raises:
        BadEntryError: it cannot be used.
    """
    if not isinstance(item, Fields):
        raise BadEntryError("not an entry with fields")
    try:
        written = Written.model_validate(_plain(item))
    except ValidationError as error:
        raise BadEntryError("; ".join(sentences(error))) from None
    return Entry(
        place,
        written.mail,
        written.mapped_user,
        key=None if certified else _key(written, inline_keys=inline_keys),
        slurm_account=written.slurm_account,
        work_directory=written.work_directory,
    )


def _key(written: "Written", *, inline_keys: bool) -> InlineKey | SecretKey:
    if (written.ssh_private_key_b64 is None) == (written.ssh_private_key_secret is None):
        raise BadEntryError("give either ssh_private_key_secret (recommended) or ssh_private_key_b64")
    if secret := written.ssh_private_key_secret:
        return SecretKey(secret.name, secret.key, secret.passphrase_key)
    if written.ssh_private_key_b64 and inline_keys:
        return _inline(written.ssh_private_key_b64)
    raise BadEntryError(
        "ssh_private_key_b64 is not accepted from a ConfigMap: put the key into a Secret (ssh_private_key_secret)"
    )


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
    return {name: value for name, value in values.items() if value != "" or name not in Written.model_fields}


def mail_address(value: str) -> str:
    """An e-mail address in lower case. Raises ValueError for what is none, whatever a directory would make of it."""
    mail = value.strip().lower()
    if _PATTERN.search(mail):
        raise ValueError("is a pattern: patterns are not read, write an entry for each person")
    if not re.fullmatch(_MAIL, mail) or not value.isascii():
        raise ValueError("is not an e-mail address")
    return mail


def _user_name(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}", value):
        raise ValueError("is not a user name (lower case letters, digits, _ . -, at most 32)")
    if value in SYSTEM_USERS or not re.fullmatch(_USER_NAME, value):
        raise ValueError(f"{value} is a system account: jobs belong to people")
    return value


def _work_directory(value: str) -> str:
    if "{uid}" not in value:
        raise ValueError("must contain {uid}, or two submissions would share a directory")
    if not re.fullmatch(_DIRECTORY, value):
        raise ValueError("is neither absolute nor below ~/, or is longer than 1024 characters")
    return value


def _written(pattern: str, **more: JsonValue) -> WithJsonSchema:
    """What the schema says of a field that a function checks."""
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", **more})


UserName = Annotated[str, AfterValidator(_user_name), _written(_USER_NAME, **{"not": {"enum": sorted(SYSTEM_USERS)}})]
"""A Slurm user who is no system account."""
_Mail = Annotated[str, AfterValidator(mail_address), _written(_MAIL)]
_WorkDirectory = Annotated[str, AfterValidator(_work_directory), _written(_DIRECTORY)]
_AccountName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:+-]{1,64}$")]
_ForPeople = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean", "null"]})]


_SecretField = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]


class SecretReference(BaseModel):
    """A private key in a Secret in the operator's namespace, and where its passphrase is, in the same Secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=253)]
    key: _SecretField
    passphrase_key: _SecretField | None = Field(None, alias="passphraseKey")


class Written(BaseModel):
    """A person's entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    user: _ForPeople = Field("", description="For people and for JARVICE. Not used here.")
    jarvice_user: _ForPeople = Field("", description="For JARVICE. Not used here.")
    mail: _Mail = Field(description="The person, as submissions name him in spec.owner.")
    mapped_user: UserName = Field(description="The Slurm user as whom his jobs run. No system account.")
    ssh_private_key_b64: str | None = Field(
        None, min_length=1, repr=False, description="That user's private key, in base64. Only in a Secret."
    )
    ssh_private_key_secret: SecretReference | None = Field(None, description="Where that user's private key is. Recommended.")
    slurm_account: _AccountName | None = Field(None, description="sbatch --account, where nobody asks for another.")
    work_directory: _WorkDirectory | None = Field(
        None, description="Template of the working directory, in place of the cluster's (spec.defaults.workingDirectory)."
    )


def sentences(error: ValidationError) -> Iterator[str]:
    """What is wrong, without a word of what stands there."""
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
