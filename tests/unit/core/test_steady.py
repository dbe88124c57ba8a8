"""What the queue goes on showing of a job is looked at once: after that only news counts, unless time itself may be news."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core import following
from slurmgate.core.outcomes import Followed, Task
from slurmgate.core.states import STATES
from tests.unit.core.build import JOB, Draft, at, pending, row, squeue
from tests.unit.core.life import Life

states = st.sampled_from(sorted(STATES))
times = st.none() | st.integers(0, 86_400).map(at)


@st.composite
def rows(draw: st.DrawFn) -> list[Task]:
    """What squeue may show of a job, or of some tasks of an array."""
    possible: list[list[str | None]] = [[None], ["0"], ["0", "1-3"]]
    indexes = draw(st.sampled_from(possible))
    return [
        row(draw(states), index, expected_start=draw(times), restarts=draw(st.none() | st.integers(0, 2)), reason="Priority")
        for index in indexes
    ]


@given(rows(), st.integers(0, 86_400), st.booleans())
def test_where_time_changes_nothing_the_same_rows_never_do(shown: list[Task], seconds: int, cancelled: bool) -> None:
    life = Life().admit().submit()
    if cancelled:
        life.cancel()
    life.queue(*shown).queue(*shown)
    if following.steady(life.record) and following.queue_seen(life.record, squeue(*shown), life.now).record == life.record:
        later = life.now + timedelta(seconds=seconds)
        assert following.queue_seen(life.record, squeue(*shown), later).record == life.record


@pytest.mark.parametrize("shown", [pending(), row("RUNNING"), pending("JobHeldUser"), pending(expected_start=at(900))])
def test_a_job_that_waits_or_runs_is_steady(shown: Task) -> None:
    assert following.steady(Life().admit().submit().queue(shown).record)


def test_so_is_none_that_is_clearing_up_is_gone_or_has_an_estimate_that_was_not_worth_telling() -> None:
    running = Life().admit().submit().queue(row("RUNNING"))
    assert not following.steady(running.queue(row("COMPLETING")).record)
    assert not following.steady(Life().admit().submit().queue(row("RUNNING")).queue().record)
    estimated = Life().admit().submit().queue(pending(expected_start=at(9000)))
    assert following.steady(estimated.record)
    assert not following.steady(estimated.queue(pending(expected_start=at(9030))).record)


def test_nor_one_that_is_only_followed() -> None:
    followed = Life(Draft().following()).wait(1).admit(Followed("kirby", JOB)).queue(row("RUNNING", token=None))
    assert followed.status.slurm
    assert followed.status.slurm.state == "RUNNING"
    assert not following.steady(followed.record)
