"""The state machine as tables: what becomes of a submission, whatever a cluster answers."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from slurmgate.core.outcomes import AdmissionOutcome, ControlOutcome, FindOutcome, NotNow, Refused, SubmitOutcome, Submitted
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Stage, Step
from slurmgate.resources.submission import Phase
from tests.unit.core.build import JOB, NEVER_SENT, REFUSED, UNCERTAIN, UNREACHABLE, admission, at, pending, record_of, row
from tests.unit.core.life import Life, told

PREPARING, ACCEPTED, UNKNOWN, KNOWN, ENDED, RELEASED = Stage

Change = Callable[[Life], Life]

ADMISSIONS = {
    "it may be sent": (admission(), ACCEPTED, Phase.CREATED, Reason.SUBMITTING, Step.SUBMIT),
    "it can never be sent like this": (REFUSED, ENDED, Phase.REJECTED, Reason.SUBMIT_REJECTED, None),
    "something is missing": (
        NotNow(Reason.REFERENCE_NOT_FOUND, "ConfigMap scripts has no key run.sh"),
        PREPARING,
        Phase.CREATED,
        Reason.REFERENCE_NOT_FOUND,
        Step.ADMIT,
    ),
}


@pytest.mark.parametrize(("outcome", "stage", "phase", "reason", "later"), ADMISSIONS.values(), ids=ADMISSIONS.keys())
def test_outcomes_of_admission(
    outcome: AdmissionOutcome, stage: Stage, phase: Phase, reason: Reason, later: Step | None
) -> None:
    life = Life().admit(outcome)
    assert (life.stage, life.status.phase, life.record.standing.reason) == (stage, phase, reason)
    assert life.wait(300).next_step is later


SUBMITS: dict[str, tuple[SubmitOutcome, Stage, Phase, Reason, Step | None]] = {
    "sbatch took it": (Submitted(JOB), KNOWN, Phase.SUBMITTED, Reason.SUBMITTED, None),
    "sbatch refused it": (REFUSED, ENDED, Phase.REJECTED, Reason.SUBMIT_REJECTED, Step.LET_GO),
    "sbatch was not run": (UNREACHABLE, ACCEPTED, Phase.CREATED, Reason.CLUSTER_UNREACHABLE, Step.SUBMIT),
    "nobody knows": (UNCERTAIN, UNKNOWN, Phase.CREATED, Reason.SUBMISSION_UNKNOWN, Step.FIND),
}


@pytest.mark.parametrize(("outcome", "stage", "phase", "reason", "later"), SUBMITS.values(), ids=SUBMITS.keys())
def test_outcomes_of_submitting(outcome: SubmitOutcome, stage: Stage, phase: Phase, reason: Reason, later: Step | None) -> None:
    life = Life().admit().submit(outcome)
    assert (life.stage, life.status.phase, life.record.standing.reason) == (stage, phase, reason)
    assert life.wait(300).next_step is later


FINDS: dict[str, tuple[FindOutcome, Stage, Phase, Reason, Step | None]] = {
    "Slurm has it": (Submitted(JOB), KNOWN, Phase.SUBMITTED, Reason.SUBMITTED, None),
    "the marker says that sbatch refused it": (REFUSED, ENDED, Phase.REJECTED, Reason.SUBMIT_REJECTED, Step.LET_GO),
    "it was never sent": (NEVER_SENT, ACCEPTED, Phase.CREATED, Reason.SUBMITTING, Step.SUBMIT),
    "nobody knows": (UNCERTAIN, UNKNOWN, Phase.CREATED, Reason.SUBMISSION_UNKNOWN, Step.FIND),
}


@pytest.mark.parametrize(("outcome", "stage", "phase", "reason", "later"), FINDS.values(), ids=FINDS.keys())
def test_outcomes_of_looking_up(outcome: FindOutcome, stage: Stage, phase: Phase, reason: Reason, later: Step | None) -> None:
    life = Life().admit().send().find(outcome)
    assert (life.stage, life.status.phase, life.record.standing.reason) == (stage, phase, reason)
    assert life.wait(300).next_step is later


CROSSED: dict[str, tuple[Change, Stage, Step]] = {
    "cancelled, then sbatch was not run": (lambda life: life.cancel().answer(UNREACHABLE), ENDED, Step.LET_GO),
    "cancelled, then nobody knows": (lambda life: life.cancel().answer(UNCERTAIN).wait(300), UNKNOWN, Step.FIND),
    "cancelled, then sbatch took it": (lambda life: life.cancel().answer(), KNOWN, Step.CANCEL),
    "cancelled, then it was never sent": (lambda life: life.cancel().find(NEVER_SENT), ENDED, Step.LET_GO),
    "cancelled, then it turns up": (lambda life: life.cancel().find(Submitted(JOB)), KNOWN, Step.CANCEL),
    "deleted, then sbatch was not run": (lambda life: life.delete().answer(UNREACHABLE), ENDED, Step.LET_GO),
    "deleted, then it was never sent": (lambda life: life.delete().find(NEVER_SENT), ENDED, Step.LET_GO),
    "deleted, then it turns up": (lambda life: life.delete().find(Submitted(JOB)), KNOWN, Step.CANCEL),
    "deleted, then sbatch refused it": (lambda life: life.delete().find(REFUSED), ENDED, Step.LET_GO),
    "orphaned and deleted, then it turns up": (lambda life: life.orphan().delete().find(Submitted(JOB)), KNOWN, Step.DISOWN),
    "orphaned and deleted, then it was never sent": (lambda life: life.orphan().delete().find(NEVER_SENT), ENDED, Step.LET_GO),
}


@pytest.mark.parametrize(("happens", "stage", "step"), CROSSED.values(), ids=CROSSED.keys())
def test_what_is_not_wanted_any_more_is_neither_sent_again_nor_lost(happens: Change, stage: Stage, step: Step) -> None:
    life = happens(Life().admit().send())
    assert (life.stage, life.next_step) == (stage, step)


def test_sending_leaves_a_trace_only_in_memory() -> None:
    """Status says so already: there is a user and no job id."""
    life = Life().admit()
    before = len(life.writes)
    assert life.send().stage is UNKNOWN
    assert len(life.writes) == before


def test_an_uncertain_answer_is_never_followed_by_sbatch_before_a_look_up() -> None:
    life = Life().admit().submit(UNCERTAIN)
    for _ in range(20):
        assert life.wait(300).next_step is Step.FIND
        life.find(UNCERTAIN)
    assert life.find(NEVER_SENT).next_step is Step.SUBMIT


def test_pauses_grow_while_a_step_does_not_get_through_and_begin_anew_once_it_does() -> None:
    life = Life()
    pauses = []
    for _ in range(9):
        life.admit(UNREACHABLE)
        assert life.record.not_before
        pauses.append((life.record.not_before - life.now).total_seconds())
        assert life.next_step is None
        life.now = life.record.not_before
    assert pauses[:6] == sorted(pauses[:6])
    assert 2 <= pauses[0] <= 2.5
    assert 120 <= pauses[-1] <= 150
    life.admit()
    assert (life.record.tries, life.record.not_before) == (0, None)


def test_what_could_not_be_sent_is_admitted_again_and_still_says_why_it_waits() -> None:
    life = Life().admit().submit(UNREACHABLE)
    events, pauses = len(life.events), []
    for _ in range(8):
        assert life.record.not_before
        pauses.append((life.record.not_before - life.now).total_seconds())
        life.now = life.record.not_before
        assert life.next_step is Step.SUBMIT
        life.admit()
        assert life.shows() == ("Created", None, "ClusterUnreachable")
        life.submit(UNREACHABLE)
    assert pauses[-1] > 100
    assert len(life.events) == events
    assert life.admit().submit().shows() == ("Submitted", "PENDING", "Submitted")


def test_what_turns_out_not_to_be_allowed_any_more_is_not_sent_again() -> None:
    life = Life().admit().submit(UNREACHABLE).wait(60).admit(Refused(Reason.USER_NOT_MAPPED, "spec.owner: has no entry"))
    assert life.shows() == ("Rejected", None, "UserNotMapped")
    assert life.next_step is Step.LET_GO


def test_pauses_grow_while_every_answer_is_lost() -> None:
    life = Life().admit()
    pauses = []
    for _ in range(8):
        life.submit(UNCERTAIN)
        assert life.record.not_before
        pauses.append((life.record.not_before - life.now).total_seconds())
        life.now = life.record.not_before
        assert life.find(NEVER_SENT).next_step is Step.SUBMIT
        life.admit()
    assert pauses[:6] == sorted(pauses[:6])
    assert pauses[-1] > 100
    assert told(life.events) == [("Warning", Reason.SUBMISSION_UNKNOWN)]


def test_what_was_never_sent_before_a_restart_is_submitting_again() -> None:
    assert Life().admit().submit(UNCERTAIN).restart().find(NEVER_SENT).admit().shows() == ("Created", None, "Submitting")


CONTROLS: dict[Step, tuple[Change, Reason, Step | None]] = {
    Step.CANCEL: (lambda life: life.cancel(), Reason.CANCELLING, None),
    Step.HOLD: (lambda life: life.suspend(), Reason.HELD, None),
    Step.RELEASE: (
        lambda life: life.suspend().control(Step.HOLD).suspend(wish=False),
        Reason.QUEUED,
        None,
    ),
}


@pytest.mark.parametrize("step", CONTROLS)
def test_a_control_step_that_gets_through(step: Step) -> None:
    wish, reason, later = CONTROLS[step]
    life = wish(Life().known().queue(pending()))
    assert life.next_step is step
    life.control(step)
    assert (life.record.standing.reason, life.next_step) == (reason, later)


@pytest.mark.parametrize("outcome", [UNREACHABLE, Refused(Reason.COMMAND_FAILED, "Access/permission denied")])
@pytest.mark.parametrize("step", CONTROLS)
def test_a_control_step_that_does_not_get_through_is_tried_again(step: Step, outcome: ControlOutcome) -> None:
    wish, _, _ = CONTROLS[step]
    life = wish(Life().known().queue(pending()))
    assert outcome is not None
    life.control(step, outcome)
    assert life.shows() == ("Submitted", "PENDING", outcome.reason)
    assert life.next_step is None
    assert life.wait(3).next_step is step


def test_a_failed_cancellation_stays_visible_while_slurm_has_nothing_new() -> None:
    life = Life().known().queue(row("RUNNING")).cancel().control(Step.CANCEL, UNREACHABLE)
    writes = len(life.writes)
    for _ in range(5):
        life.wait(5).queue(row("RUNNING"))
    assert life.shows() == ("Submitted", "RUNNING", "ClusterUnreachable")
    assert len(life.writes) == writes


def test_a_step_that_is_no_control_step_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="no control step"):
        Life().known().control(Step.FIND)


def test_held_is_remembered_over_a_restart() -> None:
    life = Life().known().queue(pending()).suspend().control(Step.HOLD).restart()
    assert life.record.held
    assert life.queue(pending("JobHeldUser")).next_step is None


def test_what_was_cancelled_already_is_asked_for_again_after_a_restart_and_told_once() -> None:
    life = Life().known().queue(row("RUNNING")).cancel().control(Step.CANCEL).restart()
    assert life.next_step is Step.CANCEL
    life.control(Step.CANCEL)
    assert [reason for _, reason in told(life.events)].count(Reason.CANCELLING) == 1


def test_a_cancelled_job_that_completed_all_the_same_is_done() -> None:
    life = Life().known().queue(row("RUNNING")).cancel().control(Step.CANCEL).queue().account(record_of("COMPLETED"))
    assert life.status.phase is Phase.DONE


def test_where_the_output_goes_is_told_as_well_as_it_is_known() -> None:
    unknown_directory = Life().admit().submit(Submitted(JOB)).status.slurm
    assert unknown_directory
    assert unknown_directory.stdout_path == "~/slurmgate/lab/hello-6c1f8c1e/slurm-42.out"
    assert Life().known().status.working_directory == "/home/kirby/w"


@pytest.mark.parametrize(
    ("pattern", "array", "path"),
    [
        ("/scratch/%4j.out", None, "/scratch/0042.out"),
        ("/scratch/%A-%j", None, "/scratch/42-42"),
        ("/scratch/%4A_%a", "0-3", "/scratch/0042_%a"),
        ("/scratch/%j", "0-3", "/scratch/%j"),
        ("/scratch/100%%j", None, "/scratch/100%j"),
        ("/scratch/%99j", None, "/scratch/0000000042"),
    ],
)
def test_output_patterns_are_filled_in_as_slurm_does(pattern: str, array: str | None, path: str) -> None:
    slurm = Life().admit(replace(admission(array=array), stdout=pattern)).submit().status.slurm
    assert slurm
    assert slurm.stdout_path == path


def test_a_submission_that_was_accepted_says_who_and_when() -> None:
    life = Life().wait(5).admit()
    accepted = life.condition("Accepted")
    assert accepted
    assert (life.status.user, life.status.cluster, accepted.last_transition_time) == ("kirby", "valhalla", at(5))


def test_our_finalizer_is_on_the_record_once() -> None:
    life = Life()
    life.edit(life.draft.finalized().echoed()).admit()
    assert life.record.finalizers == ("slurmgate.dev/slurm-job",)
