"""What Jobbergate is told: by tables, and against a model of its API whatever happens."""

import json
from collections.abc import Callable
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from typing_extensions import override

from slurmgate.core import states
from slurmgate.core.outcomes import Followed
from slurmgate.core.reporting import (
    OnRecord,
    Report,
    Status,
    TellRejected,
    TellState,
    TellSubmitted,
    after,
    disagreement,
    due,
    heard,
    heard_out,
    unwanted,
)
from slurmgate.resources.submission import JobSubmissionStatus, Phase, SlurmStatus
from tests.unit.core import stories
from tests.unit.core.build import JOB, REFUSED, UNCERTAIN, UNREACHABLE, Draft, pending, record_of, row
from tests.unit.core.history import History, from_jobbergate
from tests.unit.core.jobbergate import ACCEPTED, OTHER_STATES, STATES, STATUSES, Api
from tests.unit.core.life import Life

CREATED, SUBMITTED, REJECTED, DONE, ABORTED, CANCELLED = Status


def ended(word: str) -> Life:
    return stories.ran().queue(row(word)).account(record_of(word, exit_code=0 if word == "COMPLETED" else 1))


def ended_unstarted() -> Life:
    return Life().known().queue(pending()).queue().account(record_of("CANCELLED", start_time=None))


def followed() -> Life:
    return Life(Draft().following()).admit(Followed("kirby", JOB))


def told(known: OnRecord, status: JobSubmissionStatus) -> list[str]:
    """What it is told until it is told nothing more, in words."""
    words = []
    while report := due(known, status):
        words.append(f"{type(report).__name__} {heard(report)}")
        known = after(known, report)
        assert len(words) < 5, "no end"
    return words


# Tables

