"""Who uses the bed's cluster, and what Slurm's accounting knows about them."""

from dataclasses import dataclass

CLUSTER = "valhalla"
DATABASE = "slurm_acct_db"


@dataclass(frozen=True)
class Person:
    """A user of the cluster."""

    name: str
    uid: int
    accounts: tuple[str, ...]
    coordinates: tuple[str, ...] = ()
    """Accounts whose jobs this user may see and change even with PrivateData."""
    urgent: bool = False
    """May use the QOS `high`, whose jobs preempt others."""
    bashrc: str = ""


# A shell that talks when nobody asked is common on real clusters, and breaks whoever parses what ssh prints.
_NOISE = """\
echo 'Welcome to Valhalla! It is-a me, Mario.'
echo 'Quota: 98% of /home used' >&2
"""

PEOPLE = (
    Person("kirby", 7001, ("nintendo",), urgent=True),
    Person("mario", 7002, ("nintendo",), bashrc=_NOISE),
    Person("dovahkiin", 7003, ("pc",)),
    Person("jarvice", 7004, ("nintendo", "pc"), coordinates=("nintendo", "pc")),
)


def crowd(count: int) -> tuple[Person, ...]:
    """So many people of whom there is nothing special."""
    return tuple(Person(f"user{number}", 7100 + number, ("nintendo",)) for number in range(1, count + 1))


ACCOUNTS = {account: tuple(person.name for person in PEOPLE if account in person.accounts) for account in ("nintendo", "pc")}


def account_tree() -> str:
    """The tree as `sacctmgr load` reads it: one command instead of ten takes one second instead of six."""
    lines = [
        f"Cluster - '{CLUSTER}':Fairshare=1:QOS='normal'",
        "Parent - 'root'",
        "User - 'root':DefaultAccount='root':AdminLevel='Administrator':Fairshare=1:QOS='normal,high'",
    ]
    lines += [f"Account - '{name}':Description='{name}':Organization='{name}':Fairshare=1" for name in ACCOUNTS]
    for account in ACCOUNTS:
        lines.append(f"Parent - '{account}'")
        lines += [_membership(person, account) for person in PEOPLE if account in person.accounts]
    return "\n".join(lines) + "\n"


def _membership(person: Person, account: str) -> str:
    entry = f"User - '{person.name}':Fairshare=1"
    if account == person.accounts[0]:
        entry += f":DefaultAccount='{account}'"
        if person.coordinates:
            entry += f":Coordinator='{','.join(person.coordinates)}'"
    if person.urgent:
        entry += ":QOS='normal,high'"
    return entry
