"""Random histories: whatever people wish, clusters answer and operators forget, the guarantees hold.

A history is played from one number, so that a failure is played again by that number; hypothesis chooses the numbers and shows
the story. Its own state machines were tried: they seldom come as far as the places where things go wrong.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.history import History


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_the_guarantees_hold_in_every_history(seed: int) -> None:
    live_through(seed)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.integers(0, 2**32))
def test_the_guarantees_hold_in_a_thousand_histories(seed: int) -> None:
    live_through(seed)


def live_through(seed: int) -> None:
    history = History(seed)
    history.play()
    history.end(cluster_answers=True)
    history.end(cluster_answers=False)
