"""When a job that waits may start: said when Slurm has an idea, and not again at each of its changes of mind."""

from datetime import datetime

from tests.unit.core.build import at, pending, row
from tests.unit.core.life import Life

HOUR = 3600


def waits(estimate: datetime | None) -> Life:
    return Life().known().wait(5).queue(pending(expected_start=estimate))


def shown(life: Life) -> datetime | None:
    assert life.status.slurm
    return life.status.slurm.estimated_start_time


def test_it_is_shown() -> None:
    assert shown(waits(at(HOUR))) == at(HOUR)


def test_it_is_shown_when_slurm_has_found_one() -> None:
    life = waits(None)
    writes = len(life.writes)
    life.wait(30).queue(pending(expected_start=at(HOUR)))
    assert shown(life) == at(HOUR)
    assert len(life.writes) == writes + 1


def test_small_changes_are_no_news() -> None:
    life = waits(at(HOUR))
    writes = len(life.writes)
    for minute in range(30):
        life.wait(60).queue(pending(expected_start=at(HOUR + minute)))
    assert len(life.writes) == writes


def test_large_ones_are_but_not_every_time() -> None:
    life = waits(at(HOUR))
    writes = len(life.writes)
    for minute in range(30):
        life.wait(60).queue(pending(expected_start=at(2 * HOUR + minute * 600)))
    assert shown(life) != at(HOUR)
    assert 4 <= len(life.writes) - writes <= 6


def test_one_that_runs_has_none() -> None:
    assert shown(waits(at(HOUR)).wait(60).queue(row("RUNNING"))) is None


def test_an_array_has_its_next_tasks() -> None:
    life = Life().known(array="0-2").wait(5)
    life.queue(*(pending(index=str(index), expected_start=at(HOUR * (3 - index))) for index in range(3)))
    assert shown(life) == at(HOUR)


def test_another_partition_is_shown() -> None:
    life = waits(None).wait(60).queue(pending(partition="night"))
    assert life.status.slurm
    assert life.status.slurm.partition == "night"
