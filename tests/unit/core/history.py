"""A random history of one submission, and what must hold in all of them."""

import copy
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import note

from slurmgate.core import steps
from slurmgate.core.outcomes import (
    AdmissionOutcome,
    Followed,
    NeverSent,
    NotNow,
    Refused,
    SubmitOutcome,
    Submitted,
    Task,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Stage, Step
from slurmgate.core.states import STATES, Kind, state
from slurmgate.core.steps import DELETION_DEADLINE
from slurmgate.resources.jobbergate import JobbergateStatus
from slurmgate.resources.submission import JobSubmissionStatus, Phase
from tests.unit.core.build import (
    JOB,
    NEVER_SENT,
    OTHER_TOKEN,
    REFUSED,
    TOKEN,
    UNCERTAIN,
    UNREACHABLE,
    Draft,
    admission,
    at,
    each_task,
    record_of,
    row,
)
from tests.unit.core.life import (
    Life,
)
from tests.unit.resources.schema import refusal

ARRAY = "0-3"
LENGTH = 60
CONTROL = {Step.CANCEL, Step.HOLD, Step.RELEASE, Step.DISOWN, Step.TIDY}
WORDS = [*STATES, "TELEPORTING", *["PENDING", "RUNNING", "COMPLETED", "FAILED"] * 6]
EDITS = ["cancel", "delete", "suspend", "resume", "Cancel", "Orphan", *["echo"] * 4, "Submitted", "Running", "Complete"]


class Cluster:
    """What is true on the far side."""

    def __init__(self) -> None:
        self.jobs = 0
        self.refused = False

    def sbatch(self, random: Random) -> SubmitOutcome:
        truth = random.choice(["taken", "taken", "refused", "not run"])
        answered = random.random() < 0.5
        match truth:
            case "taken":
                self.jobs += 1
                return Submitted(JOB, directory="/home/kirby/w") if answered else UNCERTAIN
            case "refused":
                self.refused = True
                return REFUSED if answered else UNCERTAIN
            case _:
                return UNREACHABLE if answered else UNCERTAIN

    def look_up(self) -> Submitted | Refused | NeverSent:
        if self.jobs:
            return Submitted(JOB, directory="/home/kirby/w")
        return REFUSED if self.refused else NEVER_SENT


class History:
    """One submission, one cluster, people, and an operator that may be killed at any moment."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.cluster = Cluster()
        self.array = random.random() < 0.4
        self.follows = random.random() < 0.2
        draft = Draft().with_spec(writeSubmissionFiles=random.random() < 0.7, suspend=random.random() < 0.2)
        if self.follows:
            self.cluster.jobs = 1
            draft = draft.following()
        elif self.array:
            draft = draft.with_spec(array=ARRAY)
        draft = self.with_origin(draft)
        self.life = Life(draft.with_spec(cancel=True) if random.random() < 0.1 else draft, jobbergate=True)
        self.may_have_been_sent = False
        self.end_was_told = False
        self.was_refused = False
        self.was_shown = False
        self.ended: Phase | None = None
        self.job_id: str | None = None
        self.checked = 0

    def with_origin(self, draft: Draft) -> Draft:
        """What it has to do with Jobbergate."""
        origins = [draft, from_jobbergate(draft), draft.from_jobbergate().finalized(), draft.registering()]
        (draft,) = self.random.choices(origins, weights=[6, 2, 2, 1])
        return draft

    def play(self) -> None:
        happenings = [self.work, self.look, self.wait, self.edit, self.restart, self.hear]
        self.check()
        for _ in range(LENGTH):
            if self.life.record.over:
                break
            (happening,) = self.random.choices(happenings, weights=[8, 8, 4, 2, 1, 1])
            happening()
            self.check()

    # What happens

    def edit(self) -> None:
        life, wish = self.life, self.random.choice(EDITS)
        note(f"edit: {wish}")
        match wish:
            case "cancel":
                life.cancel()
            case "suspend" | "resume":
                life.suspend(wish == "suspend")
            case "Cancel" | "Orphan":
                life.edit(life.draft.edited(deletionPolicy=wish))
            case "delete":
                if not life.record.wishes.deleted:
                    life.delete()
            case "echo":
                life.edit(life.draft.echoed())
            case _:
                life.edit(life.draft.edited(readyWhen=wish))

    def wait(self) -> None:
        self.life.wait(self.random.choice([1, 5, 30, 120, 700, 100_000]))
        note(f"time: {self.life.now}")

    def restart(self) -> None:
        note("restart")
        self.life.restart()

    def hear(self) -> None:
        """Jobbergate hears how it stands, or does not."""
        life, answers = self.life, self.random.random() < 0.5
        note(f"Jobbergate answers: {answers}")
        if answers:
            life.hear(out=life.stage in {Stage.ENDED, Stage.RELEASED})
        else:
            life.not_heard()

    def work(self) -> None:
        life, random = self.life, self.random
        if life.record.not_before and random.random() < 0.8:
            life.now = max(life.now, life.record.not_before)
        step = life.next_step
        note(f"step: {step} at {life.stage}")
        match step:
            case None:
                return
            case Step.ADMIT | Step.SUBMIT:
                self._admit()
                if life.stage is Stage.ACCEPTED and random.random() < 0.8:  # or the operator is stopped in between
                    self._submit()
            case Step.FIND:
                self._find()
            case Step.LET_GO:
                life.let_go()
            case _:
                life.control(step, random.choice([None, UNREACHABLE, Refused(Reason.COMMAND_FAILED, "no")]))

    def _admit(self) -> None:
        accepted: AdmissionOutcome = admission(array=ARRAY if self.array else None, held=self.life.record.wishes.suspend)
        if self.follows:
            accepted = Followed("kirby", JOB)
        if self.life.record.submission_id and self.random.random() < 0.7:
            self.life.recognise()
        outcomes: list[AdmissionOutcome] = [accepted, REFUSED, UNREACHABLE]
        (outcome,) = self.random.choices(outcomes, weights=[8, 1, 2])
        self.was_refused |= outcome is REFUSED
        self.life.admit(outcome)

    def _submit(self) -> None:
        assert not self.may_have_been_sent, "sbatch is run again although nobody knows what came of the last time"
        assert not self.life.record.wishes.cancel
        assert not self.life.record.wishes.deleted
        self.may_have_been_sent = True
        self.life.send()
        outcome = self.cluster.sbatch(self.random)
        note(f"sbatch: {outcome}")
        assert self.cluster.jobs <= 1
        if self.random.random() < 0.2:
            self.restart()
            return
        if self.random.random() < 0.2:
            self.edit()  # while sbatch runs
        if isinstance(outcome, NotNow):
            self.may_have_been_sent = False
        self.was_refused |= isinstance(outcome, Refused)
        self.life.answer(outcome)

    def _find(self) -> None:
        outcome = self.cluster.look_up() if self.random.random() < 0.6 else UNCERTAIN
        note(f"found: {outcome}")
        if isinstance(outcome, NeverSent):
            self.may_have_been_sent = False
        self.was_refused |= isinstance(outcome, Refused)
        before = self.life.status.phase
        self.life.find(outcome)
        assert outcome is not UNCERTAIN or self.life.status.phase == before, "not knowing changed the phase"

    def look(self) -> None:
        """One round of the tracker."""
        life = self.life
        if life.stage is not Stage.KNOWN:
            return
        queue = self._rows()
        note(f"squeue: {queue}")
        alive = any(self._is_certainly_mine(task) and state(task.state).kind is not Kind.ENDED for task in self._mine(queue))
        life.queue(*queue)
        assert life.stage is Stage.KNOWN, "squeue alone ended a job"
        if not life.record.unread:
            return
        (accounting,) = self.random.choices(["answers", "is down", "is not kept"], weights=[6, 3, 1])
        note(f"accounting {accounting}")
        match accounting:
            case "answers":
                records = self._rows(settled=True)
                note(f"sacct: {records}")
                self._mine(records)
                life.account(*records)
            case "is down":
                life.account_fails()
            case _:
                left = [task for task in self._rows(settled=True) if task.state in {"COMPLETED", "FAILED"}]
                note(f"exit records: {left}")
                self._mine(left)
                life.no_accounting(*left)
        assert not (alive and life.stage is Stage.ENDED), "ended although squeue shows it alive"

    def _rows(self, *, settled: bool = False) -> list[Task]:
        random = self.random
        indexes = ["0", "1", "2", "3", "0-3", "1-2"] if self.array else [None] * 8 + ["+0", "+1"]
        rows = [
            row(
                random.choice(WORDS),
                random.choice(indexes),
                job_id=random.choice([JOB] * 9 + ["43"]),
                token=random.choice([TOKEN] * 7 + [OTHER_TOKEN] * 2 + [None]),
                user=random.choice(["kirby"] * 8 + [None, "mario"]),
                submit_time=random.choice([at(2), at(2), at(300), None]),
                restarts=random.choice([None, 0, 1]),
                reason=random.choice([None, "None", "Priority", "JobHeldUser", "BeginTime", "Dependency"]),
                exit_code=random.choice([0, 3]) if settled else None,
            )
            for _ in range(random.choice([0, 0, 1, 1, 1, 2, 5]))
        ]
        shown: dict[str | None, Task] = {}  # what is ours is shown once
        for task in rows:
            shown |= {each.index if self._is_mine(each) else f"foreign-{len(shown)}": each for each in each_task(task)}
        return list(shown.values())

    def _mine(self, shown: list[Task]) -> list[Task]:
        """Those that may be taken for ours; an end among them has been told."""
        mine = [task for task in shown if self._is_mine(task)]
        self.end_was_told |= any(state(task.state).kind is Kind.ENDED for task in mine)
        return mine

    def _is_mine(self, task: Task) -> bool:
        if self.follows:
            return task.job_id == JOB and task.user == "kirby"
        return task.job_id == JOB and task.user in {None, "kirby"} and task.token in {None, TOKEN}

    def _is_certainly_mine(self, task: Task) -> bool:
        slurm = self.life.status.slurm
        if self.follows:
            return bool(slurm and slurm.submit_time and task.submit_time == slurm.submit_time)
        return task.token is not None

    # What always holds

    def check(self) -> None:
        self._steps_have_what_they_need()
        self._the_job_id_stays()
        self._the_end_has_a_cause_and_stays()
        self._nothing_is_to_be_done_before_it_wakes()
        for status in self.life.writes[self.checked :]:
            check_status(status)
        self.checked = len(self.life.writes)
        if not self.life.record.over:
            assert self.life.status.observed_generation == self.life.record.generation

    def _steps_have_what_they_need(self) -> None:
        record, step = self.life.record, self.life.next_step
        if step in CONTROL:
            assert record.job_id
        if step in CONTROL | {Step.SUBMIT, Step.FIND}:
            assert record.user
        if record.stage in {Stage.ENDED, Stage.RELEASED}:
            assert step in {None, Step.TIDY, Step.LET_GO}
        if self.follows:
            assert step not in {Step.SUBMIT, Step.FIND, Step.DISOWN, Step.TIDY}
        if record.stage is Stage.ENDED and record.unheard and step is not None:
            assert step is Step.LET_GO
            assert record.deletion_seen
            assert self.life.now - record.deletion_seen >= DELETION_DEADLINE

    def _the_job_id_stays(self) -> None:
        found = self.life.record.job_id
        assert self.job_id in {None, found}
        assert found is None or self.cluster.jobs == 1
        self.job_id = found

    def _the_end_has_a_cause_and_stays(self) -> None:
        phase, slurm = self.life.status.phase, self.life.status.slurm
        assert self.ended in {None, phase}
        self.was_shown |= bool(slurm and slurm.state)
        if phase is None or not phase.ended or self.ended:
            return
        self.ended = phase
        wishes = self.life.record.wishes
        match phase:
            case Phase.REJECTED if self.follows and self.job_id:
                assert not self.was_shown
            case Phase.REJECTED:
                assert self.was_refused
            case Phase.CANCELLED if self.job_id is None and self.follows:
                assert wishes.deleted
                assert not self.life.record.finalized
            case Phase.CANCELLED if self.job_id is None:
                assert not self.may_have_been_sent
                assert wishes.cancel or wishes.deleted
            case _:
                assert self.end_was_told, "ended without a terminal row of its own job"

    def _nothing_is_to_be_done_before_it_wakes(self) -> None:
        record, now = self.life.record, self.life.now
        wake = steps.wake_at(record, now)
        if self.life.next_step is None:
            for seconds in (1, 29, 31, 119, 151, 599, 601, 100_000):
                later = now + timedelta(seconds=seconds)
                if wake is None or later < wake:
                    assert steps.next_step(record, later, jobbergate=True) is None

    # How it ends

    def end(self, *, cluster_answers: bool) -> None:
        """Whatever has happened: a deletion comes to its end in time."""
        life = copy.copy(self.life)
        life.events, life.writes = list(life.events), list(life.writes)
        if not life.record.wishes.deleted and not life.record.over:
            life.delete()
        began = life.now
        while not life.record.over:
            before = life.record
            self._take_the_next_step(life, answers=cluster_answers)
            if cluster_answers and life.stage is Stage.KNOWN and life.record.cancelled:
                index = ARRAY if self.array else None
                life.queue(row("CANCELLED", index)).account(record_of("CANCELLED", index))
            if life.record == before:
                wake = steps.wake_at(life.record, life.now)
                assert wake, "nothing to do, and nothing to wait for"
                life.now = wake
            assert life.record.deletion_seen
            assert life.now <= max(began, life.record.deletion_seen + DELETION_DEADLINE)

    def _take_the_next_step(self, life: Life, *, answers: bool) -> None:
        match step := life.next_step:
            case None if life.stage is Stage.ENDED and answers:
                life.hear()
            case None if life.record.would_run_again:  # for that it waits whatever else is due
                life.told()
            case None:
                pass
            case Step.ADMIT if self.follows:
                life.admit(Followed("kirby", JOB) if answers else UNREACHABLE)
            case Step.ADMIT if life.record.submission_id and answers:
                life.recognise().admit()
            case Step.ADMIT if life.record.submission_id:
                life.admit(UNREACHABLE)
            case Step.FIND:
                life.find(self.cluster.look_up() if answers else UNCERTAIN)
            case Step.LET_GO:
                life.let_go()
            case Step.CANCEL | Step.HOLD | Step.RELEASE | Step.DISOWN | Step.TIDY:
                life.control(step, None if answers else UNREACHABLE)
            case _:
                raise AssertionError(f"{step} for something that is deleted")


def from_jobbergate(draft: Draft) -> Draft:
    """It is what Jobbergate says of its submission."""
    return draft.from_jobbergate(7).with_status(JobSubmissionStatus(jobbergate=JobbergateStatus(id=7, name="hello")))


def check_status(status: JobSubmissionStatus) -> None:
    wire = status.wire()
    assert refusal("JobSubmission", "status", wire) is None
    assert JobSubmissionStatus.model_validate(wire) == status
    said: dict[str, Any] = {condition.type: condition for condition in status.conditions}
    assert len(said) == len(status.conditions)
    assert {condition.observed_generation for condition in status.conditions} == {status.observed_generation}
    assert all(said[kind].status == "True" for kind in ("Reconciling", "Stalled", "Suspended") if kind in said)
    assert sum(kind in said for kind in ("Reconciling", "Stalled")) + (said["Ready"].status == "True") == 1
    failed, lost = said["Failed"].status == "True", said["Running"].status == "Unknown"
    assert "Stalled" in said if failed else "Stalled" not in said or lost
    assert not (said["Complete"].status == "True" and said["Failed"].status == "True")
    assert "Synced" in said or status.jobbergate is None
