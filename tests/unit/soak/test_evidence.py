"""What Slurm prints, as the soak reads it."""

from tests.faults.soak.evidence import runs, tasks
from tests.faults.soak.judge import Run, Task

TOKEN = "0f4c1c1e-8a53-4a39-9d3e-0a1b2c3d4e5f"
MARK = "0f4c1c1e"
START = "2026-11-22T10:01:00"


def record(job_id: str, state: str, submit: str = "2026-11-22T10:00:00", start: str = "Unknown", token: str = TOKEN) -> str:
    return f"{job_id}|kirby|{state}|{submit}|{start}||sbatch --comment=slurmgate:{token} --job-name=a|b x"


def queued(job_id: str, state: str, index: str = "N/A") -> str:
    return f"{job_id}|{index}|kirby|{state}|slurmgate:{TOKEN}"


def ended(number: str, state: str, start: str = START, *, mark: str = MARK, array: str = "", index: str = "") -> str:
    task = f"ArrayJobId={array} ArrayTaskId={index} " if index else ""
    return (
        f"JobId={number} UserId=kirby(7001) GroupId=kirby(7001) Name=a JobState={state} Partition=batch TimeLimit=60 "
        f"StartTime={start} EndTime=x NodeCnt=1 WorkDir=/home/kirby/slurmgate/lab/a-{mark} ReservationName= {task}ExitCode=0:0 "
    )


def test_the_last_record_counts() -> None:
    lines = [record("7", "CANCELLED by 7001", "2026-11-22T10:09:00"), record("7", "NODE_FAIL")]

    assert tasks(lines, []) == {MARK: [Task("7", "kirby", "CANCELLED")]}


def test_each_task_of_an_array_counts() -> None:
    lines = [record("7_0", "COMPLETED"), record("7_[1-2]", "PENDING")]

    assert tasks(lines, [queued("7", "PENDING", "1-2")]) == {
        MARK: [Task("7", "kirby", "COMPLETED", "0"), Task("7", "kirby", "PENDING", "[1-2]", queued=True)]
    }


def test_slurmctld_does_not_remember_the_command_line() -> None:
    line = f"7|kirby|COMPLETED|2026-11-22T10:00:00|2026-11-22T10:00:01|slurmgate:{TOKEN}|"

    assert tasks([line], []) == {MARK: [Task("7", "kirby", "COMPLETED")]}


def test_an_id_that_was_used_again_is_another_job() -> None:
    other = TOKEN.replace("0f4c", "1f4c")

    assert set(tasks([record("7", "PENDING"), record("7", "COMPLETED", token=other)], [])) == {MARK, other[:8]}


def test_what_accounting_has_not_heard_of_is_in_the_queue() -> None:
    assert tasks([], [queued("7", "PENDING")]) == {MARK: [Task("7", "kirby", "PENDING", "", queued=True)]}


def test_jobs_of_others_do_not_count() -> None:
    assert tasks(["7|kirby|COMPLETED|x|y||sbatch --wrap=true"], ["8|N/A|kirby|RUNNING|"]) == {}


def test_how_it_had_ended_before_slurm_took_it_up_again() -> None:
    log = [
        ended("7", "COMPLETED"),
        ended("7", "PREEMPTED", "2026-11-22T09:00:01"),
        ended("7", "FAILED", mark="2f4c1c1e"),
        ended("8", "CANCELLED", array="7", index="3"),
    ]

    assert tasks([record("7", "NODE_FAIL", start=START)], [], log) == {
        MARK: [
            Task("7", "kirby", "NODE_FAIL", before=frozenset({"COMPLETED", "PREEMPTED"}), same=frozenset({"COMPLETED"})),
            Task("7", "kirby", "CANCELLED", "3", unaccounted=True),
        ],
        "2f4c1c1e": [Task("7", "kirby", "FAILED", unaccounted=True)],
    }


def test_a_task_that_accounting_takes_for_a_job_of_its_own() -> None:
    log = [ended("8", "FAILED", index="2", array="7"), ended("7", "COMPLETED", index="3", array="7")]

    assert tasks([record("8", "FAILED", start=START), record("7_3", "COMPLETED", start=START)], [], log) == {
        MARK: [
            Task("7", "kirby", "FAILED", "2", before=frozenset({"FAILED"}), same=frozenset({"FAILED"}), unaccounted=True),
            Task("7", "kirby", "COMPLETED", "3", before=frozenset({"COMPLETED"}), same=frozenset({"COMPLETED"})),
        ]
    }


def test_what_ended_and_accounting_has_not_heard_of() -> None:
    log = [ended("7", "COMPLETED"), ended("8", "PENDING"), ended("9", "FAILED", mark="1f4c1c1e")]

    assert tasks([], [], log) == {
        MARK: [Task("7", "kirby", "COMPLETED", unaccounted=True)],
        "1f4c1c1e": [Task("9", "kirby", "FAILED", unaccounted=True)],
    }


def test_what_jobs_wrote_down() -> None:
    lines = ["soak-1.kirby:begin 7 kirby", "soak-1.kirby:begin 7 kirby", "soak-2-again.mario:begin 8 mario"]

    assert runs(lines) == {"soak-1": [Run("7", "kirby")] * 2, "soak-2-again": [Run("8", "mario")]}
