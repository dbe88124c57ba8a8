"""Rows of squeue, sacct and sinfo. The rows are of a real Slurm 22.05, shortened."""

from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.core.outcomes import Partition, Task
from slurmgate.slurm import records
from tests.unit.slurm.support import OTHER_TOKEN, TOKEN

MARK = "f00d"
SEPARATOR = f"|{MARK}|"
SUBMITTED, STARTED, ENDED = (datetime(2026, 11, 22, 2, 35, second, tzinfo=UTC) for second in (52, 53, 56))
AT = {SUBMITTED: "1795314952", STARTED: "1795314953", ENDED: "1795314956"}
QUEUE_END = f"|0|/home/kirby/x{SEPARATOR}slurmgate:{TOKEN}"


def queue(*rows: str) -> tuple[Task, ...]:
    tasks = records.queue((row.replace("|", SEPARATOR, 1) for row in rows), mark=MARK).tasks
    return tasks.get("57", ())


def test_a_running_job_has_no_end_yet_whatever_squeue_expects() -> None:
    (task,) = queue("57|RUNNING|None|kirby|batch|node1|1795314952|1795314953|1795318556" + QUEUE_END)
    assert task == Task(
        job_id="57",
        state="RUNNING",
        reason="None",
        user="kirby",
        token=TOKEN,
        directory="/home/kirby/x",
        submit_time=SUBMITTED,
        start_time=STARTED,
        partition="batch",
        nodes="node1",
        restarts=0,
    )


def test_a_pending_job_has_not_started_whatever_squeue_expects() -> None:
    (task,) = queue("57|PENDING|Priority|kirby|batch||1795314952|1795318556|1795318596" + QUEUE_END)
    assert (task.start_time, task.end_time, task.nodes, task.reason) == (None, None, None, "Priority")
    assert task.expected_start == datetime.fromtimestamp(1795318556, UTC)


def test_an_ended_job_has_ended() -> None:
    (task,) = queue("57|FAILED|NonZeroExitCode|kirby|batch|node1|1795314952|1795314953|1795314956" + QUEUE_END)
    assert (task.state, task.start_time, task.end_time) == ("FAILED", STARTED, ENDED)


IDS = {
    "a job": ("57", None),
    "a task of an array": ("57_2", "2"),
    "tasks that wait": ("57_[4-9%2]", "4-9"),
    "other tasks that wait": ("57_[1,3-5,9:2]", "1,3-5,9:2"),
    "a component": ("57+1", "+1"),
}


@pytest.mark.parametrize(("job", "index"), IDS.values(), ids=IDS.keys())
def test_ids_are_taken_apart(job: str, index: str | None) -> None:
    (task,) = queue(f"{job}|PENDING|None|kirby|batch||1795314952|N/A|N/A{QUEUE_END}")
    assert (task.job_id, task.index) == ("57", index)


@pytest.mark.parametrize(
    "job", ["9" * 11, "57_" + "9" * 8, "57+" + "9" * 8, "57_[" + "9" * 8 + "]", "-57", "57_x", "\u0665\u0667"]
)
def test_numbers_that_no_slurm_counts_to_are_no_ids(job: str) -> None:
    rows = records.queue([f"{job}{SEPARATOR}PENDING|None|kirby|batch||1795314952|N/A|N/A{QUEUE_END}"], mark=MARK)
    assert (rows.tasks, rows.skipped) == ({}, 1)


@pytest.mark.parametrize("job", [2**31, 2**32 - 2, 2**32, 9_999_999_999])
def test_ids_may_be_larger_than_32_bits_hold(job: int) -> None:
    row = f"{job}{SEPARATOR}PENDING|None|kirby|batch||1795314952|N/A|N/A{QUEUE_END}"
    assert set(records.queue([row], mark=MARK).tasks) == {str(job)}


def test_separators_in_a_directory_or_a_comment_do_no_harm() -> None:
    (task,) = queue(f"57|PENDING|None|kirby|batch||1795314952|N/A|N/A|0|/a|b c{SEPARATOR}slurmgate:{TOKEN}")
    assert (task.token, task.directory) == (TOKEN, "/a|b c")
    (task,) = queue(f"57|PENDING|None|kirby|batch||1795314952|N/A|N/A|0|/x{SEPARATOR}a|b|c slurmgate|")
    assert task.token is None


def test_a_comment_with_a_line_end_forges_no_row_of_another_job() -> None:
    forged = f"x\n57|COMPLETED||kirby|||1795314952|||0|/x|slurmgate:{TOKEN}"
    rows = records.queue(f"9{SEPARATOR}RUNNING|None|mario|batch|node1|1|1|1|0|/x{SEPARATOR}{forged}".split("\n"), mark=MARK)
    assert (set(rows.tasks), rows.skipped) == ({"9"}, 1)


