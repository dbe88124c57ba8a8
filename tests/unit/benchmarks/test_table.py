"""The page: who met which goal, and by how much."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.jobbergate.counting import SUBMITTED, UPDATE
from benchmarks.jobbergate.measures import Sample
from benchmarks.jobbergate.table import Measure, Samples, as_data, figures, goals
from benchmarks.measuring.samples import Run
from benchmarks.measuring.table import percentile

FLOOR = Sample("the API's own floor", 10.0, Counter({SUBMITTED: 200}), Counter(), {"API": 9.0}, 50.0, submitted=[1.0, 2.0])
AGENT = replace(FLOOR, who="Jobbergate Agent, every 10 s", seconds=40.0, commands=Counter(test=400, sbatch=200))
SLURMGATE = replace(FLOOR, who="Slurmgate, every 3 s", seconds=11.0)


def told(samples: Samples) -> list[str]:
    return list(goals(Run("jobbergate", {}, as_data(samples))))


def test_goals_are_judged_beside_the_floor_and_beside_the_agent() -> None:
    rows = told({Measure.AT_ONCE: [FLOOR, AGENT, SLURMGATE]})
    assert rows[2] == "| 200 pending at once | work, times the floor's: at most 1.2 | 1.10, met | 4.00 | 4 |"


def test_a_goal_that_is_missed_stands_out() -> None:
    slow = replace(SLURMGATE, seconds=13.0)
    assert "1.30, **not met**" in told({Measure.AT_ONCE: [FLOOR, slow]})[2]


def test_who_did_not_compete_has_no_figure() -> None:
    assert told({Measure.AT_ONCE: [FLOOR, AGENT]})[2].endswith("at most 1.2 |  | 4.00 |  |")


def test_what_changes_nothing_is_judged_by_the_look() -> None:
    still = replace(SLURMGATE, calls=Counter({"GET /a": 20, "GET /b": 20}), commands=Counter(squeue=20, sacct=21), looks=20)
    calls, commands, updates = told({Measure.REST: [still]})[-4:-1]
    assert ("2.00, met" in calls, "2.05, **not met**" in commands, "0.00, met" in updates) == (True, True, True)
    assert "**not met**" in told({Measure.REST: [replace(still, calls=Counter({UPDATE: 1}))]})[-2]


def test_of_several_runs_the_middle_one_is_shown_with_the_spread() -> None:
    runs = [replace(AGENT, seconds=seconds) for seconds in (50.0, 30.0, 40.0)]
    row = list(figures(Measure.AT_ONCE, runs))[4]
    assert "| 3 | 40.0 (30.0 to 50.0) | 1.0 / 2.0 / 2.0 |" in row
    assert "600: 400 test, 200 sbatch" in row


@given(st.lists(st.floats(0, 1000), min_size=1), st.integers(1, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: int) -> None:
    found = percentile(sorted(values), percent)
    assert sum(value <= found for value in values) >= len(values) * percent / 100
    assert sum(value < found for value in values) < len(values) * percent / 100
