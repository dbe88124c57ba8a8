"""Random histories: whatever people wish, clusters answer and operators forget, the guarantees hold."""

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from slurmgate.core import lifecycle
from slurmgate.core.lifecycle import DELETION_DEADLINE
from slurmgate.core.outcomes import NotNow, Refused, Submitted, Task, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage, Step
from slurmgate.core.states import STATES, Kind, state
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
    Life,
    admission,
    at,
    record_of,
    row,
)
from tests.unit.resources.schema import refusal

ARRAY = "0-3"
CONTROL = {Step.CANCEL, Step.HOLD, Step.RELEASE, Step.TIDY}

words = st.sampled_from([*STATES, "TELEPORTING", *["PENDING", "RUNNING", "COMPLETED", "FAILED"] * 4])
row_details = st.fixed_dictionaries(
    {
        "job_id": st.sampled_from([JOB] * 5 + ["43"]),
        "token": st.sampled_from([TOKEN, TOKEN, TOKEN, OTHER_TOKEN, None]),
        "user": st.sampled_from(["kirby"] * 4 + [None, "mario"]),
        "submit_time": st.sampled_from([at(2), at(2), at(300), None]),
        "restarts": st.sampled_from([None, 0, 1]),
        "reason": st.sampled_from([None, "None", "Priority", "JobHeldUser", "BeginTime", "Dependency"]),
        "exit_code": st.sampled_from([None, 0, 3]),
    }
)


def rows(*, array: bool) -> st.SearchStrategy[list[Task]]:
    indexes = st.sampled_from(["0", "1", "2", "3", "0-3", "1-2"] if array else [None, None, None, "+0", "+1"])
    one = st.builds(lambda word, index, details: row(word, index, **details), words, indexes, row_details)
    return st.lists(one, max_size=4)


class Cluster:
    """What is true on the far side. `job`: None while it cannot be known whether sbatch made one."""

    def __init__(self) -> None:
        self.jobs = 0
        self.refused = False

    def sbatch(self, happens: str) -> Submitted | Refused | NotNow | Uncertain:
        match happens:
            case "taken":
                self.jobs += 1
                return Submitted(JOB, directory="/home/kirby/w")
            case "taken, but the answer is lost":
                self.jobs += 1
                return UNCERTAIN
            case "refused":
                self.refused = True
                return REFUSED
            case "refused, but the answer is lost":
                self.refused = True
                return UNCERTAIN
            case "not run":
                return UNREACHABLE
            case _:
                return UNCERTAIN

    def look_up(self) -> Submitted | Refused | lifecycle.NeverSent:
        if self.jobs:
            return Submitted(JOB, directory="/home/kirby/w")
        return REFUSED if self.refused else NEVER_SENT


BEGUN = ["created", "cancelled", "accepted", "accepted", "submitted", "submitted"]
WISHES = ["cancel", "delete", "suspend", "resume", "Cancel", "Orphan", "echo", "echo", "echo", "Submitted", "Running", "Complete"]
SBATCH = [
    "taken",
    "taken, but the answer is lost",
    "refused",
    "refused, but the answer is lost",
    "not run",
    "not run, and nobody knows",
]