def test_a_submit_line_with_a_line_end_forges_no_record_of_another_job() -> None:
    forged = row().replace(SEPARATOR, "|")
    assert set(records.account(row("9", Comment=f"x\n{forged}").split("\n"), mark=SEPARATOR).tasks) == {"9"}


def test_only_rows_of_the_users_that_were_asked_for_are_kept() -> None:
    rows = [
        f"{job}{SEPARATOR}PENDING|None|{user}|batch||1|N/A|N/A|0|/x{SEPARATOR}"
        for job, user in (("1", "kirby"), ("2", "mario"))
    ]
    assert set(records.queue(rows, mark=MARK, users={"mario"}).tasks) == {"2"}
    assert set(records.queue(rows, mark=MARK).tasks) == {"1", "2"}


def row(job: str = "57", state: str = "COMPLETED", code: str = "0:0", **cells: str) -> str:
    values = {
        "JobID": job,
        "State": state,
        "ExitCode": code,
        "DerivedExitCode": "0:0",
        "Submit": "1795314952",
        "Start": "1795314953",
        "End": "1795314956",
        "ElapsedRaw": "3",
        "TotalCPU": "00:01.500",
        "MaxRSS": "",
        "User": "kirby",
        "Partition": "batch",
        "NodeList": "node1",
        "Reason": "None",
        "WorkDir": "/home/kirby/x",
        "SubmitLine": f"/usr/bin/sbatch --parsable --comment=slurmgate:{TOKEN} /home/kirby/x/.slurmgate/{TOKEN}/batch",
        "Comment": "",
        **cells,
    }
    return SEPARATOR.join(values.values())


def step(job: str, state: str = "COMPLETED", code: str = "0:0", **cells: str) -> str:
    empty = dict.fromkeys(("DerivedExitCode", "User", "Partition", "Reason", "WorkDir", "SubmitLine"), "")
    return row(job, state, code, **empty, **cells)


def account(*rows: str) -> tuple[Task, ...]:
    return records.account(rows, mark=SEPARATOR).tasks.get("57", ())


def test_a_record_with_its_steps() -> None:
    (task,) = account(row(), step("57.batch", MaxRSS="4096K"), step("57.0", MaxRSS="1.5M"), step("57.extern", MaxRSS=""))
    assert task == Task(
        job_id="57",
        state="COMPLETED",
        reason="None",
        exit_code=0,
        user="kirby",
        token=TOKEN,
        directory="/home/kirby/x",
        submit_time=SUBMITTED,
        start_time=STARTED,
        end_time=ENDED,
        partition="batch",
        nodes="node1",
        restarts=0,
        elapsed_seconds=3,
        cpu_seconds=1.5,
        max_rss_bytes=4096 * 1024,
    )


ENDS = {
    "an exit code": ("FAILED", "3:0", ("FAILED", 3, None)),
    "a signal": ("FAILED", "0:9", ("FAILED", 0, 9)),
    "cancelled by somebody": ("CANCELLED by 7001", "0:0", ("CANCELLED", 0, None)),
    "a state cut short": ("CANCELLED+", "0:0", ("CANCELLED", 0, None)),
    "no exit code": ("PENDING", "", ("PENDING", None, None)),
}


@pytest.mark.parametrize(("state", "code", "end"), ENDS.values(), ids=ENDS.keys())
def test_ends_are_read(state: str, code: str, end: tuple[str, int | None, int | None]) -> None:
    (task,) = account(row(state=state, code=code))
    assert (task.state, task.exit_code, task.signal) == end


def test_an_exit_code_that_sacct_cut_is_whole_again() -> None:
    """22.05: `exit 137` is 9:0 in ExitCode, and 137:0 in DerivedExitCode if a step exited with it."""
    assert account(row(state="FAILED", code="9:0", DerivedExitCode="137:0"))[0].exit_code == 137
    (task,) = account(row(state="FAILED", code="9:0"))
    assert task.exit_code == 9
    codes = records.exit_codes(
        [f"57{SEPARATOR}35072", f"58{SEPARATOR}9:0", f"59_1{SEPARATOR}256", f"60{SEPARATOR}9", "61|256", "nonsense"], mark=MARK
    )
    assert codes == {("57", None): 137, ("58", None): 9, ("59", "1"): 1}
    assert records.with_full_exit_code(task, codes).exit_code == 137
    assert records.with_full_exit_code(task, {("57", None): 9}).exit_code == 9
    assert records.with_full_exit_code(task, {}).exit_code == 9


