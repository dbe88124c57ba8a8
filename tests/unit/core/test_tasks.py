"""What the rows of squeue and sacct together say about one job."""

from dataclasses import replace

import pytest

from slurmgate.core.outcomes import Task
from slurmgate.core.pending import why
from slurmgate.core.reasons import Reason
from slurmgate.core.tasks import (
    live,
    merge,
    merge_ended,
    ours,
    remembered,
    settled,
    slurm_status,
    summarise,
    usage,
    waiting,
)
from slurmgate.resources.submission import ArrayStatus, SlurmStatus, Usage
from tests.unit.core.build import (
    JOB,
    OTHER_TOKEN,
    TOKEN,
    at,
    pending,
    record_of,
    row,
)

OURS = {
    "our token": (row("RUNNING"), True),
    "another token": (row("RUNNING", token=OTHER_TOKEN), False),
    "our token in another person's comment": (row("RUNNING", user="mario"), False),
    "a source that does not show the user": (row("RUNNING", user=None), True),
    "no comment, submitted when ours was": (row("RUNNING", token=None), True),
    "no comment, submitted at another time": (row("RUNNING", token=None, submit_time=at(3)), False),
    "no comment, submitted at another time because it was requeued": (
        row("PENDING", token=None, submit_time=at(300), restarts=1),
        True,
    ),
    "no comment, of another person": (row("RUNNING", token=None, user="mario"), False),
    "our token, requeued": (row("PENDING", submit_time=at(300), restarts=1), True),
    "another token, submitted when ours was": (row("RUNNING", token=OTHER_TOKEN, restarts=1), False),
}


@pytest.mark.parametrize(("task", "expected"), OURS.values(), ids=OURS.keys())
def test_whose_row_it_is(task: Task, *, expected: bool) -> None:
    assert bool(ours([task], token=TOKEN, user="kirby", submitted=at(2))) is expected


def test_a_row_without_comment_is_ours_while_nothing_is_known_of_its_submission() -> None:
    assert ours([row("RUNNING", token=None)], token=TOKEN, user="kirby", submitted=None)


@pytest.mark.parametrize(("place", "token", "count"), [("/x", None, 1), (None, None, 1), ("/y", None, 0), ("/y", TOKEN, 1)])
def test_a_row_without_comment_is_ours_only_where_ours_is(place: str | None, token: str | None, count: int) -> None:
    task = row("RUNNING", token=token, directory=place)
    assert len(ours([task], token=TOKEN, user="kirby", submitted=None, directory="/x")) == count


@pytest.mark.parametrize(("index", "count"), [("4-9", 1), ("4-10", 0), ("9-4", 0), ("4,,9", 0), ("0-4000001", 0)])
def test_a_row_for_more_tasks_than_ours_has_or_for_none_is_not_ours(index: str, count: int) -> None:
    assert len(ours([pending(index=index)], token=TOKEN, user="kirby", submitted=at(2), most=6)) == count


KINDS = {
    "PENDING": (True, True),
    "REQUEUED": (True, True),
    "RUNNING": (True, False),
    "COMPLETING": (True, False),
    "NOT_INVENTED_YET": (True, False),
    "COMPLETED": (False, False),
    "NODE_FAIL": (False, False),
}


@pytest.mark.parametrize("word", KINDS)
def test_what_may_still_run(word: str) -> None:
    assert (live(row(word)), waiting(row(word))) == KINDS[word]


def test_only_accounting_settles() -> None:
    assert not settled(row("COMPLETED"))
    assert settled(record_of("COMPLETED"))
    assert not settled(record_of("PENDING"))


