"""Which jobs in the queue may have lost their submission, and what is said of them."""

from dataclasses import replace

import pytest

from slurmgate.core.outcomes import Task
from slurmgate.core.strays import MOST_NAMED, Origin, Stray, described, suspects
from tests.unit.core.build import OTHER_TOKEN, TOKEN, row, squeue

ORIGIN = Origin("cluster", "research", "hello", TOKEN)

ROWS = {
    "a live job of nobody": (row("RUNNING", token=OTHER_TOKEN), True),
    "one that waits": (row("PENDING", token=OTHER_TOKEN), True),
    "one that is over": (row("COMPLETED", token=OTHER_TOKEN), False),
    "one that somebody holds": (row("RUNNING"), False),
    "one that never was ours": (row("RUNNING", token=None), False),
}


@pytest.mark.parametrize(("task", "suspicious"), ROWS.values(), ids=ROWS.keys())
def test_who_is_looked_at(task: Task, suspicious: bool) -> None:
    found = suspects(squeue(task), lambda token: token == TOKEN)
    assert found == ((task,) if suspicious else ())


def test_an_array_is_one_job() -> None:
    rows = [row(state, str(index), token=OTHER_TOKEN) for index, state in enumerate(["COMPLETED", "RUNNING", "PENDING"])]
    assert [task.index for task in suspects(squeue(*rows), lambda _: False)] == ["1"]


@pytest.mark.parametrize("line", ["", "a b c", "a b c d e", "a  c d"])
def test_an_origin_that_makes_no_sense_is_none(line: str) -> None:
    assert Origin.parse(line) is None


def test_an_origin_is_read_as_it_was_written() -> None:
    assert Origin.parse(str(ORIGIN)) == ORIGIN


def test_what_is_said_is_bounded_and_says_what_to_do() -> None:
    stray = Stray("7", "kirby", TOKEN, ORIGIN)
    assert "slurmgate.dev/adopt" in described([stray])
    assert described([replace(stray, fate="Slurm was asked to cancel it.")]).endswith("is gone. Slurm was asked to cancel it.")
    many = [replace(stray, job_id=str(number)) for number in range(MOST_NAMED + 5)]
    assert "And 5 more." in described(many)