def test_running_out_of_memory_is_the_end_of_the_job_also_below_srun() -> None:
    job, batch = row(state="FAILED", code="1:0"), step("57.batch", "FAILED", "1:0")
    (task,) = account(job, batch, step("57.0", "OUT_OF_MEMORY", "0:125"))
    assert (task.state, task.exit_code, task.signal) == ("OUT_OF_MEMORY", 0, 125)
    (task,) = account(job, batch, step("57.1", "OUT_OF_MEMORY", "0:125"))
    assert task.state == "FAILED"
    plain = row(state="FAILED", code="1:0", SubmitLine=f"sbatch --comment=slurmgate:{TOKEN} /x/script")
    (task,) = account(plain, batch, step("57.0", "OUT_OF_MEMORY", "0:125"))
    assert task.state == "FAILED"


def test_of_an_end_that_slurmdbd_has_only_half_heard_of_the_state_is_all_that_is_known() -> None:
    """Of a real slurmdbd that had been away: the state of the end for 8 s before its exit code, time and index; or for ever."""
    (task,) = account(row(state="FAILED", End="Unknown"), step("57.batch", "RUNNING", End="Unknown", MaxRSS="9M"))
    assert (task.state, task.exit_code, task.signal, task.end_time) == ("FAILED", None, None, None)
    assert (task.elapsed_seconds, task.cpu_seconds, task.max_rss_bytes) == (None, None, None)
    (task,) = account(row(state="REQUEUED"), row(state="CANCELLED", End="Unknown"))
    assert (task.state, task.exit_code, task.restarts) == ("CANCELLED", None, 1)
    (task,) = account(row(state="RUNNING", End="Unknown"))
    assert task.state == "RUNNING"


def test_a_job_that_was_cancelled_in_the_queue_never_started_whatever_slurm_says() -> None:
    (queued,) = queue("57|CANCELLED|None|kirby|batch||1795314952|1795314956|1795314956" + QUEUE_END)
    (recorded,) = account(row(state="CANCELLED by 1001", Start="1795314956", NodeList="None assigned"))
    assert (queued.start_time, queued.end_time) == (recorded.start_time, recorded.end_time) == (None, ENDED)


def test_a_requeued_job_has_its_last_record() -> None:
    (task,) = account(
        row(state="REQUEUED"),
        step("57.batch", MaxRSS="900M"),
        row(state="NODE_FAIL", Submit="1795314953"),
        row(state="COMPLETED", Submit="1795314956"),
        step("57.batch", MaxRSS="100K"),
    )
    assert (task.state, task.restarts, task.submit_time, task.max_rss_bytes) == ("COMPLETED", 2, ENDED, 102400)


OTHERS = {
    "that carries another token": {"SubmitLine": f"sbatch --comment=slurmgate:{OTHER_TOKEN}"},
    "that carries none": {"SubmitLine": "sbatch --wrap=true", "Submit": "1795314953"},
}