class Histories(RuleBasedStateMachine):
    life: Life
    array: bool

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.may_have_been_sent = False
        self.ends_told = False
        self.refused = False
        self.alive_in_queue = False
        self.ended: Phase | None = None
        self.job_id: str | None = None
        self.checked = 0

    @initialize(array=st.booleans(), tidy=st.booleans(), suspended=st.booleans(), begun=st.sampled_from(BEGUN))
    def create(self, *, array: bool, tidy: bool, suspended: bool, begun: str) -> None:
        draft = Draft().with_spec(writeSubmissionFiles=not tidy, suspend=suspended)
        if array:
            draft = draft.with_spec(array=ARRAY)
        self.array = array
        self.life = Life(draft.with_spec(cancel=True) if begun == "cancelled" else draft)
        if begun in {"accepted", "submitted"}:
            self.life.admit(admission(array=ARRAY if array else None, held=suspended))
        if begun == "submitted":
            self._submit("taken", crash=False)

    # What happens

    @rule(wish=st.sampled_from(WISHES))
    def somebody_edits(self, wish: str) -> None:
        life = self.life
        match wish:
            case "cancel":
                life.cancel()
            case "suspend" | "resume":
                life.suspend(wish == "suspend")
            case "Cancel" | "Orphan":
                life.edit(life.draft.edited(deletionPolicy=wish))
            case "delete":
                if life.record.wishes.deleted is None:
                    life.delete()
            case "echo":
                life.edit(life.draft.echoed())
            case _:
                life.edit(life.draft.edited(readyWhen=wish))

    @rule(seconds=st.sampled_from([1, 5, 30, 120, 700, 100_000]))
    def time_passes(self, seconds: float) -> None:
        self.life.wait(seconds)

    @rule()
    def the_operator_starts_again(self) -> None:
        self.alive_in_queue = False
        self.life.restart()

    @rule(data=st.data(), patiently=st.booleans())
    def the_operator_works(self, data: st.DataObject, *, patiently: bool) -> None:
        life = self.life
        if patiently and life.record.not_before:
            life.now = max(life.now, life.record.not_before)
        match step := life.next_step:
            case None:
                return
            case Step.ADMIT:
                accepted = admission(array=ARRAY if self.array else None, held=life.record.wishes.suspend)
                outcome = data.draw(st.sampled_from([accepted, accepted, REFUSED, UNREACHABLE]))
                self.refused |= outcome is REFUSED
                life.admit(outcome)
            case Step.SUBMIT:
                self._submit(data.draw(st.sampled_from(SBATCH)), crash=data.draw(st.booleans()))
            case Step.FIND:
                self._find(data.draw(st.booleans()))
            case Step.LET_GO:
                life.let_go()
            case _:
                life.control(step, data.draw(st.sampled_from([None, UNREACHABLE, Refused(Reason.COMMAND_FAILED, "no")])))

    @precondition(lambda self: self.life.stage is Stage.KNOWN)
    @rule(data=st.data(), accounting=st.sampled_from(["answers", "answers", "is down", "is not kept"]))
    def the_operator_looks(self, data: st.DataObject, accounting: str) -> None:
        self._squeue(data.draw(rows(array=self.array)))
        if not self.life.record.unread:
            return
        match accounting:
            case "answers":
                self._sacct(data.draw(rows(array=self.array)))
            case "is down":
                self.life.account_fails()
            case _:
                self.life.no_accounting()
        assert not (self.alive_in_queue and self.life.stage is Stage.ENDED), "ended although squeue shows it alive"

    def _submit(self, happens: str, *, crash: bool) -> None:
        assert not self.may_have_been_sent, "sbatch is run again although nobody knows what came of the last time"
        assert not self.life.record.wishes.cancel
        assert self.life.record.wishes.deleted is None
        self.may_have_been_sent = True
        self.life.send()
        outcome = self.cluster.sbatch(happens)
        assert self.cluster.jobs <= 1
        if crash:
            self.the_operator_starts_again()
            return
        if isinstance(outcome, NotNow):
            self.may_have_been_sent = False
        self.refused |= isinstance(outcome, Refused)
        self.life.answer(outcome)

    def _find(self, answers: bool) -> None:  # noqa: FBT001
        outcome = self.cluster.look_up() if answers else UNCERTAIN
        if outcome is NEVER_SENT:
            self.may_have_been_sent = False
        self.refused |= outcome is REFUSED
        before = self.life.status.phase
        self.life.find(outcome)
        assert answers or self.life.status.phase == before, "not knowing changed the phase"

    def _squeue(self, shown: list[Task]) -> None:
        mine = list(self._mine(shown))
        self.ends_told |= any(state(task.state).kind is Kind.ENDED for task in mine)
        self.alive_in_queue = any(task.token and state(task.state).kind is not Kind.ENDED for task in mine)
        self.life.queue(*shown)
        assert self.life.stage is Stage.KNOWN, "squeue alone ended a job"

    def _sacct(self, shown: list[Task]) -> None:
        self.ends_told |= any(state(task.state).kind is Kind.ENDED for task in self._mine(shown))
        self.life.account(*shown)

    def _mine(self, shown: list[Task]) -> Iterator[Task]:
        for task in shown:
            same = task.token == TOKEN or (task.token is None and (task.restarts or task.submit_time in {None, at(2), at(300)}))
            if task.job_id == JOB and task.user in {None, "kirby"} and same:
                yield task

    # What always holds

    @invariant()
    def steps_have_what_they_need(self) -> None:
        record, step = self.life.record, self.life.next_step
        if step in CONTROL:
            assert record.job_id
        if step in CONTROL | {Step.SUBMIT, Step.FIND}:
            assert record.user
        if record.stage in {Stage.ENDED, Stage.RELEASED}:
            assert step in {None, Step.TIDY, Step.LET_GO}
        if record.stage is Stage.RELEASED:
            assert record.over

    @invariant()
    def a_job_id_stays(self) -> None:
        found = self.life.record.job_id
        assert self.job_id in (None, found)
        assert found is None or self.cluster.jobs == 1
        self.job_id = found

    @invariant()
    def an_end_has_its_cause_and_stays(self) -> None:
        phase = self.life.status.phase
        assert self.ended in (None, phase)
        if phase is None or not phase.ended or self.ended:
            return
        self.ended = phase
        wishes = self.life.record.wishes
        match phase:
            case Phase.REJECTED:
                assert self.refused
            case Phase.CANCELLED if self.job_id is None:
                assert not self.may_have_been_sent
                assert wishes.cancel or wishes.deleted
            case _:
                assert self.ends_told, "ended without a terminal row of its own job"

    @invariant()
    def every_status_is_valid(self) -> None:
        for status in self.life.writes[self.checked :]:
            wire = status.wire()
            assert refusal("JobSubmission", "status", wire) is None
            assert JobSubmissionStatus.model_validate(wire) == status
            _check_conditions(status)
        self.checked = len(self.life.writes)

    @invariant()
    def the_status_speaks_of_the_present_generation(self) -> None:
        if not self.life.record.over:
            assert self.life.status.observed_generation == self.life.record.generation

    @invariant()
    def nothing_is_to_be_done_before_it_wakes(self) -> None:
        record, now = self.life.record, self.life.now
        wake = lifecycle.wake_at(record, now)
        if lifecycle.next_step(record, now) is None:
            for moment in (1, 29, 31, 119, 151, 599, 601, 100_000):
                later = now + timedelta(seconds=moment)
                if wake is None or later < wake:
                    assert lifecycle.next_step(record, later) is None

    # How it ends

    @override
    def teardown(self) -> None:
        if not hasattr(self, "life"):
            return
        for answers in (True, False):
            life = copy.copy(self.life)
            life.events, life.writes = list(life.events), list(life.writes)
            if life.record.wishes.deleted is None:
                life.delete()
            self._run_out(life, answers=answers)
            assert life.record.over, "a deletion that never ends"

    def _run_out(self, life: Life, *, answers: bool) -> None:
        asked = life.now
        while not life.record.over:
            before: Record = life.record
            step = life.next_step
            match step:
                case Step.FIND:
                    life.find(self.cluster.look_up() if answers else UNCERTAIN)
                case Step.LET_GO:
                    life.let_go()
                case Step.CANCEL | Step.HOLD | Step.RELEASE | Step.TIDY:
                    life.control(step, None if answers else UNREACHABLE)
                case None:
                    pass
                case _:
                    raise AssertionError(f"{step} for something that is deleted")
            if answers and life.stage is Stage.KNOWN and life.record.cancelled:
                index = ARRAY if self.array else None
                life.queue(row("CANCELLED", index)).account(record_of("CANCELLED", index))
            if life.record == before:
                wake = lifecycle.wake_at(life.record, life.now)
                assert wake, "nothing to do, and nothing to wait for"
                life.now = wake
            assert life.now <= max(asked, life.record.wishes.deleted or asked) + DELETION_DEADLINE


def _check_conditions(status: JobSubmissionStatus) -> None:
    said: dict[str, Any] = {condition.type: condition for condition in status.conditions}
    assert len(said) == len(status.conditions)
    assert {condition.observed_generation for condition in status.conditions} == {status.observed_generation}
    assert all(said[kind].status == "True" for kind in ("Reconciling", "Stalled", "Suspended") if kind in said)
    assert sum(kind in said for kind in ("Reconciling", "Stalled")) + (said["Ready"].status == "True") == 1
    assert (said["Failed"].status == "True") == ("Stalled" in said)
    assert not (said["Complete"].status == "True" and said["Failed"].status == "True")


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
