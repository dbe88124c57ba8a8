"""Who has to be logged in where something is placed or read (read_person in remote/common.sh)."""

from slurmgate.core.access import refused_login
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.resources.access import Access
from slurmgate.slurm.records import MOST_WORD
from slurmgate.slurm.remote import Answer


def lines(rules: Access, user: str) -> tuple[str, str]:
    """What the program is told: the user, and the least uid of people."""
    return user, str(rules.minimum_uid)


def refusal(rules: Access, user: str, answer: Answer) -> Refused | NotNow | None:
    """Whether the login node says that it is somebody else, and therefore nothing was done."""
    if not answer.has("login"):
        return None
    return refused_login(rules, user, login=answer.get("login")[:MOST_WORD], uid=answer.number("uid"))
