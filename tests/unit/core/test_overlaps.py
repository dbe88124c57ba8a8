"""Rows that stand for many tasks are counted, not made into as many rows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.outcomes import Task
from slurmgate.core.overlaps import apart
from slurmgate.core.record import Stage
from slurmgate.core.tasks import total
from slurmgate.resources.submission import ArrayStatus
from tests.unit.core.build import each_task, pending, record_of, row
from tests.unit.core.life import Life

APART = {
    "rows that have nothing in common": (["0-3", "5"], ["4", "6-9"], [["0-3", "5"], ["4", "6-9"]]),
    "the same rows": (["0-8:2"], ["0,2,4,6,8"], [["0-8:2"], ["0-8:2"]]),
    "a task by itself": (["3"], ["0-9"], [["3"], ["0-2,4-9", "3"]]),
    "two that overlap": (["0-5"], ["3-9"], [["0-2", "3-5"], ["3-5", "6-9"]]),
    "jobs and components": ([None, "+1"], ["0-3"], [[None, "+1"], ["0-3"]]),
    "single tasks only": (["1", "2"], ["2"], [["1", "2"], ["2"]]),
}


@pytest.mark.parametrize(("known", "news", "expected"), APART.values(), ids=APART.keys())
def test_rows_are_taken_apart_only_where_they_overlap(
    known: list[str | None], news: list[str | None], expected: list[list[str | None]]
) -> None:
    found = apart([pending(index=index) for index in known], [row("RUNNING", index) for index in news])
    assert [[task.index for task in side] for side in found] == expected
    assert [{task.state for task in side} for side in found] == [{"PENDING"}, {"RUNNING"}]


TASKS = 12
WORDS = st.sampled_from(["PENDING", "PENDING", "RUNNING", "COMPLETING", "COMPLETED", "FAILED", "CANCELLED"])
INDEXES = st.one_of(
    st.integers(0, TASKS - 1).map(str),
    st.tuples(st.integers(0, TASKS - 1), st.integers(0, TASKS - 1)).map(lambda ends: f"{min(ends)}-{max(ends)}"),
    st.sampled_from(["0-11:2", "1-11:3", "0,5,7-9"]),
)


def rows(**details: Any) -> st.SearchStrategy[list[Task]]:
    """Of tasks in the same state all say the same: of which of them the reason is shown is not decided."""
    return st.lists(st.builds(lambda word, index: row(word, index, **details), WORDS, INDEXES), max_size=4)


LOOKS = st.lists(st.tuples(rows(), st.one_of(st.none(), rows(exit_code=3, elapsed_seconds=9)), st.booleans()), max_size=6)


@given(LOOKS)
def test_it_is_the_same_whether_slurm_shows_one_row_for_several_tasks_or_one_for_each(
    looks: list[tuple[list[Task], list[Task] | None, bool]],
) -> None:
    short, long = (Life().known(array=f"0-{TASKS - 1}") for _ in range(2))
    for queue, accounting, restarted in looks:
        for life, take in ((short, list), (long, lambda rows: each_task(*rows))):
            if restarted:
                life.restart()
            if life.stage is Stage.KNOWN:
                life.wait(50).queue(*take(queue))
                life.account_fails() if accounting is None else life.account(*take(accounting))
        assert short.writes == long.writes
        assert total(short.record.tasks) == total(long.record.tasks)
        assert (short.record.unread, short.record.held) == (long.record.unread, long.record.held)


def test_tasks_that_wait_are_few_rows_however_many_they_are() -> None:
    life = Life().known(array="0-999999")
    ended = [record_of("COMPLETED", str(index)) for index in range(5)]
    for _ in range(3):
        life.queue(pending("JobArrayTaskLimit", "7-999999"), row("RUNNING", "5"), row("RUNNING", "6")).account(*ended)
        life.restart()
    life.queue(pending("JobArrayTaskLimit", "7-999999"), row("RUNNING", "5"), row("RUNNING", "6"))
    assert len(life.record.tasks) == 4
    assert life.status.slurm
    assert life.status.slurm.array == ArrayStatus(
        total=1_000_000, pending=999_993, running=2, succeeded=5, succeeded_indexes="0-4"
    )


def test_an_array_that_waits_again_is_few_rows_again() -> None:
    life = Life().known(array="0-999").queue(pending(index="100-999"))
    life.account(*(record_of("FAILED", str(index)) for index in range(100)))
    for _ in range(2):
        life.queue(pending(index="0-999"))
    assert [task.index for task in life.record.tasks] == ["0-999"]
