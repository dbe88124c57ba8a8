"""Who is in the bed's directories: those of the cluster, and some who are there to be confused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bed.slurm.people import PEOPLE

DOMAIN: Final = "example.org"
PASSWORD: Final = "Of-the-bed-1"  # noqa: S105  # the directories die with the test that started them
SERVICE: Final = "slurmgate"
"""The account that searches."""


@dataclass(frozen=True)
class Person:
    """Somebody in a directory."""

    user: str
    number: int
    mail: str
    account: str = "pc"
    """In Slurm."""


STAFF: Final = (
    *(Person(each.name, each.uid, f"{each.name}@{DOMAIN}", each.accounts[-1]) for each in PEOPLE),
    Person("twin1", 7101, f"twin@{DOMAIN}"),
    Person("twin2", 7102, f"twin@{DOMAIN}"),
    Person("root", 7103, f"root@{DOMAIN}"),
    Person("star", 7104, f"a*b@{DOMAIN}"),
    Person("plain", 7105, f"aab@{DOMAIN}"),
)
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "gamers": ("kirby",),
    "everybody": ("gamers", "adventurers"),
    "adventurers": ("dovahkiin", "outer"),
    "outer": ("adventurers",),
}
"""Members, who may be groups: `everybody` has kirby and dovahkiin in groups, `outer` and `adventurers` have each other."""