MERGES = {
    "a later row replaces an earlier one": ([row("PENDING")], [row("RUNNING")], ["RUNNING"]),
    "an ended row is replaced by accounting": ([row("FAILED")], [record_of("FAILED")], ["FAILED 0"]),
    "accounting is not replaced by what squeue still shows": ([record_of("FAILED")], [row("FAILED")], ["FAILED 0"]),
    "accounting is replaced by a task that lives again": ([record_of("FAILED")], [pending()], ["PENDING"]),
    "tasks are kept apart": ([row("RUNNING", "1")], [row("RUNNING", "2")], ["RUNNING", "RUNNING"]),
    "nothing new changes nothing": ([row("RUNNING")], [], ["RUNNING"]),
}


@pytest.mark.parametrize(("known", "news", "expected"), MERGES.values(), ids=MERGES.keys())
def test_merging(known: list[Task], news: list[Task], expected: list[str]) -> None:
    assert [_said(task) for task in merge(known, news)] == expected


ENDED_MERGES = {
    "accounting tells how a job ended that left the queue": ([], [record_of("FAILED")], ["FAILED 0"]),
    "accounting never overrules the queue": ([pending()], [record_of("NODE_FAIL")], ["PENDING"]),
    "accounting never overrules a job that completes": ([row("COMPLETING")], [record_of("PREEMPTED")], ["COMPLETING"]),
    "a running record of accounting is old news": ([], [record_of("RUNNING")], []),
    "a requeued record is no end": ([], [record_of("REQUEUED")], []),
    "a requeued record does not undo what squeue said last": ([row("CANCELLED")], [record_of("REQUEUED")], ["CANCELLED"]),
    "a task that ended beside one that runs": (
        [row("RUNNING", "1")],
        [record_of("COMPLETED", "1"), record_of("COMPLETED", "2")],
        ["RUNNING", "COMPLETED 0"],
    ),
}


@pytest.mark.parametrize(("known", "records", "expected"), ENDED_MERGES.values(), ids=ENDED_MERGES.keys())
def test_what_accounting_adds(known: list[Task], records: list[Task], expected: list[str]) -> None:
    assert [_said(task) for task in merge_ended(known, records)] == expected


def _said(task: Task) -> str:
    return task.state if task.exit_code is None else f"{task.state} {task.exit_code}"


NEXT = "it is next, once enough nodes, CPUs, memory or GPUs are free"
SUMMARIES = {
    "one that waits": ([pending("Resources")], Reason.QUEUED_RESOURCES, f"Slurm: PENDING (Resources): {NEXT}"),
    "one that waits for nothing in particular": ([pending("None")], Reason.QUEUED, "Slurm: PENDING"),
    "one that waits to be released": (
        [pending("JobHeldUser")],
        Reason.HELD,
        f"Slurm: PENDING (JobHeldUser): {why('JobHeldUser')[1]}",
    ),
    "one that waits again": (
        [pending("BeginTime", restarts=1)],
        Reason.REQUEUED,
        f"Slurm: PENDING (BeginTime): {why('BeginTime')[1]}",
    ),
    "one that waits again, for nodes": (
        [pending("Resources", restarts=1)],
        Reason.QUEUED_RESOURCES,
        f"Slurm: PENDING (Resources): {NEXT}",
    ),
    "one that waits again, held": (
        [pending("job requeued in held state", restarts=1)],
        Reason.HELD,
        "Slurm: PENDING (job requeued in held state): it was requeued and is held until somebody releases it",
    ),
    "one that runs": ([row("RUNNING")], Reason.RUNNING, "Slurm: RUNNING"),
    "one that is being requeued": ([row("REQUEUED")], Reason.REQUEUED, "Slurm: REQUEUED"),
    "one in a state that nobody knows": ([row("TELEPORTING")], Reason.COMPLETING, "Slurm: TELEPORTING"),
    "one that completed": ([record_of("COMPLETED")], Reason.COMPLETED, "Slurm: COMPLETED"),
    "one that failed": ([record_of("FAILED", exit_code=3)], Reason.JOB_FAILED, "Slurm: FAILED, exit code 3"),
    "one that was killed": ([record_of("FAILED", signal=9)], Reason.JOB_FAILED, "Slurm: FAILED, signal 9"),
    "a waiting task does not hide one that runs": (
        [pending(index="1"), row("RUNNING", "2")],
        Reason.RUNNING,
        "Slurm: RUNNING",
    ),
    "ended tasks do not hide one that waits": (
        [record_of("FAILED", "1"), pending("Priority", "2")],
        Reason.QUEUED_PRIORITY,
        "Slurm: PENDING (Priority): jobs of higher priority go first",
    ),
    "all tasks completed": (
        [record_of("COMPLETED", "1"), record_of("COMPLETED", "2")],
        Reason.COMPLETED,
        "2 of 2 tasks completed",
    ),
    "one task failed": (
        [record_of("COMPLETED", "1"), record_of("FAILED", "2", exit_code=7)],
        Reason.JOB_FAILED,
        "1 of 2 tasks completed; Slurm: FAILED, exit code 7",
    ),
    "a failure weighs more than a cancellation": (
        [record_of("CANCELLED", "1"), record_of("TIMEOUT", "2")],
        Reason.TIME_LIMIT,
        "0 of 2 tasks completed; Slurm: TIMEOUT",
    ),
    "a cancellation weighs more than a success": (
        [record_of("COMPLETED", "1"), record_of("CANCELLED", "2")],
        Reason.CANCELLED,
        "1 of 2 tasks completed; Slurm: CANCELLED",
    ),
}


