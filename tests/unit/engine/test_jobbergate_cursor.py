"""Changes in Jobbergate are read until what was seen before, and no further."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from slurmgate.engine.jobbergate.cursor import OVERLAP, Cursor

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LATE = OVERLAP.total_seconds()


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def read_to(seconds: float, clock: float = 0.0) -> Cursor:
    cursor = Cursor()
    cursor.advance(at(seconds), clock)
    return cursor


def test_the_first_time_one_page_is_enough() -> None:
    assert Cursor().reached([at(0)])


def test_for_some_time_changes_may_turn_up_that_are_older_than_what_was_seen() -> None:
    cursor = read_to(0)
    assert not cursor.reached([at(1), at(-LATE)])
    assert cursor.reached([at(1), at(-LATE - 1)])


def test_ten_thousand_that_changed_at_once_are_not_read_again_for_ever() -> None:
    cursor = read_to(0)
    cursor.advance(at(0), LATE - 1)
    assert not cursor.reached([at(0)])
    cursor.advance(at(0), LATE)
    assert cursor.reached([at(0)])
    assert not cursor.reached([at(2), at(1)])


def test_after_a_new_change_there_may_be_others_again() -> None:
    cursor = read_to(0)
    cursor.advance(at(0), LATE)
    cursor.advance(at(30), 30)
    assert not cursor.reached([at(30), at(25)])


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, LATE - 0.01)), max_size=30), st.floats(0.1, 5))
def test_every_change_is_read(changes: list[tuple[float, float]], period: float) -> None:
    """Each carries a time and is seen up to ten seconds after it; pages have three."""
    cursor, read, clock = Cursor(), set[int](), 0.0
    while clock < 60 + 4 * LATE:
        there = sorted((-when, index) for index, (when, late) in enumerate(changes) if when + late <= clock)
        first = clock == 0.0
        for page in range(0, max(1, len(there)), 3):
            some = there[page : page + 3]
            read |= {index for _, index in some}
            if cursor.reached([at(-when) for when, _ in some]) and not first:
                break
        cursor.advance(at(-there[0][0]) if there else None, clock)
        clock += period
    assert read == set(range(len(changes)))