ROWS: dict[str, tuple[OnRecord, Callable[[], Life], list[str]]] = {
    "waits, and nothing has been done": (OnRecord(CREATED), Life, []),
    "waits, and was accepted": (OnRecord(CREATED), lambda: Life().admit(), []),
    "waits, and nobody knows": (OnRecord(CREATED), lambda: Life().admit().submit(UNCERTAIN), []),
    "waits, and the cluster does not answer": (OnRecord(CREATED), lambda: Life().admit(UNREACHABLE), []),
    "waits, and was submitted": (OnRecord(CREATED), lambda: Life().known(), ["TellSubmitted PENDING"]),
    "waits, and runs": (OnRecord(CREATED), stories.ran, ["TellSubmitted RUNNING"]),
    "waits, and is done": (OnRecord(CREATED), stories.success, ["TellSubmitted RUNNING", "TellState COMPLETED"]),
    "waits, and ended without having run": (
        OnRecord(CREATED),
        ended_unstarted,
        ["TellSubmitted PENDING", "TellState CANCELLED"],
    ),
    "waits, and was refused": (OnRecord(CREATED), stories.rejected_by_sbatch, ["TellRejected REJECTED"]),
    "waits, and was cancelled here": (OnRecord(CREATED), stories.cancelled_before_it_was_sent, ["TellRejected REJECTED"]),
    "submitted, as is known": (OnRecord(SUBMITTED, 42, "PENDING"), lambda: Life().known(), []),
    "submitted, and runs": (OnRecord(SUBMITTED, 42, "PENDING"), stories.ran, ["TellState RUNNING"]),
    "runs, as is known": (OnRecord(SUBMITTED, 42, "RUNNING"), stories.ran, []),
    "runs, and another reason is no news": (
        OnRecord(SUBMITTED, 42, "PENDING"),
        lambda: Life().known().queue(pending("Resources")),
        [],
    ),
    "runs, and was requeued": (
        OnRecord(SUBMITTED, 42, "RUNNING"),
        lambda: stories.ran().queue(pending("BeginTime", restarts=1)),
        ["TellState PENDING"],
    ),
    "runs, and nobody has it any more": (
        OnRecord(SUBMITTED, 42, "RUNNING"),
        stories.accounting_is_down_and_the_job_was_purged_unseen,
        [],
    ),
    "runs, and is done": (OnRecord(SUBMITTED, 42, "RUNNING"), stories.success, ["TellState COMPLETED"]),
    "cancelled before it was sent": (OnRecord(CANCELLED), stories.cancelled_before_it_was_sent, ["TellState CANCELLED"]),
    "cancelled, and refused": (OnRecord(CANCELLED), stories.rejected_by_sbatch, ["TellState UNKNOWN"]),
    "cancelled, and nobody knows": (OnRecord(CANCELLED), lambda: Life().admit().submit(UNCERTAIN), []),
    "cancelled, and it turns out that it was sent": (OnRecord(CANCELLED), lambda: Life().known(), ["TellSubmitted PENDING"]),
    "cancelled, and it was over before anybody heard": (
        OnRecord(CANCELLED),
        lambda: ended("CANCELLED"),
        ["TellSubmitted RUNNING", "TellState CANCELLED"],
    ),
    "cancelled while it ran": (OnRecord(CANCELLED, 42, "RUNNING"), lambda: ended("CANCELLED"), ["TellState CANCELLED"]),
    "cancelled, and it was quicker": (OnRecord(CANCELLED, 42, "RUNNING"), stories.success, ["TellState COMPLETED"]),
    "submitted by its owner, and nobody has looked": (OnRecord(SUBMITTED, 42), followed, []),
    "submitted by its owner, and not yet admitted": (OnRecord(SUBMITTED, 42), lambda: Life(Draft().following()), []),
    "submitted by its owner, and runs": (
        OnRecord(SUBMITTED, 42),
        lambda: followed().queue(row("RUNNING")),
        ["TellState RUNNING"],
    ),
    "submitted by its owner, who may not": (
        OnRecord(SUBMITTED, 42),
        lambda: Life(Draft().following()).admit(REFUSED),
        ["TellState UNKNOWN"],
    ),
    "submitted by hand in Jobbergate alone": (OnRecord(SUBMITTED), lambda: Life().admit(), []),
    "submitted by hand in Jobbergate, and runs": (OnRecord(SUBMITTED), stories.ran, ["TellState RUNNING"]),
    "submitted by hand in Jobbergate, and refused": (
        OnRecord(SUBMITTED),
        stories.rejected_by_sbatch,
        ["TellState UNKNOWN"],
    ),
    "another job": (OnRecord(SUBMITTED, 7, "RUNNING"), stories.ran, []),
    "another job, and ours is over": (OnRecord(SUBMITTED, 7, "RUNNING"), stories.success, []),
    "another job, and it waits again": (OnRecord(CREATED, 7), stories.ran, ["TellSubmitted RUNNING"]),
    "done, and it runs": (OnRecord(DONE, 42, "RUNNING"), stories.ran, []),
    "rejected, and it runs": (OnRecord(REJECTED), stories.ran, []),
    "aborted, and it is done": (OnRecord(ABORTED, 42, "FAILED"), stories.success, []),
    "done, as is known": (OnRecord(DONE, 42, "COMPLETED"), stories.success, []),
}


@pytest.mark.parametrize(("known", "live", "words"), ROWS.values(), ids=ROWS.keys())
def test_what_is_told(known: OnRecord, live: Callable[[], Life], words: list[str]) -> None:
    assert told(known, live().status) == words


ENDS = {
    "COMPLETED": ["COMPLETED"],
    "CANCELLED": ["CANCELLED"],
    "FAILED": ["FAILED"],
    "TIMEOUT": ["TIMEOUT"],
    "NODE_FAIL": ["NODE_FAIL"],
    "BOOT_FAIL": ["BOOT_FAIL"],
    "PREEMPTED": ["PREEMPTED"],
    "DEADLINE": ["DEADLINE"],
    "OUT_OF_MEMORY": ["OUT_OF_MEMORY", "FAILED"],
    "REVOKED": ["REVOKED", "CANCELLED"],
}


