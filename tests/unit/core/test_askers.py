"""Who asks Slurm about jobs."""

import pytest

from slurmgate.core.askers import MOST_TRIES, Question, examiners, questions

ALL = frozenset({"kirby", "mario", "peach"})

CASES: dict[str, tuple[set[str], str | None, bool, set[str], list[Question]]] = {
    "there is nobody to ask about": (set(), None, False, set(), []),
    "there is nobody to ask about, and a service user": (set(), "slurmgate", False, set(), []),
    "a service user asks for everybody": (set(ALL), "slurmgate", True, set(), [Question(ALL, ("slurmgate",))]),
    "anybody asks for everybody": (set(ALL), None, False, set(), [Question(ALL, ("kirby", "mario", "peach"))]),
    "who could not log in comes last": (set(ALL), None, False, {"kirby"}, [Question(ALL, ("mario", "peach", "kirby"))]),
    "nobody could log in, and is tried all the same": (
        set(ALL),
        None,
        False,
        set(ALL),
        [Question(ALL, ("kirby", "mario", "peach"))],
    ),
    "where jobs are hidden everybody asks for himself": (
        {"mario", "kirby"},
        None,
        True,
        set(),
        [Question(frozenset({"kirby"}), ("kirby",)), Question(frozenset({"mario"}), ("mario",))],
    ),
    "where jobs are hidden nobody can ask for who cannot log in": (
        {"mario", "kirby"},
        None,
        True,
        {"kirby"},
        [Question(frozenset({"kirby"}), ("kirby",)), Question(frozenset({"mario"}), ("mario",))],
    ),
}


@pytest.mark.parametrize(("users", "service", "hides", "shut_out", "expected"), CASES.values(), ids=CASES.keys())
def test_questions(users: set[str], service: str | None, *, hides: bool, shut_out: set[str], expected: list[Question]) -> None:
    assert questions(users, service_user=service, hides_jobs=hides, shut_out=shut_out) == expected


def test_a_question_is_not_asked_in_vain_by_everybody() -> None:
    users = [f"user{number:03d}" for number in range(500)]
    (question,) = questions(users, service_user=None, hides_jobs=False, shut_out=users[:200])
    assert question.users == frozenset(users)
    assert question.askers == tuple(users[200 : 200 + MOST_TRIES])


def test_every_user_gets_a_turn_while_nobody_can_log_in() -> None:
    users, shut_out = [f"user{number}" for number in range(8)], set[str]()
    for _ in range(3):
        shut_out |= set(examiners(users, shut_out=shut_out))
    assert shut_out == set(users)


def test_every_user_is_covered_once() -> None:
    for hides in (True, False):
        covered = [
            user for question in questions(ALL, service_user=None, hides_jobs=hides, shut_out=()) for user in question.users
        ]
        assert sorted(covered) == sorted(ALL)
