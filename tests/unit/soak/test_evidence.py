"""What Slurm prints, as the soak reads it."""

from tests.faults.soak.evidence import runs, tasks
from tests.faults.soak.judge import Run, Task

TOKEN = "0f4c1c1e-8a53-4a39-9d3e-0a1b2c3d4e5f"


def record(job_id: str, state: str, submit: str = "2026-11-22T10:00:00", start: str = "Unknown", token: str = TOKEN) -> str:
    return f"{job_id}|kirby|{state}|{submit}|{start}||sbatch --comment=slurmgate:{token} --job-name=a|b x"


def queued(job_id: str, state: str, index: str = "N/A") -> str:
    return f"{job_id}|{index}|kirby|{state}|slurmgate:{TOKEN}"


def test_the_last_record_counts() -> None:
    lines = [record("7", "CANCELLED by 7001", "2026-11-22T10:09:00"), record("7", "NODE_FAIL")]

    assert tasks(lines, []) == {TOKEN: [Task("7", "kirby", "CANCELLED")]}


def test_each_task_of_an_array_counts() -> None:
    lines = [record("7_0", "COMPLETED"), record("7_[1-2]", "PENDING")]

    assert tasks(lines, [queued("7", "PENDING", "1-2")]) == {
        TOKEN: [Task("7", "kirby", "COMPLETED", "0"), Task("7", "kirby", "PENDING", "[1-2]", queued=True)]
    }


def test_slurmctld_does_not_remember_the_command_line() -> None:
    line = f"7|kirby|COMPLETED|2026-11-22T10:00:00|2026-11-22T10:00:01|slurmgate:{TOKEN}|"

    assert tasks([line], []) == {TOKEN: [Task("7", "kirby", "COMPLETED")]}


def test_an_id_that_was_used_again_is_another_job() -> None:
    other = TOKEN.replace("0f4c", "1f4c")

    assert set(tasks([record("7", "PENDING"), record("7", "COMPLETED", token=other)], [])) == {TOKEN, other}


def test_what_accounting_has_not_heard_of_is_in_the_queue() -> None:
    assert tasks([], [queued("7", "PENDING")]) == {TOKEN: [Task("7", "kirby", "PENDING", "", queued=True)]}


def test_jobs_of_others_do_not_count() -> None:
    assert tasks(["7|kirby|COMPLETED|x|y||sbatch --wrap=true"], ["8|N/A|kirby|RUNNING|"]) == {}


def test_how_it_had_ended_before_slurm_took_it_up_again() -> None:
    start, earlier = "2026-11-22T10:01:00", "2026-11-22T09:00:01"
    line = (
        "JobId={} UserId=kirby(7001) JobState={} TimeLimit=60 StartTime={} NodeCnt=1 WorkDir=/home/kirby/slurmgate/lab/a-{} X= "
    )
    ends = [
        line.format("7", "COMPLETED", start, TOKEN[:8]),
        line.format("7", "PREEMPTED", earlier, TOKEN[:8]),
        line.format("7", "FAILED", start, "another1"),
        line.format("8", "FAILED", start, TOKEN[:8]),
    ]

    assert tasks([record("7", "NODE_FAIL", start=start)], [], ends) == {
        TOKEN: [
            Task("7", "kirby", "NODE_FAIL", before=frozenset({"COMPLETED", "PREEMPTED"}), same=frozenset({"COMPLETED"})),
        ]
    }


def test_what_jobs_wrote_down() -> None:
    lines = ["soak-1.kirby:begin 7 kirby", "soak-1.kirby:begin 7 kirby", "soak-2-again.mario:begin 8 mario"]

    assert runs(lines) == {"soak-1": [Run("7", "kirby")] * 2, "soak-2-again": [Run("8", "mario")]}