def test_every_end_that_slurm_has_is_in_the_table() -> None:
    assert set(ENDS) == {word for word, each in states.STATES.items() if each.kind is states.Kind.ENDED}


@pytest.mark.parametrize(("word", "words"), ENDS.items())
def test_an_end_is_told_in_slurms_word_and_in_one_that_ends_it_there(word: str, words: list[str]) -> None:
    assert told(OnRecord(SUBMITTED, 42, "RUNNING"), ended(word).status) == [f"TellState {each}" for each in words]


LIVE = {
    "PENDING": "PENDING",
    "REQUEUED": "REQUEUED",
    "SPECIAL_EXIT": "PENDING",
    "EXPEDITING": "PENDING",
    "POWER_UP_NODE": "RUNNING",
    "SUSPENDED": "SUSPENDED",
    "LAUNCH_FAILED": "COMPLETING",
    "RECONFIG_FAIL": "COMPLETING",
    "UPDATE_DB": "COMPLETING",
    "COMPLETING": "COMPLETING",
    "TELEPORTING": "COMPLETING",
    "PREEMPTED": "REQUEUED",
    "NODE_FAIL": "REQUEUED",
    "OUT_OF_MEMORY": "REQUEUED",
}


@pytest.mark.parametrize(("word", "said"), LIVE.items())
def test_what_has_not_ended_is_told_in_a_word_that_ends_nothing_there(word: str, said: str) -> None:
    status = JobSubmissionStatus(phase=Phase.SUBMITTED, slurm=SlurmStatus(job_id=JOB, state=word))
    for known in (OnRecord(SUBMITTED, 42), OnRecord(CREATED)):
        report = due(known, status)
        assert report
        assert heard(report) == said


def test_a_report_says_why() -> None:
    report = due(OnRecord(SUBMITTED, 42, "RUNNING"), stories.exit_3().status)
    assert isinstance(report, TellState)
    assert report.reason == "JobFailed: Slurm: FAILED, exit code 3"
    report = due(OnRecord(CREATED), stories.rejected_by_sbatch().status)
    assert report == TellRejected("SubmitRejected: sbatch: error: invalid partition specified: nope")
    report = due(OnRecord(CREATED), Life().known().queue(pending("Resources")).status)
    assert isinstance(report, TellSubmitted)
    assert report.reason == "Resources"


def test_the_info_is_what_slurm_says_of_the_job() -> None:
    report = due(OnRecord(SUBMITTED, 42, "RUNNING"), stories.exit_3().status)
    assert isinstance(report, TellState)
    assert json.loads(report.info) == {
        "user": "kirby",
        "working_directory": "/home/kirby/w",
        "job_id": "42",
        "state": "FAILED",
        "exit_code": 3,
        "submit_time": "2026-11-22T12:00:02Z",
        "start_time": "2026-11-22T12:00:03Z",
        "end_time": "2026-11-22T12:00:13Z",
        "partition": "batch",
        "nodes": "node1",
        "stdout_path": "/home/kirby/w/slurm-42.out",
        "stderr_path": "/home/kirby/w/slurm-42.out",
    }


UNWANTED: dict[str, tuple[OnRecord, Callable[[], Life], bool]] = {
    "waits": (OnRecord(CREATED), Life, False),
    "cancelled before it was sent": (OnRecord(CANCELLED), Life, True),
    "cancelled while it runs": (OnRecord(CANCELLED, 42), stories.ran, True),
    "cancelled, and over": (OnRecord(CANCELLED, 42), stories.success, False),
    "its script is gone before it was sent": (OnRecord(REJECTED), Life, True),
    "its script is gone while nobody knows whether it was sent": (
        OnRecord(REJECTED),
        lambda: Life().admit().submit(UNCERTAIN),
        True,
    ),
    "its script is gone, and it runs": (OnRecord(REJECTED), stories.ran, True),
    "ended by hand before it was sent": (OnRecord(ABORTED), Life, True),
    "ended by hand while it runs": (OnRecord(ABORTED, 42), stories.ran, False),
    "ended by hand, and its job is not admitted yet": (OnRecord(DONE, 42), lambda: Life(Draft().following()), False),
}


