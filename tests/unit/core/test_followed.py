"""Jobs that their owners have submitted themselves: followed, held and cancelled, and never more than that."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from slurmgate.core import steps
from slurmgate.core.following import FOLLOWED_UNSEEN
from slurmgate.core.outcomes import Followed, Refused, Seen, Source, Task
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Stage, Step
from slurmgate.core.steps import DELETION_DEADLINE
from slurmgate.core.tasks import ours
from slurmgate.resources.submission import ArrayStatus, Phase
from tests.unit.core.build import (
    JOB,
    OTHER_TOKEN,
    SACCT_DOWN,
    TOKEN,
    UNREACHABLE,
    Draft,
    admission,
    at,
    pending,
    record_of,
    row,
)
from tests.unit.core.life import LOST_AFTER, Life, told

FOLLOWED = Followed("kirby", JOB)
UNSEEN = FOLLOWED_UNSEEN.total_seconds()


def followed(draft: Draft | None = None) -> Life:
    return Life((draft or Draft()).following()).wait(1).admit(FOLLOWED)


def own(task: Task) -> Task:
    """The row of a job that no Slurmgate has submitted."""
    return replace(task, token=None)


def seen_running() -> Life:
    return followed().wait(5).queue(own(row("RUNNING")))


def message(life: Life) -> str:
    return next(condition.message for condition in life.status.conditions if condition.type == "Ready")


# A life


def test_it_is_known_at_once_and_nothing_is_sent() -> None:
    life = followed()
    assert (life.stage, life.next_step) == (Stage.KNOWN, None)
    assert life.shows() == ("Submitted", None, "Submitted")
    assert (life.record.user, life.record.job_id, life.record.finalized) == ("kirby", "42", True)
    assert life.events[-1].message == "Slurm job 42, which kirby has submitted himself."


def test_a_normal_life_is_five_writes() -> None:
    life = followed().wait(5).queue(own(pending())).wait(5).queue(own(row("RUNNING"))).wait(5)
    life.queue(own(row("COMPLETED"))).account(own(record_of("COMPLETED")))
    assert life.shows() == ("Done", "COMPLETED", "Completed")
    assert told(life.events) == [("Normal", "Submitted"), ("Normal", "Running"), ("Normal", "Completed")]
    assert len(life.writes) == 5
    assert life.next_step is Step.LET_GO


def test_what_slurm_says_first_is_written_however_little_it_is() -> None:
    life = followed().wait(5).queue(own(pending(None)))
    slurm = life.writes[-1].slurm
    assert slurm
    assert (slurm.state, slurm.submit_time) == ("PENDING", at(2))


def test_whoever_may_not_be_followed_is_rejected() -> None:
    life = Life(Draft().following()).wait(10).admit(Refused(Reason.USER_NOT_MAPPED, "spec.owner: no entry"))
    assert life.shows() == ("Rejected", None, "UserNotMapped")


ENDS = ["COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "CANCELLED", "PREEMPTED", "DEADLINE", "BOOT_FAIL"]


@pytest.mark.parametrize("word", ENDS)
def test_its_end_is_slurms_also_if_it_was_over_before_anybody_looked(word: str) -> None:
    life = followed().wait(5).queue().account(own(record_of(word)))
    assert life.stage is Stage.ENDED
    assert life.shows()[1] == word


def test_without_accounting_squeue_has_the_last_word() -> None:
    life = seen_running().wait(5).queue(own(row("FAILED"))).no_accounting()
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")


def test_a_job_that_is_requeued_goes_on() -> None:
    life = seen_running().queue(own(pending("BeginTime", restarts=1, submit_time=at(60)))).wait(60)
    assert life.shows() == ("Submitted", "PENDING", "Requeued")
    life.queue(own(row("RUNNING", restarts=1, submit_time=at(60)))).wait(5).queue()
    life.account(own(record_of("NODE_FAIL")), own(record_of("COMPLETED", submit_time=at(60))))
    assert life.shows() == ("Done", "COMPLETED", "Completed")


def test_of_a_job_that_was_requeued_before_anybody_looked_the_last_run_counts() -> None:
    life = followed().wait(5).queue()
    life.account(own(record_of("NODE_FAIL", exit_code=1)), own(record_of("COMPLETED", submit_time=at(60))))
    assert life.shows() == ("Done", "COMPLETED", "Completed")


# Which job it is


COMMENTS = {"no comment": None, "another submission's": OTHER_TOKEN, "our own token": TOKEN}


@pytest.mark.parametrize("token", COMMENTS.values(), ids=COMMENTS.keys())
def test_it_is_followed_whatever_its_comment(token: str | None) -> None:
    life = followed().wait(5).queue(row("RUNNING", token=token)).wait(5)
    assert life.shows()[1] == "RUNNING"
    assert life.queue(row("COMPLETED", token=token)).account(record_of("COMPLETED", token=token)).stage is Stage.ENDED


def test_a_comment_that_is_changed_on_the_way_does_not_matter() -> None:
    life = (
        followed().queue(row("RUNNING", token=TOKEN)).queue(row("RUNNING", token=None)).queue(row("RUNNING", token=OTHER_TOKEN))
    )
    assert life.queue().account(own(record_of("COMPLETED"))).stage is Stage.ENDED


@pytest.mark.parametrize("user", ["mario", None], ids=["somebody else's", "of nobody knows whom"])
def test_a_job_with_that_id_is_not_his_if_its_user_is_another(user: str | None) -> None:
    life = followed()
    for _ in range(3):
        life.wait(5).queue(row("RUNNING", user=user, token=TOKEN)).account(record_of("FAILED", user=user, token=None))
    assert life.shows() == ("Submitted", None, "Submitted")
    assert life.stage is Stage.KNOWN


def test_a_job_of_ours_may_be_of_a_user_that_is_not_shown() -> None:
    """An exit record says which submission it is of and not whose."""
    rows = [row("FAILED", user=None)]
    assert ours(rows, token=TOKEN, user="kirby", submitted=None)
    assert not ours(rows, token=None, user="kirby", submitted=None)


@pytest.mark.parametrize("again", ["in the same process", "after a restart"])
def test_a_job_that_got_its_id_later_is_another(again: str) -> None:
    life = seen_running()
    if again == "after a restart":
        life.restart()
    life.wait(400).queue(own(row("RUNNING", submit_time=at(300))))
    assert life.record.unread, "the one that is followed has left the queue"
    life.account(own(record_of("FAILED", submit_time=at(300))))
    assert life.shows() == ("Submitted", "RUNNING", "Running")
    life.account(own(record_of("COMPLETED")), own(record_of("FAILED", submit_time=at(300))))
    assert life.shows() == ("Done", "COMPLETED", "Completed")


# Started again


def test_an_operator_that_starts_goes_on_following_and_writes_nothing_for_that() -> None:
    life = seen_running()
    writes = len(life.writes)
    life.wait(100).restart()
    assert (life.stage, life.next_step, len(life.writes)) == (Stage.KNOWN, None, writes)
    assert life.record.follows == JOB
    life.queue(own(row("RUNNING")))
    assert len(life.writes) == writes
    assert life.queue().account(own(record_of("COMPLETED"))).stage is Stage.ENDED


def test_before_it_was_admitted_it_is_admitted_anew() -> None:
    assert Life(Draft().following()).restart().next_step is Step.ADMIT


def test_what_has_been_seen_is_lost_and_not_taken_for_never_there_also_after_a_restart() -> None:
    life = seen_running().restart()
    for _ in range(int(2 * UNSEEN // 5)):
        life.wait(5).queue().account()
    assert life.stage is Stage.KNOWN
    for _ in range(int(LOST_AFTER.total_seconds() // 5)):
        life.wait(5).queue().account()
    assert life.shows() == ("Submitted", "RUNNING", "Lost")


# Never there


def nowhere(life: Life, seconds: float) -> Life:
    for _ in range(int(seconds // 5)):
        life.wait(5).queue().account()
    return life


def test_a_job_that_nobody_has_is_waited_for_a_minute_and_then_rejected() -> None:
    life = nowhere(followed(), UNSEEN)
    assert life.shows() == ("Submitted", None, "Submitted")
    life.wait(5).queue().account()
    assert life.shows() == ("Rejected", None, "InvalidSpec")
    assert message(life) == "spec.script.slurmJobId: kirby has no job 42."
    assert life.next_step is Step.LET_GO


def test_without_accounting_the_queue_alone_says_so() -> None:
    life = followed()
    for _ in range(int(UNSEEN // 5) + 1):
        life.wait(5).queue().no_accounting()
    assert life.shows() == ("Rejected", None, "InvalidSpec")


NO_ANSWERS: dict[str, Callable[[Life], Life]] = {
    "accounting does not answer": lambda life: life.account_fails(SACCT_DOWN),
    "accounting does not answer about this one": lambda life: life.account_fails(
        Seen(Source.ACCOUNTING, unanswered={JOB: SACCT_DOWN})
    ),
    "exit records cannot be read": lambda life: life.exit_records_unreadable(),
}


@pytest.mark.parametrize("unanswered", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_only_complete_answers_count(unanswered: Callable[[Life], Life]) -> None:
    life = followed()
    for _ in range(100):
        unanswered(life.wait(5).queue())
    assert life.stage is Stage.KNOWN
    assert nowhere(life, UNSEEN).stage is Stage.KNOWN
    assert nowhere(life, 5).stage is Stage.ENDED


def test_a_job_that_accounting_has_as_alive_is_there() -> None:
    life = followed()
    for _ in range(int(2 * UNSEEN // 5)):
        life.wait(5).queue().account(own(row("RUNNING")))
    assert life.stage is Stage.KNOWN
    assert life.account(own(record_of("FAILED", exit_code=1))).shows() == ("Aborted", "FAILED", "JobFailed")


# Arrays and heterogeneous jobs


def tasks(make: Callable[..., Task], word: str, indexes: Iterable[str]) -> list[Task]:
    return [own(make(word, index)) for index in indexes]


def array(life: Life) -> ArrayStatus:
    assert life.status.slurm
    assert life.status.slurm.array
    return life.status.slurm.array


def test_an_array_is_found_out_to_be_one() -> None:
    life = followed().wait(5).queue(own(row("RUNNING", "0")), own(pending(index="1-9")))
    assert array(life) == ArrayStatus(total=10, pending=9, running=1)


def test_an_array_is_over_once_all_its_tasks_are() -> None:
    life = followed().wait(5).queue(*tasks(row, "RUNNING", "012")).wait(5)
    life.queue(*tasks(row, "RUNNING", "12")).account(*tasks(record_of, "COMPLETED", "0"), *tasks(row, "RUNNING", "12")).wait(5)
    life.queue().account(*tasks(record_of, "COMPLETED", "01"), *tasks(row, "RUNNING", "2"))
    assert life.stage is Stage.KNOWN, "slurmdbd has still to hear of the last one"
    life.wait(5).queue().account(*tasks(record_of, "COMPLETED", "01"), *tasks(record_of, "FAILED", "2"))
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")
    assert array(life) == ArrayStatus(total=3, succeeded=2, failed=1, succeeded_indexes="0-1", failed_indexes="2")
    assert message(life).startswith("2 of 3 tasks completed")


def test_tasks_that_were_over_before_anybody_looked_count_too() -> None:
    life = followed().wait(400).queue(own(row("RUNNING", "5")), own(pending(index="6-9")))
    assert array(life).total == 5
    life.wait(5).queue(own(row("COMPLETED", "5")), own(pending(index="6-9")))
    life.account(*tasks(record_of, "FAILED", "01234"), *tasks(record_of, "COMPLETED", "5"), own(pending(index="6-9")))
    assert array(life) == ArrayStatus(total=10, pending=4, succeeded=1, failed=5, succeeded_indexes="5", failed_indexes="0-4")
    life.wait(5).queue().account(*tasks(record_of, "FAILED", "01234"), *tasks(record_of, "COMPLETED", "56789"))
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")
    assert (array(life).succeeded, array(life).failed) == (5, 5)


def test_an_array_that_is_over_before_anybody_looks_is_not_over_while_accounting_has_a_part_as_alive() -> None:
    life = followed().wait(5).queue().account(own(record_of("COMPLETED", "0")), own(row("RUNNING", "1")))
    assert life.stage is Stage.KNOWN
    life.wait(5).queue().account(own(record_of("COMPLETED", "0")), own(record_of("FAILED", "1")))
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")


def test_an_array_is_known_to_be_one_after_a_restart() -> None:
    life = followed().wait(5).queue(*tasks(row, "RUNNING", "012")).restart().wait(5)
    life.queue().account(*tasks(record_of, "COMPLETED", "01"))
    assert life.stage is Stage.KNOWN
    assert life.account(*tasks(record_of, "COMPLETED", "012")).shows() == ("Done", "COMPLETED", "Completed")


def test_a_heterogeneous_job_is_over_once_all_its_components_are() -> None:
    life = followed().wait(5).queue(*tasks(row, "RUNNING", ["+0", "+1"])).wait(5)
    life.queue(*tasks(row, "COMPLETED", ["+0"])).account(*tasks(record_of, "COMPLETED", ["+0"]))
    assert life.stage is Stage.KNOWN
    life.wait(5).queue().account(*tasks(record_of, "COMPLETED", ["+0"]), *tasks(record_of, "FAILED", ["+1"]))
    assert life.shows() == ("Aborted", "FAILED", "JobFailed")
    assert life.status.slurm
    assert life.status.slurm.array is None


def test_a_heterogeneous_job_that_only_accounting_has_is_not_over_before_all_of_it_is() -> None:
    life = followed().wait(5).queue().account(*tasks(record_of, "COMPLETED", ["+0"]), *tasks(row, "RUNNING", ["+1"]))
    assert life.stage is Stage.KNOWN


# What people wish


def test_it_is_held_and_let_go_as_spec_suspend_asks() -> None:
    life = followed().wait(5).queue(own(pending())).suspend()
    assert life.next_step is Step.HOLD
    life.control(Step.HOLD).queue(own(pending("JobHeldUser")))
    assert life.condition("Suspended")
    assert life.suspend(wish=False).next_step is Step.RELEASE


def test_a_hold_of_its_owner_is_left_alone() -> None:
    life = followed().wait(5).queue(own(pending("JobHeldUser")))
    assert life.next_step is None
    assert life.condition("Suspended") is None


def test_it_is_cancelled() -> None:
    life = seen_running().cancel()
    assert life.next_step is Step.CANCEL
    life.control(Step.CANCEL).wait(5).queue(own(row("CANCELLED"))).account(own(record_of("CANCELLED")))
    assert life.shows() == ("Cancelled", "CANCELLED", "Cancelled")


BEFORE_ADMISSION: dict[str, Callable[[], Life]] = {
    "created cancelled": lambda: Life(Draft().following().with_spec(cancel=True)),
    "cancelled": lambda: Life(Draft().following()).cancel(),
    "cancelled while the cluster does not answer": lambda: Life(Draft().following()).admit(UNREACHABLE).cancel(),
    "cancelled, and the cluster does not answer": lambda: Life(Draft().following()).cancel().admit(UNREACHABLE).wait(10),
    "deleted": lambda: Life(Draft().following().finalized()).delete(),
    "first seen while it is being deleted": lambda: Life(Draft().following().finalized().deleted(at(0))),
}


@pytest.mark.parametrize("live", BEFORE_ADMISSION.values(), ids=BEFORE_ADMISSION.keys())
def test_its_job_is_there_before_it_is_admitted_and_is_cancelled_all_the_same(live: Callable[[], Life]) -> None:
    life = live()
    assert life.next_step is Step.ADMIT
    assert life.admit(FOLLOWED).next_step is Step.CANCEL


def test_what_is_deleted_and_cannot_be_kept_for_cancelling_just_ends() -> None:
    life = Life(Draft().following()).delete()
    assert (life.stage, life.record.over) == (Stage.ENDED, True)


def test_a_deletion_before_it_was_admitted_ends_within_its_deadline_and_says_what_may_still_run() -> None:
    life = Life(Draft().following().finalized()).delete()
    while life.next_step is Step.ADMIT:
        life.admit(UNREACHABLE)
        wake = steps.wake_at(life.record, life.now)
        assert wake
        assert wake <= at(0) + DELETION_DEADLINE
        life.now = wake
    assert life.now == at(0) + DELETION_DEADLINE
    assert life.next_step is Step.LET_GO
    assert "Could not cancel Slurm job 42 within 600 s" in life.let_go().events[-1].message


def test_deleted_it_is_cancelled_and_let_go() -> None:
    life = seen_running().delete()
    assert life.next_step is Step.CANCEL
    life.control(Step.CANCEL).queue(own(row("CANCELLED"))).account(own(record_of("CANCELLED")))
    assert life.next_step is Step.LET_GO


def test_an_orphan_is_let_go_without_a_word_and_without_being_disowned() -> None:
    life = seen_running().orphan().delete()
    before = told(life.events)
    assert life.next_step is Step.LET_GO
    assert told(life.let_go().events) == before


def test_an_orphan_that_was_never_admitted_is_admitted_and_let_go() -> None:
    life = Life(Draft().following().orphaning().finalized()).delete()
    assert life.next_step is Step.ADMIT
    assert life.admit(FOLLOWED).next_step is Step.LET_GO


def test_there_is_nothing_of_ours_to_tidy() -> None:
    life = Life(Draft().following().with_spec(writeSubmissionFiles=False)).admit(FOLLOWED).queue()
    assert life.account(own(record_of("COMPLETED"))).next_step is Step.LET_GO


def test_only_what_is_submitted_here_is_ever_disowned() -> None:
    """For the difference: a job of ours would be taken for a stray."""
    life = Life().admit(admission()).submit().queue(row("RUNNING")).orphan().delete()
    assert life.next_step is Step.DISOWN
    assert life.record.status.phase is Phase.SUBMITTED
