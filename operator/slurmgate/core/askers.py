"""Who asks Slurm about jobs. A question should not fail because the one who asks it cannot log in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

MOST_TRIES = 3
"""Users who are asked in vain before a question counts as unanswered."""


@dataclass(frozen=True, slots=True)
class Question:
    """One look at the queue: whose jobs it covers, and who may ask it, in the order in which they are tried."""

    users: frozenset[str]
    askers: tuple[str, ...]


def questions(
    users: Collection[str], *, service_user: str | None, hides_jobs: bool, shut_out: Collection[str]
) -> list[Question]:
    """The fewest questions that cover the jobs of all these users.

    A service user sees everybody's jobs. Without one, anybody does, unless the cluster hides jobs of others: then everybody
    asks for himself. `shut_out` could not log in lately and come last.
    """
    if not users:
        return []
    if service_user:
        return [Question(frozenset(users), (service_user,))]
    if hides_jobs:
        return [Question(frozenset({user}), (user,)) for user in sorted(users)]
    return [Question(frozenset(users), examiners(sorted(users), shut_out=shut_out))]


def examiners(users: Sequence[str], *, shut_out: Collection[str]) -> tuple[str, ...]:
    """Who may try to find out how the cluster is, best first."""
    return tuple(sorted(users, key=lambda user: user in shut_out))[:MOST_TRIES]
