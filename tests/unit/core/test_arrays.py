"""Index expressions of job arrays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.arrays import MOST_TASKS, bits, count, ranges, several, singly

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
    assert tuple(singly(bits([expression]))) == tuple(sorted(expected))
    assert count(expression) == len(set(expected))


@pytest.mark.parametrize(
    "expression",
    ["", "a", "1-", "-1", "1--2", "3-1", "1;2", "0x4", "1_000", "١", "0-4000001", "99999999999999999999", "0-9,", "[0-3]"],
)
def test_what_is_no_expression_is_refused_and_not_guessed_at(expression: str) -> None:
    with pytest.raises(ValueError, match="array expression"):
        count(expression)


def test_the_largest_array_is_counted_without_being_spelled_out() -> None:
    assert count(f"0-{MOST_TASKS - 1}") == MOST_TASKS


def test_overlapping_ranges_count_each_index_once() -> None:
    assert count("0-9,5-14,7") == 15


def test_a_list_that_repeats_itself_beyond_slurms_ceiling_is_not_spelled_out() -> None:
    with pytest.raises(ValueError, match="more tasks"):
        count(",".join([f"0-{MOST_TASKS - 1}"] * 2))


@given(st.sets(st.integers(0, 3000)))
def test_ranges_say_the_same_as_the_numbers(numbers: set[int]) -> None:
    wanted = bits(map(str, numbers)) if numbers else 0
    assert tuple(singly(wanted)) == tuple(sorted(numbers))
    text = ranges(wanted)
    assert bits([text]) == wanted if numbers else not text


def test_ranges_are_short() -> None:
    assert ranges(bits(["9", "0-3", "4", "5-6", "6"])) == "0-6,9"
    assert ranges(bits([])) == ""


@pytest.mark.parametrize(
    ("index", "expected"), [(None, False), ("7", False), ("+1", False), ("4-6", True), ("4,9", True), ("0-8:2", True)]
)
def test_what_stands_for_several_tasks(index: str | None, *, expected: bool) -> None:
    assert several(index) is expected
