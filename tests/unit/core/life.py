"""Whole lives of submissions in the hands of the state machine."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

from slurmgate.core import desired, following, hearing, lifecycle, steps
from slurmgate.core.decision import Decision, Event
from slurmgate.core.outcomes import (
    Admission,
    AdmissionOutcome,
    ControlOutcome,
    FindOutcome,
    Followed,
    Observation,
    SubmitOutcome,
    Submitted,
    Task,
    Unavailable,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage, Step
from slurmgate.resources.base import Condition
from slurmgate.resources.jobbergate import JobbergateStatus
from slurmgate.resources.submission import JobSubmission, JobSubmissionStatus
from tests.unit.core.build import JOB, NOW, SACCT_DOWN, Draft, admission, exit_records, sacct, squeue

LOST_AFTER = timedelta(minutes=10)


class Life:
    """One submission in the hands of the state machine; keeps what would be written to the API, as the engine does.

    `jobbergate`: its cluster has one.
    """

    def __init__(self, draft: Draft | None = None, *, now: datetime = NOW, jobbergate: bool = False) -> None:
        self.draft = draft or Draft()
        self.now = now
        self.jobbergate = jobbergate
        self.events: list[Event] = []
        self.writes: list[JobSubmissionStatus] = []
        self._record: Record | None = None
        self._apply(desired.first_seen(self.draft.build(), now))

    # Where it stands

    @property
    def record(self) -> Record:
        assert self._record is not None
        return self._record

    @property
    def status(self) -> JobSubmissionStatus:
        return self.record.status

    @property
    def stage(self) -> Stage:
        return self.record.stage

    @property
    def next_step(self) -> Step | None:
        return steps.next_step(self.record, self.now, jobbergate=self.jobbergate)

    def condition(self, kind: str) -> Condition | None:
        return next((each for each in self.status.conditions if each.type == kind), None)

    def shows(self) -> tuple[str | None, str | None, str]:
        """What `kubectl get jsub` shows: phase, Slurm's state, reason."""
        return shown(self.status)

    # What happens to it

    def wait(self, seconds: float) -> Self:
        self.now += timedelta(seconds=seconds)
        return self

    def edit(self, draft: Draft) -> Self:
        self.draft = draft
        return self._apply(desired.edited(self.record, self._as_it_stands(), self.now))

    def cancel(self) -> Self:
        return self.edit(self.draft.cancelled())

    def suspend(self, wish: bool = True) -> Self:  # noqa: FBT002 - reads as a word
        return self.edit(self.draft.suspended(wish))

    def delete(self) -> Self:
        return self.edit(self.draft.deleted(self.now))

    def orphan(self) -> Self:
        return self.edit(self.draft.orphaning())

    def restart(self) -> Self:
        """The operator starts again and knows only what was written."""
        self._record = None
        return self._apply(desired.first_seen(self._as_it_stands(), self.now))

    def admit(self, outcome: AdmissionOutcome | None = None) -> Self:
        outcome = outcome or admission()
        if isinstance(outcome, Admission | Followed):
            self.draft = self.draft.finalized()
        return self._apply(lifecycle.admitted(self.record, outcome, self.now))

    def send(self) -> Self:
        return self._apply(lifecycle.sending(self.record))

    def answer(self, outcome: SubmitOutcome | None = None) -> Self:
        """What came of sending it."""
        return self._apply(lifecycle.submitted(self.record, outcome or Submitted(JOB, directory="/home/kirby/w"), self.now))

    def submit(self, outcome: SubmitOutcome | None = None) -> Self:
        return self.send().answer(outcome)

    def find(self, outcome: FindOutcome) -> Self:
        return self._apply(lifecycle.found(self.record, outcome, self.now))

    def control(self, step: Step, outcome: ControlOutcome = None) -> Self:
        return self._apply(lifecycle.controlled(self.record, step, outcome, self.now))

    def let_go(self) -> Self:
        self.draft = self.draft.released()
        return self._apply(lifecycle.let_go(self.record))

    def recognise(self) -> Self:
        """It is the submission of Jobbergate that it says it is: found out while it is admitted."""
        self._record = hearing.recognised(self.record, JobbergateStatus(id=self.record.submission_id or 7))
        return self

    def told(self, word: str = "PENDING") -> Self:
        """Jobbergate has accepted a report."""
        return self._apply(hearing.told(self.record, word, self.now))

    def hear(self, *, out: bool = True, disagreement: str | None = None) -> Self:
        """There is nothing to tell Jobbergate; `out`: nor will there be. `disagreement`: what it has there is not so."""
        return self._apply(hearing.in_step(self.record, self.now, over=out, disagreement=disagreement))

    def not_heard(self, reason: Reason = Reason.JOBBERGATE_UNAVAILABLE, message: str = "no route to host") -> Self:
        """Jobbergate could not be told."""
        return self._apply(hearing.untold(self.record, reason, message, self.now))

    def queue(self, *rows: Task) -> Self:
        """Squeue answers with these rows."""
        return self._apply(following.queue_seen(self.record, squeue(*rows), self.now))

    def account(self, *rows: Task) -> Self:
        """Sacct answers with these rows, if it would be asked."""
        return self._observe(sacct(*rows))

    def account_fails(self, answer: Observation = SACCT_DOWN) -> Self:
        return self._observe(answer)

    def no_accounting(self, *left: Task) -> Self:
        """There is no accounting; the batch script left these exit records."""
        return self._without_accounting(exit_records(*left))

    def exit_records_unreadable(self) -> Self:
        return self._without_accounting(Unavailable(Reason.CLUSTER_UNREACHABLE, "no route to host"))

    def _without_accounting(self, exits: Observation) -> Self:
        if self.stage is Stage.KNOWN and self.record.unread:
            self._apply(following.without_accounting(self.record, exits, self.now, lost_after=LOST_AFTER))
        return self

    def known(self, *, array: str | None = None, held: bool = False) -> Self:
        """Through admission and sbatch."""
        return self.wait(1).admit(admission(array=array, held=held)).wait(1).submit()

    def _observe(self, answer: Observation) -> Self:
        if self.stage is Stage.KNOWN and self.record.unread:
            self._apply(following.accounting_seen(self.record, answer, self.now, lost_after=LOST_AFTER))
        return self

    def _apply(self, decision: Decision) -> Self:
        before, self._record = self._record, decision.record
        if (before is None and self._last_written != decision.record.status) or (
            before is not None and before.status != decision.record.status
        ):
            self.writes.append(decision.record.status)
        self.events.extend(decision.events)
        return self

    @property
    def _last_written(self) -> JobSubmissionStatus:
        return self.writes[-1] if self.writes else self.draft.build().status

    def _as_it_stands(self) -> JobSubmission:
        return self.draft.with_status(self._last_written).build()


def shown(status: JobSubmissionStatus) -> tuple[str | None, str | None, str]:
    (ready,) = (condition for condition in status.conditions if condition.type == "Ready")
    return status.phase, status.slurm.state if status.slurm else None, ready.reason


def told(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(event.type, event.reason) for event in events]
