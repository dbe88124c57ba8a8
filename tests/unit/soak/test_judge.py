"""The soak's judge: a table of what Slurm and the API say, and what is wrong about it."""

from typing import Any

import pytest

from tests.faults.soak.judge import Case, Run, Task, Told, Verdict, judge

DONE = Told("Done", "7")
LIVES = Told("Submitted", "7")
UNSENT = Told("Submitted")
LOST = Told("Submitted", "7", "Lost")


def case(**how: Any) -> Case:
    return Case("uid", "name", "kirby", **how)


def task(state: str = "COMPLETED", job_id: str = "7", **how: Any) -> Task:
    return Task(job_id, **{"user": "kirby", "state": state, **how})


def run(job_id: str = "7", user: str = "kirby") -> Run:
    return Run(job_id, user)


GOOD: dict[str, tuple[Case, Told | None, list[Task], list[Run]]] = {
    "it ran": (case(), DONE, [task()], [run()]),
    "it was requeued, and ran twice as one job": (case(), DONE, [task()], [run(), run()]),
    "it failed": (case(), Told("Aborted", "7"), [task("FAILED")], [run()]),
    "its node failed for good": (case(), Told("Aborted", "7"), [task("NODE_FAIL")], [run()]),
    "it was cancelled": (case(cancelled=True), Told("Cancelled", "7"), [task("CANCELLED")], []),
    "it ended before it was cancelled": (case(cancelled=True), DONE, [task()], [run()]),
    "it was cancelled before it was sent": (case(cancelled=True), Told("Cancelled"), [], []),
    "it was refused": (case(refused=True), Told("Rejected"), [], []),
    "it was cancelled, and is refused": (case(refused=True, cancelled=True), Told("Cancelled"), [], []),
    "it was deleted before it was sent": (case(deleted=True), None, [], []),
    "it was deleted, and its job cancelled": (case(deleted=True), None, [task("CANCELLED")], [run()]),
    "its job was left alone": (case(deleted=True, orphan=True), None, [task("RUNNING", queued=True)], [run()]),
    "tasks end differently": (case(), Told("Aborted", "7"), [task(index="0"), task("FAILED", index="1")], [run(), run()]),
    "a task was cancelled": (case(), Told("Cancelled", "7"), [task(index="0"), task("CANCELLED", index="1")], [run()]),
    "it was over, and Slurm has taken it up again": (
        case(),
        DONE,
        [task("FAILED", before=frozenset({"COMPLETED", "NODE_FAIL"}))],
        [run(), run()],
    ),
    "it was over, and Slurm has taken up again all tasks of it": (
        case(size=2),
        Told("Aborted", "7"),
        [task(index=index, before=frozenset({"FAILED"})) for index in "01"],
        [run()],
    ),
    "it was preempted for good, and accounting has it otherwise": (
        case(cancelled=True),
        Told("Aborted", "7"),
        [task("CANCELLED", before=frozenset({"PREEMPTED"}), same=frozenset({"PREEMPTED"}))],
        [run()],
    ),
    "it was cancelled while it waited after a requeue, which accounting never hears of": (
        case(cancelled=True, forgettable=True),
        Told("Cancelled", "7"),
        [task("REQUEUED")],
        [run()],
    ),
    "it was cancelled for its deletion, and Slurm has taken it up again": (
        case(deleted=True),
        None,
        [task("RUNNING", queued=True, before=frozenset({"CANCELLED"}))],
        [run()],
    ),
    "Slurm lost it": (case(forgettable=True), LOST, [task("RUNNING")], [run()]),
    "it was requeued on hold, cancelled, and never recorded again": (case(cancelled=True), LOST, [task("REQUEUED")], [run()]),
    "Slurm lost it, and its own log alone has its end": (case(forgettable=True), LOST, [task(unaccounted=True)], [run()]),
    "it ended, and accounting never heard of it": (case(), DONE, [task(unaccounted=True)], [run()]),
    "Slurm lost a task of it": (
        case(forgettable=True, size=2),
        LOST,
        [task(index="0"), task(index="1", unaccounted=True)],
        [run(), run()],
    ),
    "Slurm lost a task of it before accounting heard of it": (
        case(forgettable=True, size=2),
        LOST,
        [task(index="0")],
        [run(), run()],
    ),
    "a task was requeued on hold, cancelled, and never recorded again": (
        case(size=2),
        LOST,
        [task(index="0"), task("REQUEUED", index="1")],
        [run(), run()],
    ),
    "Slurm lost an array before it had told accounting of its tasks": (
        case(forgettable=True, size=5),
        LOST,
        [task("CANCELLED")],
        [],
    ),
    "Slurm lost it before accounting heard of it": (case(forgettable=True), LOST, [], []),
    "Slurm lost it before it was known, and it was sent again": (
        case(forgettable=True),
        DONE,
        [task("PENDING", "6"), task()],
        [run("6"), run()],
    ),
}

