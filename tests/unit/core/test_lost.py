"""A job that nobody has any more: said, never called failed, and taken back if it turns up."""

import pytest

from slurmgate.core.outcomes import Observation, Seen, Source, Task
from slurmgate.core.record import Stage, Step
from slurmgate.resources.submission import Phase
from tests.unit.core.build import JOB, SACCT_DOWN, UNREACHABLE, at, pending, record_of, row
from tests.unit.core.life import LOST_AFTER, Life

LONG = LOST_AFTER.total_seconds()
LOST = ("Submitted", "RUNNING", "Lost")


def ran() -> Life:
    return Life().known().wait(5).queue(row("RUNNING"))


def gone(life: Life, seconds: float) -> Life:
    """Both answer, every five seconds, and neither has it."""
    for _ in range(int(seconds // 5)):
        life.wait(5).queue().account()
    return life


def lost() -> Life:
    return gone(ran(), LONG + 10)


def message(life: Life) -> str:
    return next(condition.message for condition in life.status.conditions if condition.type == "Ready")


def told(life: Life) -> list[str]:
    return [event.reason for event in life.events]


def test_for_a_while_nothing_is_said() -> None:
    life = gone(ran(), LONG - 5)
    assert life.shows() == ("Submitted", "RUNNING", "Running")
    assert told(life) == ["Submitted", "Running"]


def test_after_that_it_is_said_once_and_called_lost_not_failed() -> None:
    life = gone(lost(), 2 * LONG)
    assert life.shows() == LOST
    assert told(life) == ["Submitted", "Running", "Lost"]
    verdicts = {condition.type: condition.status for condition in life.status.conditions}
    assert verdicts == {
        "Accepted": "True",
        "Submitted": "True",
        "Running": "Unknown",
        "Complete": "False",
        "Failed": "False",
        "Ready": "False",
        "Stalled": "True",
    }
    assert life.stage is Stage.KNOWN


@pytest.mark.parametrize(
    "answer", [SACCT_DOWN, Seen(Source.ACCOUNTING, unanswered={JOB: SACCT_DOWN})], ids=["about no job", "about this one"]
)
def test_accounting_that_does_not_answer_says_nothing(answer: Observation) -> None:
    life = ran()
    for _ in range(300):
        life.wait(5).queue().account_fails(answer)
    assert gone(life, LONG - 5).shows() == ("Submitted", "RUNNING", "Running")
    assert gone(life, 10).shows() == LOST


def test_it_is_taken_back_from_the_queue() -> None:
    life = lost().wait(5).queue(row("RUNNING"))
    assert life.shows() == ("Submitted", "RUNNING", "Running")
    assert life.condition("Stalled") is None
    assert gone(life, LONG - 5).shows() == ("Submitted", "RUNNING", "Running")


def test_it_is_taken_back_from_accounting() -> None:
    life = lost().wait(5).queue().account(record_of("COMPLETED"))
    assert life.shows() == ("Done", "COMPLETED", "Completed")
    assert life.next_step is Step.LET_GO


def test_a_restart_says_nothing_new() -> None:
    life = gone(lost().restart(), LONG)
    assert life.shows() == LOST
    assert told(life).count("Lost") == 1
    assert life.wait(5).queue().account(record_of("COMPLETED")).shows() == ("Done", "COMPLETED", "Completed")


def test_cancelled_slurm_is_asked_once_and_once_more_when_it_turns_up() -> None:
    life = lost().cancel()
    assert life.next_step is Step.CANCEL
    life.control(Step.CANCEL)
    assert gone(life, 300).next_step is None
    assert life.shows() == LOST
    assert life.wait(5).queue(row("RUNNING")).next_step is Step.CANCEL


def test_deleted_slurm_is_asked_once_and_the_object_goes() -> None:
    life = lost().delete()
    assert life.next_step is Step.CANCEL
    assert life.control(Step.CANCEL).next_step is Step.LET_GO
    before = told(life)
    assert told(life.let_go()) == before


def test_a_part_of_an_array_can_be_lost() -> None:
    life = Life().known(array="0-2").wait(5).queue(*(pending(index=index) for index in "012"))
    for _ in range(int(LONG // 5) + 2):
        life.wait(5).queue().account(*(record_of("COMPLETED", index) for index in "02"))
    assert life.shows()[2] == "Lost"
    assert "1 tasks of Slurm job" in message(life)


RUNAWAY = {
    "a job": (ran(), [row("RUNNING")]),
    "a component": (
        Life().known().wait(5).queue(row("RUNNING", "+0"), row("RUNNING", "+1")),
        [record_of("COMPLETED", "+0"), row("RUNNING", "+1")],
    ),
}


@pytest.mark.parametrize(("life", "records"), RUNAWAY.values(), ids=RUNAWAY.keys())
def test_what_runs_in_accounting_for_ever_is_lost_too_and_said_so(life: Life, records: list[Task]) -> None:
    for _ in range(int(LONG // 5)):
        life.wait(5).queue().account(*records)
    assert life.shows() == ("Submitted", "RUNNING", "Running")
    life.wait(5).queue().account(*records)
    assert life.shows() == LOST
    assert message(life).startswith("squeue does not have, and sacct takes for alive")


def test_without_accounting_squeue_alone_says_so() -> None:
    life = ran()
    for _ in range(int(LONG // 5) + 2):
        life.wait(5).queue().no_accounting()
    assert life.shows() == LOST


def test_a_job_that_got_our_id_before_anybody_had_seen_ours_is_not_ours() -> None:
    """slurmctld was killed right after it had acknowledged ours, and forgot it."""
    life = Life().known().wait(5)
    life.queue(row("PENDING", token=None, submit_time=at(4), directory="/home/kirby"))
    assert life.record.unread
    life.account(record_of("CANCELLED", token=None, submit_time=at(4), directory="/home/kirby"))
    assert life.status.phase is Phase.SUBMITTED


@pytest.mark.parametrize("first", [pending("None"), pending("Priority"), row("COMPLETING"), row("RUNNING")])
def test_a_job_of_the_same_user_that_has_our_id_now_is_not_ours_however_little_was_seen_of_ours(first: Task) -> None:
    life = Life().known().queue(first).wait(5)
    life.queue(row("RUNNING", token=None, submit_time=at(300)))
    assert life.record.unread, "ours has left the queue"
    assert life.shows()[1] != "RUNNING" or first.state == "RUNNING"
    life.account()
    life.wait(5).queue(row("FAILED", token=None, submit_time=at(300)))
    life.account(record_of("FAILED", token=None, submit_time=at(300)))
    assert life.status.phase is Phase.SUBMITTED


def test_that_a_lost_job_cannot_be_cancelled_is_not_said_in_its_place() -> None:
    life = lost().cancel()
    assert life.next_step is Step.CANCEL
    life.control(Step.CANCEL, UNREACHABLE)
    assert life.shows() == LOST
    assert life.next_step is None
    assert life.wait(5).next_step is Step.CANCEL
