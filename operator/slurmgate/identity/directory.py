"""Questions to a directory, and what its answers mean. Pure: `ldap` asks them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ldap3.utils.conv import escape_bytes
from ldap3.utils.dn import parse_dn

from slurmgate.identity.asked import Account, account
from slurmgate.identity.mapping import NotMapped
from slurmgate.resources.identity import Ldap

KEY: Final = "ssh-privatekey"
"""Key of the Secrets that `keySecretTemplate` names."""
MEMBER_OF: Final = "memberOf"
MOST_LEVELS: Final = 10
"""Groups in groups in groups."""
MOST_GROUPS: Final = 100
"""Looked at for one person."""


class UndecidedError(Exception):
    """There are too many groups to find out whether somebody is in one."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry of the directory."""

    name: str
    """Its distinguished name, as the directory writes it."""
    values: Mapping[str, Sequence[str]]
    """By attribute, in lower case."""

    def of(self, attribute: str) -> Sequence[str]:
        """The values of an attribute; none if it is not there."""
        return self.values.get(attribute.lower(), ())


def search_filter(template: str, mail: str) -> str:
    """The filter that finds this e-mail address. Whatever stands in the address is looked for, and is no part of the filter."""
    return template.replace("{mail}", _escaped(mail))


def in_chain(group: str) -> str:
    """The filter that finds who is in a group, or in a group in it, and so on (MS-ADTS 3.1.1.3.4.4.3)."""
    return f"({MEMBER_OF}:1.2.840.113556.1.4.1941:={_escaped(group)})"


def attributes(source: Ldap) -> list[str]:
    """What has to be known of a person."""
    named = (source.user_attribute, source.home_attribute, source.account_attribute)
    groups = [MEMBER_OF] if source.restrict_to_group else []
    return [*(attribute for attribute in named if attribute), *groups]


def the_one(mail: str, hits: Sequence[Hit]) -> Hit | NotMapped:
    """The person whom a search has found. To pick one of two would be a guess at who somebody is."""
    match hits:
        case [hit]:
            return hit
        case []:
            return NotMapped(f"{mail} is nobody in the directory")
        case _:
            return NotMapped(f"{mail} is several people in the directory: {hits[0].name} and {hits[1].name}")


def account_of(mail: str, hit: Hit, source: Ldap) -> Account | NotMapped:
    """The account of a person."""
    said: dict[str, object] = {}
    for field, attribute in (
        ("user", source.user_attribute),
        ("home", source.home_attribute),
        ("slurm_account", source.account_attribute),
    ):
        values = hit.of(attribute) if attribute else ()
        if len(values) > 1:
            return NotMapped(f"{mail} cannot be told: {hit.name} has {len(values)} values of {attribute}")
        if values:
            said[field] = values[0]
    if "user" not in said:
        return NotMapped(f"{mail} has no account: {hit.name} has no {source.user_attribute}")
    said["user"] = str(said["user"]).lower()  # as the login nodes see it: directories do not tell large letters from small ones
    if source.key_secret_template:
        said["key"] = {"name": source.key_secret_template.replace("{user}", str(said["user"])), "key": KEY}
    found = account(**said)
    if isinstance(found, str):
        return NotMapped(f"what the directory says of {mail} cannot be used: {found} ({hit.name})")
    return found


def belongs(person: Hit, group: str, *, groups_of: Callable[[str], Collection[str]]) -> bool:
    """Whether somebody is in a group, or in a group in it, and so on. Names are distinguished names.

    Raises:
        UndecidedError: there are more groups than are looked at.
    """
    wanted, seen = _same(group), set[tuple[tuple[str, str], ...]]()
    level: Collection[str] = person.of(MEMBER_OF)
    for _ in range(MOST_LEVELS):
        new = {same: name for name in level if (same := _same(name)) not in seen}
        if wanted in new or not new:
            return bool(new)
        seen |= new.keys()
        if len(seen) > MOST_GROUPS:
            raise UndecidedError(f"{person.name} is in more than {MOST_GROUPS} groups, with the groups that they are in")
        level = [above for name in new.values() for above in groups_of(name)]
    raise UndecidedError(f"the groups of {person.name} are in groups more than {MOST_LEVELS} deep")


def _escaped(text: str) -> str:
    """Each byte as its number (RFC 4515): if only those that mean something were, blanks at the ends would get lost."""
    return str(escape_bytes(text.encode()))


def _same(name: str) -> tuple[tuple[str, str], ...]:
    """Equal for names that differ only in large and small letters, or in blanks."""
    return tuple((kind.lower(), value.lower()) for kind, value, _ in parse_dn(name, strip=True))