@pytest.mark.parametrize(("tasks", "reason", "message"), SUMMARIES.values(), ids=SUMMARIES.keys())
def test_a_job_in_one_line(tasks: list[Task], reason: Reason, message: str) -> None:
    summary = summarise(tuple(tasks))
    assert (summary.reason, summary.message) == (reason, message)


def test_exit_code_and_signal_wait_for_accounting() -> None:
    seen = slurm_status(SlurmStatus(), (row("FAILED", signal=9),))
    assert (seen.exit_code, seen.signal) == (None, None)
    read = slurm_status(SlurmStatus(), (record_of("FAILED", signal=9),))
    assert (read.exit_code, read.signal) == (0, 9)


def test_times_are_those_of_the_whole_job() -> None:
    first = record_of("COMPLETED", "1", start_time=at(5), end_time=at(20))
    second = record_of("COMPLETED", "2", start_time=at(8), end_time=at(30))
    status = slurm_status(SlurmStatus(), (first, second))
    assert (status.submit_time, status.start_time, status.end_time) == (at(2), at(5), at(30))


def test_a_job_that_waits_has_no_start_even_if_slurm_foresees_one() -> None:
    assert slurm_status(SlurmStatus(), (pending(start_time=at(3600)),)).start_time is None


def test_a_job_that_lives_has_no_end() -> None:
    status = slurm_status(SlurmStatus(), (record_of("COMPLETED", "1"), row("RUNNING", "2")))
    assert status.end_time is None


def test_the_partition_stays_known_where_a_row_does_not_show_it() -> None:
    assert slurm_status(SlurmStatus(partition="batch"), (row("RUNNING", partition=None),)).partition == "batch"


RESTARTS = {
    "never": (None, 0, None),
    "squeue says so": (None, 2, 2),
    "accounting forgets what squeue said": (2, 0, 2),
    "accounting does not show it": (2, None, 2),
}


@pytest.mark.parametrize(("before", "said", "after"), RESTARTS.values(), ids=RESTARTS.keys())
def test_how_often_it_was_requeued(before: int | None, said: int | None, after: int | None) -> None:
    assert slurm_status(SlurmStatus(restarts=before), (row("RUNNING", restarts=said),)).restarts == after


