"""One worker per cluster: it holds the cluster's submissions and moves each of them on.

A step is the next thing to do for one submission (`core.steps`), and many are under way at once; the tracker asks the queue for
all submissions together, the canceller has many jobs cancelled at once, and the sweeper looks for jobs that nobody has. What
comes of it, what the person wants and what Slurm says become the next record (`core.lifecycle`, `core.desired`,
`core.following`); that is stored and handed to the outbox.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from slurmgate.core import desired, hearing, lifecycle, steps
from slurmgate.core.decision import Decision
from slurmgate.core.outcomes import (
    Absent,
    ControlOutcome,
    FindOutcome,
    NotNow,
    Refused,
    Staged,
    Submitted,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage, Step
from slurmgate.engine.admission import Admitted, admit
from slurmgate.engine.adopting import Adopted, Adoption
from slurmgate.engine.cancelling import Canceller
from slurmgate.engine.chronicle import Chronicle
from slurmgate.engine.hooking import Hooks
from slurmgate.engine.jobbergate.bridge import Bridge
from slurmgate.engine.jobbergate.objects import Objects
from slurmgate.engine.jobbergate.recognising import Recognised
from slurmgate.engine.owning import still_ours, untouched
from slurmgate.engine.ports import Outbox, References, Undelivered
from slurmgate.engine.site import Site
from slurmgate.engine.sweeping import Sweeper
from slurmgate.engine.tracking import Tracker
from slurmgate.engine.weight import LOOK_UP_WEIGHT, weight
from slurmgate.engine.workqueue import WorkQueue
from slurmgate.resources.submission import JobSubmission, JobSubmissionSpec, JobSubmissionStatus
from slurmgate.slurm.gateway import Package
from slurmgate.telemetry.logs import bind
from slurmgate.telemetry.metrics import Metrics

AT_WORK = 256
"""What is worked on at once weighs, for each cluster, as much as so many small submissions. All ask the API server first."""
AT_WORK_PER_OWNER = 32
"""Of one owner. A home or a start file that hangs keeps as much room occupied as its owner may have."""
PER_TURN = 16
"""Submissions of one owner that are begun one right after the other, and so reach the login node together."""
UNDELIVERED_SECONDS = 5.0
UNFORESEEN_SECONDS = 60.0

_log = logging.getLogger(__name__)


class ClusterWorker:
    """The submissions of one cluster. Exists as soon as a submission names the cluster, even before there is one."""

    def __init__(
        self,
        name: str,
        *,
        outbox: Outbox,
        references: References,
        objects: Objects,
        hooks: Hooks,
        metrics: Metrics,
        claimed: Callable[[str], bool],
        clock: Callable[[], datetime],
    ) -> None:
        self.name = name
        self._outbox = outbox
        self._references = references
        self._hooks = hooks
        self._chronicle = Chronicle(name, metrics)
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._specs: dict[str, JobSubmissionSpec] = {}
        self._queue = WorkQueue(
            self._owner_of, per_owner=AT_WORK_PER_OWNER, in_all=AT_WORK, per_turn=PER_TURN, weigh=self._weight_of
        )
        self._tracker = Tracker(self._known, self.claims, self._change, clock=clock)
        self._canceller = Canceller(self._change, clock=clock)
        self._sweeper = Sweeper(references, claimed=claimed, metrics=metrics)
        self._bridge = Bridge(
            lambda: self.records, self._records.get, self._amend, objects=objects, references=references, clock=clock
        )
        self._background: asyncio.TaskGroup | None = None
        self._syncing: set[asyncio.Task[None]] = set()
        self._site: Site | None = None
        self._opening = False
        self._adoption = Adoption(references, claimed)
        self._adopted = Adopted()

    @property
    def records(self) -> tuple[Record, ...]:
        """What the worker holds now."""
        return tuple(self._records.values())

    def residents(self) -> frozenset[tuple[str, str]]:
        """Owner and Slurm user of each submission that has one."""
        return frozenset((record.owner, record.user) for record in self._records.values() if record.status.user)

    def claims(self, token: str) -> bool:
        """Whether the job with this token is one of its submissions'."""
        return token in self._records or token in self._adopted

    @property
    def idle(self) -> bool:
        """Whether there is neither a cluster nor anybody who waits for one."""
        return self._site is None and not self._opening and not self._records

    def expect(self) -> None:
        """There is such a cluster, and what is known about it will be there in a moment: until then nothing is decided."""
        self._opening = self._site is None

    def configure(self, site: Site | None) -> None:
        """The cluster is described now, in another way, or not any more."""
        self._opening = False
        self._site = site
        self._tracker.site = self._canceller.site = self._sweeper.site = self._bridge.site = site
        self._keep_in_step()
        self.wake()

    def _keep_in_step(self) -> None:
        """Begin the sync with Jobbergate if there is one and it has not begun."""
        if self._bridge.hears and self._background and not self._syncing:
            task = self._background.create_task(self._bridge.run(), name=f"{self.name}-jobbergate")
            self._syncing.add(task)
            task.add_done_callback(self._syncing.discard)

    def wake(self) -> None:
        """Something that submissions may wait for has changed: look at all of them again."""
        for token, record in tuple(self._records.items()):
            if record.not_before is not None:
                self._records[token] = replace(record, not_before=None)
            self._queue.add(token)

    def receive(self, submission: JobSubmission) -> None:
        """The submission was created, changed or deleted by somebody, or is listed after a start."""
        token = submission.metadata.uid
        known = self._records.get(token)
        if known is not None and known.over and desired.is_over(submission):
            self.forget(token)  # the API server has the end: nothing older can come any more
            known = None
        if known is None:
            decision = desired.first_seen(submission, self._clock())
            if decision.record.over and decision.record.status == submission.status:
                return
        else:
            decision = desired.edited(known, submission, self._clock())
        if decision.record.stage in {Stage.PREPARING, Stage.ACCEPTED, Stage.UNKNOWN}:
            self._specs[token] = submission.spec
        if decision.record != known:
            self._apply(decision, shown=submission.status)

    def forget(self, token: str) -> None:
        """The object is gone, or over and done with."""
        self._outbox.forget(token)
        gone = self._records.pop(token, None)
        self._adopted.count(gone, None)
        self._specs.pop(token, None)
        if gone is not None:
            self._chronicle.gone(gone)
            self._bridge.gone(gone)

    async def run(self) -> None:
        """Work until stopped. A step that is cut short leaves its submission to be looked up, not lost."""
        async with asyncio.TaskGroup() as tasks:
            self._background = tasks
            self._keep_in_step()
            watching = [
                tasks.create_task(self._tracker.run(), name=f"{self.name}-tracker"),
                tasks.create_task(self._canceller.run(), name=f"{self.name}-canceller"),
                tasks.create_task(self._sweeper.run(), name=f"{self.name}-sweeper"),
                tasks.create_task(self._hooks.run(), name=f"{self.name}-hooks"),
            ]
            async with asyncio.TaskGroup() as steppers:
                while (token := await self._queue.get()) is not None:
                    steppers.create_task(self._step(token), name=f"{self.name}-step-{token}")
            self._background = None
            for task in (*watching, *self._syncing):
                task.cancel()

    def stop(self) -> None:
        """Begin no further step; `run` returns when those under way are done."""
        self._queue.close()

    # One step of one submission ----------------------------------------------------------------------------------

    async def _step(self, token: str) -> None:
        try:
            record = self._records.get(token)
            if record is not None:
                with bind(submission=f"{record.namespace}/{record.name}", cluster=self.name, token=token):
                    await self._advance(record)
        except Undelivered as error:
            _log.warning("Kubernetes could not be told: %s", error)
            self._queue.add_after(token, UNDELIVERED_SECONDS)
        except Exception:  # noqa: BLE001 - see below
            # One submission that trips over a mistake of ours must not stop its cluster. It is tried again, slowly.
            _log.exception("A step failed in a way nobody foresaw")
            if token in self._records:
                later = self._clock() + timedelta(seconds=UNFORESEEN_SECONDS)
                self._records[token] = replace(self._records[token], not_before=later)
                self._queue.add_after(token, UNFORESEEN_SECONDS)
        finally:
            self._queue.done(token)

    async def _advance(self, record: Record) -> None:
        now = self._clock()
        if self._opening:
            return  # `configure` has it looked at again
        step = steps.next_step(record, now, self._deletion_deadline, jobbergate=self._bridge.hears)
        if step is None:
            when = steps.wake_at(record, now, self._deletion_deadline)
            if when:
                self._queue.add_after(record.token, (when - now).total_seconds())
            return
        _log.debug("Next step: %s", step.name)
        match step:
            case Step.ADMIT | Step.SUBMIT:
                await self._admit(record)
            case Step.FIND:
                await self._find(record)
            case Step.CANCEL if self._site:
                self._canceller.add(record)
            case Step.CANCEL | Step.HOLD | Step.RELEASE | Step.DISOWN | Step.TIDY:
                await self._control(record, step)
            case Step.LET_GO:
                await self._let_go(record)
            case _:
                assert_never(step)

    async def _admit(self, record: Record) -> None:
        """Check and pack it, fix finalizer and user, and send it on in the same turn.

        What has to be sent again is admitted again: what was read for it may have changed, and so may who it belongs to.
        """
        origin = await self._recognise(record)
        vouched = origin.origin if isinstance(origin, Recognised) else None
        outcome = await self._pack(record, origin)
        result = outcome.admission if isinstance(outcome, Admitted) else outcome
        now = self._clock()  # once: the status would have to be written again for the time alone

        def decide(current: Record) -> Decision:
            current = hearing.recognised(current, vouched)
            return lifecycle.admitted(replace(current, adopts=record.adopts), result, now)

        if not isinstance(outcome, Admitted):
            self._change(record.token, record.stage, decide)
            return
        tentative = decide(record).record
        fixed = record.finalized and tentative.status == record.status
        if (
            tentative.stage in {Stage.ACCEPTED, Stage.UNKNOWN, Stage.KNOWN}
            and not fixed
            and not await self._outbox.fix(tentative)
        ):
            self.forget(record.token)  # it is gone, or going
            return
        if self._change(record.token, record.stage, decide) and outcome.package:
            await self._send(self._records[record.token], outcome.package)

    async def _recognise(self, record: Record) -> Recognised | Refused | NotNow | None:
        """Whether it is the submission of Jobbergate that it says it is; None if it says no such thing."""
        spec = self._specs.get(record.token)
        if record.submission_id is None or spec is None:
            return None
        return await self._bridge.recognise(record, spec)

    async def _pack(self, record: Record, origin: Recognised | Refused | NotNow | None) -> Admitted | Refused | NotNow:
        spec = self._specs.get(record.token)
        if self._site is None or spec is None:
            return self._no_cluster
        if isinstance(origin, Refused | NotNow):
            return origin
        if record.adopts and (refusal := self._adoption.refusal(record.adopts)):
            return refusal
        return await admit(record, spec, self._site, self._references, hooks=self._hooks, origin=origin)

    @property
    def _no_cluster(self) -> NotNow:
        return NotNow(Reason.CLUSTER_NOT_FOUND, f"spec.clusterRef.name: there is no SlurmCluster {self.name!r}.")

    async def _send(self, record: Record, package: Package) -> None:
        """Stage it, then run sbatch, unless somebody has stopped it by then."""
        site, started = self._site, self._clock()
        if site is None or record.stage is not Stage.ACCEPTED:
            return
        staged = site.controller_down or await site.gateway.stage(record.user, package)
        if not isinstance(staged, Staged):
            refusal = staged
            self._change(record.token, Stage.ACCEPTED, lambda current: lifecycle.submitted(current, refusal, self._clock()))
            return
        if not self._change(record.token, Stage.ACCEPTED, lifecycle.sending):
            return
        outcome = await site.gateway.submit(record.user, record.token, staged.directory, staged.attempt)
        if isinstance(outcome, Submitted):
            outcome = replace(outcome, directory=staged.directory)
            self._chronicle.submitted_within((self._clock() - started).total_seconds())
        sent = outcome
        self._change(record.token, Stage.UNKNOWN, lambda current: lifecycle.submitted(current, sent, self._clock()))

    async def _find(self, record: Record) -> None:
        site = self._site
        outcome: FindOutcome
        if site is None:
            outcome = Uncertain(f"There is no SlurmCluster {self.name!r} to look the job up on.")
        elif down := site.controller_down:
            outcome = Uncertain(down.message)
        else:
            outcome = await site.gateway.find(record.user, record.job_token, record.status.working_directory or "")
            if record.adopts and isinstance(outcome, Submitted):
                outcome = await self._adoption.take_over(site, record, record.adopts, outcome)
        self._change(record.token, record.stage, lambda current: lifecycle.found(current, outcome, self._clock()))

    async def _control(self, record: Record, step: Step) -> None:
        outcome = await self._ask(record, step)
        self._change(record.token, record.stage, lambda current: lifecycle.controlled(current, step, outcome, self._clock()))

    async def _ask(self, record: Record, step: Step) -> ControlOutcome | Absent:
        site, directory = self._site, record.status.working_directory or ""
        if site is None:
            return self._no_cluster
        match step:
            case Step.HOLD | Step.RELEASE:
                return await self._ask_slurm(site, record, step)
            case Step.DISOWN:
                return await site.gateway.belong(record.user, record.job_token, directory, None)
            case _:
                return await site.gateway.tidy(record.user, record.job_token, directory)

    async def _ask_slurm(self, site: Site, record: Record, step: Step) -> ControlOutcome | Absent:
        agent, answers = await still_ours(site, record.user, [record])
        if outcome := untouched(answers[record.token]):
            return outcome
        ask = site.gateway.hold if step is Step.HOLD else site.gateway.release
        return await ask(agent, record.job_id or "")

    async def _let_go(self, record: Record) -> None:
        await self._outbox.let_go(record)
        decide = partial(lifecycle.let_go, deadline=self._deletion_deadline)
        left_behind = decide(record).events
        changed = self._change(record.token, record.stage, decide)
        if not changed and record.token not in self._records:
            self._outbox.publish(record, left_behind)  # the object was quicker to go
        if left_behind and record.wishes.end and (changed or record.token not in self._records):
            self._chronicle.left_behind()
        if record.wishes.deleted:
            self.forget(record.token)

    @property
    def _deletion_deadline(self) -> timedelta:
        if self._site is None:
            return steps.DELETION_DEADLINE
        return timedelta(seconds=self._site.spec.limits.deletion_deadline_seconds)

    # Records -----------------------------------------------------------------------------------------------------

    def _owner_of(self, token: str) -> str:
        record = self._records.get(token)
        return record.owner if record else ""

    def _weight_of(self, token: str) -> int:
        record, spec = self._records.get(token), self._specs.get(token)
        if record is not None and record.stage is Stage.UNKNOWN:
            return LOOK_UP_WEIGHT
        return weight(spec) if spec else 1

    def _known(self) -> list[Record]:
        return [record for record in self._records.values() if record.stage is Stage.KNOWN]

    def _change(self, token: str, expected: Stage, decide: Callable[[Record], Decision]) -> bool:
        """Give an outcome to the record as it is now. False: it has moved on meanwhile and the outcome is about the past."""
        current = self._records.get(token)
        if current is None or current.stage is not expected:
            return False
        self._apply(decide(current))
        return True

    def _amend(self, token: str, decide: Callable[[Record], Decision]) -> None:
        """Give something to the record that has nothing to do with how far it has come."""
        current = self._records.get(token)
        if current is not None and (decision := decide(current)).record != current:
            self._apply(decision)

    def _apply(self, decision: Decision, *, shown: JobSubmissionStatus | None = None) -> None:
        """Store the record, show what is new about it, and have it looked at again."""
        record, before = decision.record, self._records.get(decision.record.token)
        self._records[record.token] = record
        self._adopted.count(before, record)
        if before:
            shown = before.status
        self._chronicle.changed(before, decision, shown=shown)
        just_seen = before is None and record.standing.reason is Reason.PREPARING  # what follows at once is worth the write
        if (record.status != shown and not just_seen) or decision.events:
            self._outbox.publish(record, decision.events)
        if record.status != shown:
            self._tracker.hurry()
        if record.status != shown and self._site:
            self._hooks.tell(record)
        if record.stage not in {Stage.PREPARING, Stage.ACCEPTED, Stage.UNKNOWN}:
            self._specs.pop(record.token, None)
        self._bridge.changed(record)
        if not record.over:
            self._queue.add(record.token)