WRONG: dict[str, tuple[Verdict, Case, Told | None, list[Task], list[Run]]] = {
    "never sent, and called done": (Verdict.LOST, case(), Told("Done"), [], []),
    "rejected though nothing is wrong with it": (Verdict.LOST, case(), Told("Rejected"), [], []),
    "the object is gone, and nobody deleted it": (Verdict.LOST, case(), None, [], []),
    "called lost, and accounting has it": (Verdict.NEVER_SETTLED, case(forgettable=True), LOST, [task()], [run()]),
    "called lost, and accounting has all of it": (
        Verdict.NEVER_SETTLED,
        case(forgettable=True, size=2),
        LOST,
        [task(index="0"), task(index="1")],
        [run()],
    ),
    "called something else while nobody knows": (Verdict.NEVER_SETTLED, case(), LIVES, [task("RUNNING", "7")], [run()]),
    "called lost while it runs": (
        Verdict.NEVER_SETTLED,
        case(forgettable=True),
        LOST,
        [task("RUNNING", queued=True)],
        [run()],
    ),
    "called lost by a Slurm that forgets nothing": (Verdict.NEVER_SETTLED, case(), LOST, [task("RUNNING")], [run()]),
    "sent again, by a Slurm that forgets nothing": (
        Verdict.TWICE,
        case(),
        DONE,
        [task("RUNNING", "6"), task()],
        [run("6"), run()],
    ),
    "two jobs": (Verdict.TWICE, case(), DONE, [task(), task(job_id="8")], [run(), run("8")]),
    "two jobs, one has not begun": (Verdict.TWICE, case(), DONE, [task(), task("PENDING", "8", queued=True)], [run()]),
    "two jobs, by their own files": (Verdict.TWICE, case(), DONE, [task()], [run(), run("8")]),
    "two jobs of what is deleted": (Verdict.TWICE, case(deleted=True), None, [task(), task("CANCELLED", "8")], [run()]),
    "called failed": (Verdict.WRONG_PHASE, case(), Told("Aborted", "7"), [task()], [run()]),
    "called failed, while it is run again": (
        Verdict.WRONG_PHASE,
        case(),
        Told("Aborted", "7"),
        [task(before=frozenset({"NODE_FAIL"}))],
        [run(), run()],
    ),
    "called failed, while all tasks of it are run again": (
        Verdict.WRONG_PHASE,
        case(size=2),
        Told("Aborted", "7"),
        [task(index=index, before=frozenset({"NODE_FAIL"})) for index in "01"],
        [run()],
    ),
    "called failed, while it is preempted and run again": (
        Verdict.WRONG_PHASE,
        case(cancelled=True),
        Told("Aborted", "7"),
        [task("CANCELLED", before=frozenset({"PREEMPTED"}))],
        [run()],
    ),
    "called cancelled, while it waits after a requeue": (
        Verdict.WRONG_PHASE,
        case(cancelled=True),
        Told("Cancelled", "7"),
        [task("REQUEUED", queued=True)],
        [run()],
    ),
    "called done": (Verdict.WRONG_PHASE, case(), DONE, [task("FAILED")], [run()]),
    "called done, while it was cancelled": (Verdict.WRONG_PHASE, case(), DONE, [task("CANCELLED")], [run()]),
    "called done, and a task failed": (Verdict.WRONG_PHASE, case(), DONE, [task(index="0"), task("FAILED", index="1")], []),
    "called cancelled while it runs": (
        Verdict.WRONG_PHASE,
        case(cancelled=True),
        Told("Cancelled"),
        [task("RUNNING", queued=True)],
        [run()],
    ),
    "another one's job": (Verdict.WRONG_PHASE, case(), DONE, [task(job_id="8")], [run("8")]),
    "a job that nobody has": (Verdict.WRONG_PHASE, case(refused=True), Told("Rejected", "7"), [], []),
    "cancelled, and called rejected": (Verdict.WRONG_PHASE, case(cancelled=True), Told("Rejected"), [], []),
    "refused, and called done": (Verdict.WRONG_PHASE, case(refused=True), Told("Done"), [], []),
    "ended, and nobody says so": (Verdict.NEVER_SETTLED, case(), LIVES, [task()], [run()]),
    "waits for ever": (Verdict.NEVER_SETTLED, case(cancelled=True), UNSENT, [], []),
    "deleted, and still there": (Verdict.NEVER_SETTLED, case(deleted=True), Told("Cancelled", "7"), [task("CANCELLED")], []),
    "runs after it was deleted": (Verdict.LEFT_RUNNING, case(deleted=True), None, [task("RUNNING", queued=True)], [run()]),
    "runs after it was deleted, and had been requeued": (
        Verdict.LEFT_RUNNING,
        case(deleted=True),
        None,
        [task("RUNNING", queued=True, before=frozenset({"PENDING", "NODE_FAIL"}))],
        [run()],
    ),
    "a task of it runs after it was deleted": (
        Verdict.LEFT_RUNNING,
        case(deleted=True),
        None,
        [task(index="0", before=frozenset({"COMPLETED"})), task("RUNNING", index="1", queued=True)],
        [run()],
    ),
    "called lost by a Slurm that forgets nothing, whose log has it": (
        Verdict.NEVER_SETTLED,
        case(),
        LOST,
        [task(unaccounted=True)],
        [run()],
    ),
    "runs as somebody else": (Verdict.WRONG_USER, case(), DONE, [task(user="mario")], []),
    "began as somebody else": (Verdict.WRONG_USER, case(), DONE, [task()], [run(user="mario")]),
}


@pytest.mark.parametrize(("asked", "told", "tasks", "runs"), GOOD.values(), ids=GOOD.keys())
def test_nothing_is_wrong(asked: Case, told: Told | None, tasks: list[Task], runs: list[Run]) -> None:
    assert judge(asked, told, tasks, runs) == ()


@pytest.mark.parametrize(("verdict", "asked", "told", "tasks", "runs"), WRONG.values(), ids=WRONG.keys())
def test_it_is_wrong(verdict: Verdict, asked: Case, told: Told | None, tasks: list[Task], runs: list[Run]) -> None:
    assert [wrong.verdict for wrong in judge(asked, told, tasks, runs)] == [verdict]