def test_the_counts_of_an_array_add_up() -> None:
    tasks = (
        *(record_of("COMPLETED", str(index)) for index in (0, 1, 2)),
        record_of("FAILED", "3", exit_code=1),
        record_of("CANCELLED", "4"),
        row("RUNNING", "5"),
        row("COMPLETING", "6"),
        pending(index="8"),
    )
    status = slurm_status(SlurmStatus(array=ArrayStatus(total=10)), tasks)
    assert status.array == ArrayStatus(
        total=10, pending=3, running=2, succeeded=3, failed=2, succeeded_indexes="0-2", failed_indexes="3-4"
    )


def test_of_a_large_array_with_ends_of_every_kind_only_the_counts_are_shown() -> None:
    tasks = [record_of("FAILED" if index % 2 else "COMPLETED", str(index)) for index in range(20_000)]
    array = slurm_status(SlurmStatus(array=ArrayStatus(total=20_000)), tuple(tasks)).array
    assert array == ArrayStatus(total=20_000, succeeded=10_000, failed=10_000)


def test_more_tasks_than_expected_do_not_make_a_negative_count() -> None:
    status = slurm_status(SlurmStatus(array=ArrayStatus(total=1)), (row("RUNNING", "1"), row("RUNNING", "2")))
    assert status.array
    assert status.array.pending == 0


def test_ended_tasks_are_remembered_from_status_until_accounting_tells_more() -> None:
    array = ArrayStatus(total=9, succeeded=3, failed=1, succeeded_indexes="0-1,5", failed_indexes="3")
    tasks = remembered(SlurmStatus(job_id=JOB, array=array))
    assert {task.index: task.state for task in tasks} == {"0-1,5": "COMPLETED", "3": "FAILED"}
    assert not any(map(settled, tasks))
    assert merge(tasks, [record_of("CANCELLED", "3")])[-1] == record_of("CANCELLED", "3")


@pytest.mark.parametrize("slurm", [None, SlurmStatus(), SlurmStatus(job_id=JOB), SlurmStatus(array=ArrayStatus(total=3))])
def test_there_is_nothing_to_remember_of_what_has_not_ended(slurm: SlurmStatus | None) -> None:
    assert not remembered(slurm)


USAGE = {
    "nothing is known": ((row("COMPLETED"),), None),
    "one job": ((record_of("COMPLETED"),), Usage(elapsed_seconds=10, cpu_seconds=9.5, max_rss_bytes=1024)),
    "an array: longest time, all CPU time, largest memory": (
        (
            record_of("COMPLETED", "1", elapsed_seconds=10, cpu_seconds=1.25, max_rss_bytes=5),
            record_of("COMPLETED", "2", elapsed_seconds=30, cpu_seconds=2.5, max_rss_bytes=3),
        ),
        Usage(elapsed_seconds=30, cpu_seconds=3.75, max_rss_bytes=5),
    ),
    "a job that never ran": (
        (record_of("CANCELLED", elapsed_seconds=0, cpu_seconds=0.0, max_rss_bytes=None),),
        Usage(elapsed_seconds=0, cpu_seconds=0.0, max_rss_bytes=None),
    ),
    "no steps": ((replace(record_of("COMPLETED"), cpu_seconds=None, max_rss_bytes=None),), Usage(elapsed_seconds=10)),
}


@pytest.mark.parametrize(("tasks", "expected"), USAGE.values(), ids=USAGE.keys())
def test_usage(tasks: tuple[Task, ...], expected: Usage | None) -> None:
    assert usage(tasks) == expected


REQUEUED = {
    "it is ours if ours may have lost its token": (False, 1),
    "it is somebody else's if ours shows its token": (True, 0),
}


@pytest.mark.parametrize(("marked", "count"), REQUEUED.values(), ids=REQUEUED.keys())
def test_a_requeued_job_of_our_id_without_a_token(marked: bool, count: int) -> None:
    other = pending(token=None, submit_time=at(300), restarts=1)
    assert len(ours([other], token=TOKEN, user="kirby", submitted=at(2), marked=marked)) == count