@pytest.mark.parametrize(("known", "live", "wish"), UNWANTED.values(), ids=UNWANTED.keys())
def test_what_somebody_in_jobbergate_wants_to_stop(known: OnRecord, live: Callable[[], Life], *, wish: bool) -> None:
    assert unwanted(known, live().status) is wish


DISAGREEMENTS: dict[str, tuple[OnRecord, Callable[[], Life], str | None]] = {
    "it runs, and is done there": (OnRecord(DONE, 42), stories.ran, "Jobbergate has it as DONE"),
    "it runs, and is rejected there": (OnRecord(REJECTED), stories.ran, None),
    "it failed, and is done there": (OnRecord(DONE, 42), stories.exit_3, "Jobbergate has it as DONE"),
    "it is done, and is aborted there": (OnRecord(ABORTED, 42), stories.success, "Jobbergate has it as ABORTED"),
    "it failed after it was rejected there": (OnRecord(REJECTED), stories.exit_3, "Jobbergate has it as REJECTED"),
    "it failed": (OnRecord(ABORTED, 42), stories.exit_3, None),
    "it is done": (OnRecord(DONE, 42), stories.success, None),
    "it was refused": (OnRecord(REJECTED), stories.rejected_by_sbatch, None),
    "it was refused after it was cancelled": (OnRecord(ABORTED), stories.rejected_by_sbatch, None),
    "it was cancelled before it was sent": (OnRecord(REJECTED), stories.cancelled_before_it_was_sent, None),
    "it was cancelled while it ran": (OnRecord(ABORTED, 42), stories.cancelled_while_it_ran, None),
    "it is about to be stopped": (OnRecord(REJECTED), Life, None),
    "it has another job there": (OnRecord(SUBMITTED, 7), stories.ran, "Jobbergate has Slurm job 7 for it, and not 42."),
    "it has another job there, and is over": (OnRecord(SUBMITTED, 7), stories.success, "Jobbergate has Slurm job 7"),
    "it runs": (OnRecord(SUBMITTED, 42), stories.ran, None),
    "it waits there": (OnRecord(CREATED), stories.ran, None),
}


@pytest.mark.parametrize(("known", "live", "words"), DISAGREEMENTS.values(), ids=DISAGREEMENTS.keys())
def test_what_jobbergate_has_wrong_and_keeps(known: OnRecord, live: Callable[[], Life], words: str | None) -> None:
    said = disagreement(known, live().status)
    assert said == words if words is None else said and said.startswith(words)


# Against the model of the API


def settle(api: Api, status: JobSubmissionStatus) -> int:
    """Look and tell until there is nothing more to tell; how many reports that took. All are accepted, and as foreseen."""
    count = 0
    while report := due(api.row, status):
        foreseen = after(api.row, report)
        assert api.take(report) == ACCEPTED
        assert api.row == foreseen
        count += 1
        assert count <= MOST_REPORTS, "no end"
    return count


MOST_REPORTS = 3
"""Submitted, and an end that takes two."""


def truth(status: JobSubmissionStatus) -> set[str]:
    match status.phase:
        case Phase.DONE:
            return {"DONE"}
        case Phase.ABORTED:
            return {"ABORTED"}
        case Phase.CANCELLED | Phase.REJECTED:
            return {"ABORTED", "REJECTED"}
        case _:
            return {"CREATED", "SUBMITTED", "CANCELLED"}


def check_rest(api: Api, status: JobSubmissionStatus) -> None:
    """Nothing more is to be told: then the row says the truth, or somebody is told that it does not."""
    over, slurm = bool(status.phase and status.phase.ended), status.slurm
    assert heard_out(api.row, status) == over
    if not disagreement(api.row, status) and not unwanted(api.row, status):
        assert api.status in truth(status)
    if over or api.status not in {"SUBMITTED", "CANCELLED"} or not (slurm and slurm.job_id and slurm.state):
        return
    assert api.job_id == int(slurm.job_id) or (api.job_id is None and api.status == "SUBMITTED")
    assert api.state == slurm.state or slurm.state not in OTHER_STATES
    assert api.state
    assert states.state(api.state).kind is states.state(slurm.state).kind


