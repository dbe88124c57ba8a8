"""Where there is no accounting: squeue's last word, and what the batch script left when squeue has forgotten the job."""

from dataclasses import replace

import pytest

from slurmgate.core.outcomes import Task
from slurmgate.core.record import Stage, Step
from tests.unit.core.build import JOB, TOKEN, at, row
from tests.unit.core.life import LOST_AFTER, Life


def left(code: int = 0, signal: int | None = None, index: str | None = None) -> Task:
    """An exit record."""
    state = "FAILED" if code or signal else "COMPLETED"
    return Task(JOB, state, index, exit_code=code, signal=signal, token=TOKEN, end_time=at(9), elapsed_seconds=6)


def ran() -> Life:
    return Life().known().wait(5).queue(row("RUNNING")).wait(400)


ENDS = {
    "it tells how a forgotten job ended": (ran().queue().no_accounting(left()), ("Done", "COMPLETED", "Completed"), 0, None),
    "with its exit code": (ran().queue().no_accounting(left(3)), ("Aborted", "FAILED", "JobFailed"), 3, None),
    "or its signal": (ran().queue().no_accounting(left(0, 9)), ("Aborted", "FAILED", "JobFailed"), 0, 9),
    "a bad end after a cancel is the cancel": (
        ran().cancel().control(Step.CANCEL).queue().no_accounting(left(0, 15)),
        ("Cancelled", "CANCELLED", "Cancelled"),
        0,
        15,
    ),
    "a good end after a cancel came first": (
        ran().cancel().control(Step.CANCEL).queue().no_accounting(left()),
        ("Done", "COMPLETED", "Completed"),
        0,
        None,
    ),
    "it adds the exit code to squeue's word": (
        ran().queue(row("FAILED")).no_accounting(left(3)),
        ("Aborted", "FAILED", "JobFailed"),
        3,
        None,
    ),
    "squeue knows better why it ended": (
        ran().queue(row("TIMEOUT")).no_accounting(left(0, 15)),
        ("Aborted", "TIMEOUT", "TimeLimit"),
        None,
        None,
    ),
    "squeue's word is enough": (
        ran().queue(row("FAILED")).exit_records_unreadable(),
        ("Aborted", "FAILED", "JobFailed"),
        None,
        None,
    ),
}


@pytest.mark.parametrize(("life", "shows", "exit_code", "signal"), ENDS.values(), ids=ENDS.keys())
def test_the_end(life: Life, shows: tuple[str, str, str], exit_code: int | None, signal: int | None) -> None:
    assert life.shows() == shows
    slurm = life.status.slurm
    assert slurm is not None
    assert (slurm.exit_code, slurm.signal) == (exit_code, signal)


def test_of_a_job_that_lives_it_says_nothing() -> None:
    life = ran().queue(row("PENDING", restarts=1)).no_accounting(left(3))
    assert life.stage is Stage.KNOWN


def test_another_submissions_record_says_nothing() -> None:
    life = ran().queue().no_accounting(replace(left(), token="another"))
    assert life.stage is Stage.KNOWN


def test_records_that_cannot_be_read_are_no_records_that_are_not_there() -> None:
    life = ran().queue()
    for _ in range(3):
        life.wait(LOST_AFTER.total_seconds()).queue().exit_records_unreadable()
    assert not life.record.lost
    assert life.queue().no_accounting(left()).shows() == ("Done", "COMPLETED", "Completed")


def test_an_array_ends_when_each_task_has_left_its_record() -> None:
    life = Life().known(array="0-2").wait(5).queue(*(row("RUNNING", str(index)) for index in range(3))).wait(400)
    life.queue(row("RUNNING", "2")).no_accounting(left(0, None, "0"), left(4, None, "1"))
    assert life.stage is Stage.KNOWN
    array = life.status.slurm and life.status.slurm.array
    assert array
    assert (array.running, array.succeeded_indexes, array.failed_indexes) == (1, "0", "1")
    life.queue().no_accounting(left(0, None, "0"), left(4, None, "1"), left(0, None, "2"))
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")
