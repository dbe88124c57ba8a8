"""Index expressions of job arrays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.arrays import MOST_TASKS, count, expanded, indexes, ranges
from tests.unit.core.build import (
    row,
)

EXPRESSIONS = {
    "one index": ("3", (3,)),
    "a range": ("0-3", (0, 1, 2, 3)),
    "a range with steps": ("0-9:4", (0, 4, 8)),
    "a list": ("1,3,5", (1, 3, 5)),
    "a list of everything": ("9,0-2,20-26:3", (9, 0, 1, 2, 20, 23, 26)),
    "a throttle is no index": ("0-2%2", (0, 1, 2)),
    "spaces around parts": ("1, 3", (1, 3)),
    "a step of nothing counts as one": ("0-2:0", (0, 1, 2)),
}


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_expressions_are_read_as_slurm_reads_them(expression: str, expected: tuple[int, ...]) -> None:
    assert indexes(expression) == expected
    assert count(expression) == len(set(expected))


@pytest.mark.parametrize(
    "expression",
    ["", "a", "1-", "-1", "1--2", "3-1", "1;2", "0x4", "1_000", "١", "0-4000001", "99999999999999999999", "0-9,", "[0-3]"],
)
def test_what_is_no_expression_is_refused_and_not_guessed_at(expression: str) -> None:
    for read in (indexes, count):
        with pytest.raises(ValueError, match="array expression"):
            read(expression)


def test_the_largest_array_is_counted_without_being_spelled_out() -> None:
    assert count(f"0-{MOST_TASKS - 1}") == MOST_TASKS


def test_overlapping_ranges_count_each_index_once() -> None:
    assert count("0-9,5-14,7") == 15


def test_a_list_that_repeats_itself_beyond_slurms_ceiling_is_not_spelled_out() -> None:
    with pytest.raises(ValueError, match="more tasks"):
        indexes(",".join([f"0-{MOST_TASKS - 1}"] * 2))
    with pytest.raises(ValueError, match="more tasks"):
        count(",".join([f"0-{MOST_TASKS - 1}"] * 2))


@given(st.sets(st.integers(0, 3000)))
def test_ranges_say_the_same_as_the_numbers(numbers: set[int]) -> None:
    text = ranges(numbers)
    assert set(indexes(text)) == numbers if numbers else not text


def test_ranges_are_short() -> None:
    assert ranges([9, 0, 1, 2, 3, 4, 5, 6, 6]) == "0-6,9"
    assert ranges([]) == ""


def test_a_row_for_several_tasks_becomes_one_for_each() -> None:
    assert [task.index for task in expanded(row("PENDING", "4-6,9"))] == ["4", "5", "6", "9"]
    assert [task.index for task in expanded(row("PENDING", "[4-6%2]"))] == ["4", "5", "6"]


@pytest.mark.parametrize("index", [None, "7", "+1", "0,2,4,6,8,10,12,14,..."])
def test_a_row_for_one_task_or_with_a_cut_expression_stays_one(index: str | None) -> None:
    task = row("RUNNING", index)
    assert expanded(task) == (task,)


def test_a_row_for_more_tasks_than_the_job_has_stays_one() -> None:
    assert len(expanded(row("PENDING", "[0-3]"), most=4)) == 4
    assert expanded(row("PENDING", "[0-4000000]"), most=4) == (row("PENDING", "[0-4000000]"),)