@pytest.mark.parametrize("marks", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("first", [True, False], ids=["before ours", "after ours"])
def test_another_job_with_the_same_id_has_a_record_of_its_own(marks: dict[str, str], first: bool) -> None:
    other = [row(state="FAILED", **marks), step("57.batch", MaxRSS="900M")]
    mine = [row(), step("57.batch", MaxRSS="100K")]
    tasks = {task.token: task for task in account(*(other + mine if first else mine + other))}
    assert len(tasks) == 2
    assert (tasks[TOKEN].state, tasks[TOKEN].restarts, tasks[TOKEN].max_rss_bytes) == ("COMPLETED", 0, 102400)


def test_two_that_carry_no_token_are_told_apart_by_when_they_were_submitted() -> None:
    """slurmdbd may have lost the submit line of a job that a slurmctld without memory has given up."""
    tasks = account(row(state="CANCELLED", SubmitLine=""), row(state="FAILED", SubmitLine="", Submit="1795314999"))
    assert [(task.state, task.restarts) for task in tasks] == [("CANCELLED", 0), ("FAILED", 0)]


def test_the_token_is_found_in_the_comment_as_well() -> None:
    (task,) = account(row(SubmitLine="", Comment=f"slurmgate:{TOKEN} and more"))
    assert task.token == TOKEN


def test_tasks_and_components_are_kept_apart() -> None:
    tasks = account(row("57_0"), row("57_1", "FAILED", "1:0"), row("57_[2-3%1]", "PENDING"))
    assert [(task.index, task.state) for task in tasks] == [("0", "COMPLETED"), ("1", "FAILED"), ("2-3", "PENDING")]
    assert [task.index for task in account(row("57+0"), row("57+1"))] == ["+0", "+1"]


def test_rows_that_make_no_sense_are_counted() -> None:
    rows = records.account(["", "x", row(), SEPARATOR.join("57" for _ in range(3))], mark=SEPARATOR)
    assert (len(rows.tasks), rows.skipped) == (1, 3)
    found = records.queue(
        ["Welcome!", f"57{SEPARATOR}RUNNING", f"57{SEPARATOR}RUNNING|None|kirby|batch|node1|1|2|3|0|/x{SEPARATOR}"], mark=MARK
    )
    assert (len(found.tasks), found.skipped) == (1, 2)


def test_partitions_are_summed_up() -> None:
    rows = [
        "batch|up|3|64|gpu:4",
        "batch|up|1|128|gpu:a100:2(S:0-1),gpu:v100:1,tmpfs:9",
        "closed|down|4|64|(null)",
        "noise",
        "batch|up|x|64|",
    ]
    assert records.partitions(rows) == (Partition("batch", "up", 4, 320, 15), Partition("closed", "down", 4, 256, 0))


def test_no_login_fills_the_status_of_its_cluster_with_partitions() -> None:
    rows = [f"p{number}|up|1|1|" for number in range(10_000)]
    told = records.partitions([*rows, "p0|up|1|1|", f"{'x' * 1000}|up|1|1|", f"a|{'x' * 1000}|1|1|"])
    assert len(told) == records.MOST_PARTITIONS
    assert told[0] == Partition("p0", "up", 2, 2, 0)


DURATIONS = {"00:03.500": 3.5, "01:02:03": 3723.0, "2-01:00:00": 176400.0, "INVALID": None, "": None}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations(text: str, seconds: float | None) -> None:
    assert records.duration(text) == seconds


@pytest.mark.parametrize("text", ["Unknown", "N/A", "None", "", "0", "-5", "2026-11-22T02:35:52", "²"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert records.time(text) is None


ANYTHING = st.lists(st.text(max_size=30) | st.text(alphabet="57_[]-%|+.,:0N/A ", max_size=60), max_size=5)


@given(ANYTHING)
def test_nothing_raises(lines: list[str]) -> None:
    records.queue(lines, mark=MARK)
    records.account(lines, mark="|")
    records.exit_codes(lines, mark=MARK)
    records.partitions(lines)


CELL = st.text(max_size=8)


@given(st.lists(CELL, min_size=10, max_size=10), st.lists(CELL, min_size=15, max_size=15))
def test_nothing_raises_whatever_is_in_the_cells(queue_cells: list[str], account_cells: list[str]) -> None:
    records.queue([f"57{SEPARATOR}" + "|".join(queue_cells)], mark=MARK)
    records.account([SEPARATOR.join(["57", *account_cells])], mark=SEPARATOR)
    records.account([row(), SEPARATOR.join(["57.0", *account_cells])], mark=SEPARATOR)


# Exit records --------------------------------------------------------------------------------------------------------

LEFT = {
    "a good end": (f"{TOKEN} job 0 0 100 107", ("COMPLETED", None, 0, None, 7)),
    "an exit code": (f"{TOKEN} job 137 0 100 107", ("FAILED", None, 137, None, 7)),
    "a signal": (f"{TOKEN} job 137 9 100 107", ("FAILED", None, 0, 9, 7)),
    "a task": (f"{TOKEN} 12 3 0 100 107", ("FAILED", "12", 3, None, 7)),
}


@pytest.mark.parametrize(("line", "expected"), LEFT.values(), ids=LEFT.keys())
def test_what_a_batch_script_left(line: str, expected: tuple[object, ...]) -> None:
    (task,) = records.exits([line], job_ids={TOKEN: "42"}).tasks["42"]
    assert (task.state, task.index, task.exit_code, task.signal, task.elapsed_seconds) == expected


@pytest.mark.parametrize("line", ["", f"{TOKEN} job", f"{TOKEN} job x 0 1 2", f"{TOKEN} job 0 0 1 2 3", "another job 0 0 1 2"])
def test_what_somebody_else_wrote_there_is_left_out(line: str) -> None:
    assert records.exits([line], job_ids={TOKEN: "42"}) == records.Rows({}, skipped=1)


def test_the_tasks_of_one_array_are_as_little_work_as_as_many_jobs() -> None:
    """Work that grows with the square of the tasks would stop the operator above some ten thousand."""

    def work(jobs: int) -> float:
        rows = [f"{each % jobs} {each} 0 0 1795314953 1795314956" for each in range(20_000)]
        began = process_time()
        assert len(records.exits(rows, job_ids={str(job): str(job) for job in range(jobs)}).tasks) == jobs
        return process_time() - began

    assert min(work(1) for _ in range(3)) < 3 * min(work(20_000) for _ in range(3))
