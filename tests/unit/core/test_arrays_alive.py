"""The lives of job arrays and heterogeneous jobs: one submission, many tasks."""

from collections.abc import Callable

import pytest

from slurmgate.core.record import Stage, Step
from slurmgate.resources.submission import ArrayStatus
from tests.unit.core.build import (
    admission,
    pending,
    record_of,
    row,
)
from tests.unit.core.life import (
    Life,
)


def array() -> Life:
    return Life().known(array="0-3")


def counts(life: Life) -> tuple[int, int, int, int, str | None, str | None]:
    slurm = life.status.slurm
    assert slurm
    assert slurm.array
    assert slurm.array.total == 4
    found: ArrayStatus = slurm.array
    return found.pending, found.running, found.succeeded, found.failed, found.succeeded_indexes, found.failed_indexes


def test_an_array_with_mixed_ends() -> None:
    life = array()
    assert counts(life) == (4, 0, 0, 0, None, None)
    life.queue(row("RUNNING", "0"), pending("JobArrayTaskLimit", "1-3"))
    assert counts(life) == (3, 1, 0, 0, None, None)
    life.queue(row("COMPLETED", "0"), row("FAILED", "1"), row("RUNNING", "2"), pending("JobArrayTaskLimit", "3"))
    assert counts(life) == (1, 1, 1, 1, "0", "1")
    assert life.record.unread
    life.account(record_of("COMPLETED", "0"), record_of("FAILED", "1", exit_code=7))
    life.queue(row("COMPLETED", "0"), row("FAILED", "1"), row("RUNNING", "2"), pending("JobArrayTaskLimit", "3"))
    assert not life.record.unread, "what accounting has told is not asked again"
    life.queue(row("RUNNING", "3"))
    life.account(record_of("COMPLETED", "2"))
    assert counts(life) == (0, 1, 2, 1, "0,2", "1")
    life.queue().account(record_of("COMPLETED", "3"))
    assert counts(life) == (0, 0, 3, 1, "0,2-3", "1")
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")
    ready = life.condition("Ready")
    assert ready
    assert ready.message == "3 of 4 tasks completed; Slurm: FAILED, exit code 7"


def test_an_array_whose_tasks_all_completed_is_done() -> None:
    life = array().queue().account(*(record_of("COMPLETED", str(index)) for index in range(4)))
    assert life.shows() == ("Done", "COMPLETED", "Completed")


def test_an_array_is_not_over_before_its_last_task_is() -> None:
    life = array().queue().account(*(record_of("COMPLETED", str(index)) for index in range(3)))
    assert life.stage is Stage.KNOWN
    assert life.wait(1000).queue().account().stage is Stage.KNOWN
    assert life.account(record_of("COMPLETED", "3")).stage is Stage.ENDED


def test_an_array_that_was_cancelled_while_it_waited_is_one_row() -> None:
    life = array().queue(row("CANCELLED", "0-3")).account(record_of("CANCELLED", "0-3"))
    assert life.shows() == ("Cancelled", "CANCELLED", "Cancelled")
    assert counts(life) == (0, 0, 0, 4, None, "0-3")


def test_a_task_that_is_requeued_lives_again() -> None:
    life = array().queue(row("RUNNING", "0"), pending(index="1-3"))
    life.queue(row("NODE_FAIL", "0"), pending(index="1-3")).account(record_of("NODE_FAIL", "0"))
    assert counts(life)[3] == 1
    life.queue(pending("BeginTime", "0", restarts=1), pending(index="1-3"))
    assert counts(life) == (4, 0, 0, 0, None, None)
    assert life.stage is Stage.KNOWN


def test_tasks_that_left_the_queue_unseen_are_read_from_accounting() -> None:
    life = array().queue(row("RUNNING", "0"), pending(index="1-3")).queue(row("RUNNING", "3"))
    assert life.record.unread
    life.account(*(record_of("COMPLETED", str(index)) for index in range(3)))
    assert counts(life) == (0, 1, 3, 0, "0-2", None)


def test_counts_do_not_go_back_when_the_operator_starts_again_and_accounting_is_down() -> None:
    life = array().queue(row("COMPLETED", "0"), row("FAILED", "1"), row("RUNNING", "2"), pending(index="3"))
    life.account(record_of("COMPLETED", "0"), record_of("FAILED", "1", exit_code=7))
    before = counts(life)
    writes = len(life.writes)
    life.restart().queue(row("RUNNING", "2"), pending(index="3")).account_fails()
    assert counts(life) == before
    assert len(life.writes) == writes
    assert life.record.unread


def test_the_waiting_tasks_of_an_array_are_held_although_some_run() -> None:
    life = array().queue(row("RUNNING", "0"), pending(index="1-3")).suspend()
    assert life.next_step is Step.HOLD


def test_a_heterogeneous_job_ends_with_its_worst_component() -> None:
    life = Life().known().queue(row("RUNNING", "+0"), row("RUNNING", "+1"))
    life.queue(row("COMPLETED", "+0"), row("FAILED", "+1"))
    life.account(record_of("COMPLETED", "+0"), record_of("FAILED", "+1", exit_code=2))
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")


def het() -> Life:
    return Life().known().queue(row("RUNNING", "+0"), row("RUNNING", "+1"))


@pytest.mark.parametrize("started", [het, lambda: het().restart(), lambda: Life().known()], ids=["seen", "restarted", "unseen"])
def test_a_heterogeneous_job_does_not_end_with_its_first_component_while_accounting_lags(started: Callable[[], Life]) -> None:
    life = started().wait(5).queue().account(record_of("COMPLETED", "+0"), row("RUNNING", "+1"))
    assert life.stage is Stage.KNOWN
    assert life.wait(100).queue().account_fails().stage is Stage.KNOWN
    life.queue().account(record_of("COMPLETED", "+0"), record_of("FAILED", "+1", exit_code=2))
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")


def test_a_component_that_squeue_has_forgotten_is_waited_for() -> None:
    life = Life().known().queue(row("COMPLETED", "+0")).wait(1000).queue(row("COMPLETED", "+0")).account_fails()
    assert life.stage is Stage.KNOWN


def test_a_component_that_has_ended_is_read_once_while_another_runs() -> None:
    life = het().queue(row("RUNNING", "+0"))
    assert life.record.unread
    life.account(row("RUNNING", "+0"), record_of("FAILED", "+1", exit_code=2)).queue(row("RUNNING", "+0"))
    assert not life.record.unread
    assert life.queue().account(record_of("COMPLETED", "+0")).shows() == ("Aborted", "FAILED", "JobFailed")


def test_the_exit_record_of_a_heterogeneous_job_is_that_of_all_its_components() -> None:
    assert het().wait(400).queue().no_accounting(record_of("COMPLETED")).shows() == ("Done", "COMPLETED", "Completed")


def test_the_output_of_an_array_differs_for_each_task_and_says_so() -> None:
    slurm = array().status.slurm
    assert slurm
    assert slurm.stdout_path == "/home/kirby/w/slurm-42_%a.out"


@pytest.mark.parametrize("expression", ["3-1", "0-99999999999999999999", "all", "0-9,"])
def test_an_array_that_slurm_would_not_take_is_refused_in_words(expression: str) -> None:
    life = Life().admit(admission(array=expression))
    assert life.shows() == ("Rejected", None, "InvalidSpec")
    ready = life.condition("Ready")
    assert ready
    assert expression in ready.message