STATUSES_HERE = [
    JobSubmissionStatus(phase=phase, slurm=SlurmStatus(job_id=job_id, state=word) if job_id or word else None)
    for phase, job_id, word in product([None, *Phase], [None, JOB], [None, *states.STATES, "TELEPORTING"])
]


@pytest.mark.parametrize("row_status", STATUSES)
def test_whatever_is_on_record_and_however_it_stands_it_is_told_and_comes_to_rest(row_status: str) -> None:
    for job_id, word, status in product([None, 42, 7], [None, *sorted(STATES)], STATUSES_HERE):
        api = Api(status=row_status, job_id=job_id)
        api.state = word
        settle(api, status)
        row, over = api.row, bool(status.phase and status.phase.ended)
        assert heard_out(row, status) == over
        assert row.status.ended or not over or disagreement(row, status)


def test_reports_are_what_the_model_takes() -> None:
    assert set(get_args(Report)) == {TellSubmitted, TellRejected, TellState}
    assert len(STATES) == 25


class Reported(History):
    """A history that Jobbergate is told of, by an operator whose looks may be stale and whose reports may be lost."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        cancels = self.random.random() < 0.8
        self.api = Api(cancels=cancels, status="SUBMITTED", job_id=42) if self.follows else Api(cancels=cancels)
        self.known = self.api.row
        self.forced = False

    @override
    def with_origin(self, draft: Draft) -> Draft:
        return from_jobbergate(draft)

    @override
    def hear(self) -> None:
        if heard_out(self.known, self.life.status):
            self.life.hear()

    @override
    def check(self) -> None:
        super().check()
        for _ in range(self.random.choice([0, 1, 1, 2, 3])):
            self._in_jobbergate()

    def _in_jobbergate(self) -> None:
        (happening,) = self.random.choices([self._look, self._tell, self._cancel, self._force], weights=[10, 10, 0.3, 0.2])
        happening()

    def _look(self) -> None:
        self.known = self.api.row
        if unwanted(self.known, self.life.status) and self.random.random() < 0.5:
            note("cancelled, as Jobbergate wants")
            self.life.cancel()

    def _tell(self) -> None:
        report = due(self.known, self.life.status)
        if report is None or self.random.random() < 0.2:  # the report is lost
            return
        as_looked_at = self.api.row == self.known
        code = self.api.take(report)
        note(f"told: {report} -> {code} {self.api.row}")
        assert code == ACCEPTED or not as_looked_at
        if code == ACCEPTED and self.random.random() < 0.7:  # or the answer is lost
            self.known = after(self.known, report)
            assert not as_looked_at or self.known == self.api.row

    def _cancel(self) -> None:
        self.random.choice([self.api.cancel, self.api.lose_its_script])()
        note(f"in Jobbergate: {self.api.row}")

    def _force(self) -> None:
        status = self.random.choice(STATUSES)
        if not self.api.cancels and (status == "CANCELLED" or (status == "SUBMITTED" and self.api.job_id is None)):
            return  # see TellState
        self.forced = True
        self.api.force(status)
        note(f"forced: {self.api.row}")

    def rest(self) -> None:
        """Nothing goes wrong any more."""
        status = self.life.status
        settle(self.api, status)
        note(f"at rest: {self.api.row}, {self.life.shows()}")
        check_rest(self.api, status)
        if not self.forced and self.api.status != "REJECTED":  # its script may be gone while it is sent
            assert disagreement(self.api.row, status) is None


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_whatever_happens_reports_are_accepted_and_in_the_end_jobbergate_knows(seed: int) -> None:
    live_through(seed)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_so_it_is_in_three_hundred_histories(seed: int) -> None:
    live_through(seed)


def live_through(seed: int) -> None:
    history = Reported(seed)
    history.play()
    history.rest()
