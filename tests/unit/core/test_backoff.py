"""Pauses between tries."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.backoff import delay


@given(st.integers(0, 10_000), st.text(max_size=40))
def test_it_doubles_from_two_seconds_to_two_minutes_and_is_at_most_a_quarter_longer(tries: int, seed: str) -> None:
    plain = min(120, 2 ** min(tries + 1, 10))
    assert timedelta(seconds=plain) <= delay(tries, seed=seed) <= timedelta(seconds=plain * 1.25)


def test_submissions_do_not_all_come_at_once() -> None:
    assert len({delay(6, seed=f"token-{number}") for number in range(1000)}) > 990


def test_the_same_history_gives_the_same_times() -> None:
    assert delay(4, seed="x") == delay(4, seed="x") != delay(4, seed="y")
