"""How often the queue is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.pace import pause

SECONDS = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("quiet", "seconds"), [(0, 5), (49, 5), (60, 6), (299, 29.9), (3600, 30)], ids=lambda value: f"{value}"
)
def test_the_longer_nothing_has_changed_the_more_seldom_it_is_looked(quiet: float, seconds: float) -> None:
    assert pause(quiet, least=5, most=30) == pytest.approx(seconds)


@given(SECONDS, SECONDS, SECONDS)
def test_never_more_often_than_may_be_and_never_more_seldom(quiet: float, least: float, most: float) -> None:
    assert least <= pause(quiet, least=least, most=most) <= max(least, most)


@given(SECONDS, SECONDS, SECONDS)
def test_who_wants_a_steady_pace_has_one(quiet: float, least: float, most: float) -> None:
    assert pause(quiet, least=least, most=min(least, most)) == least
