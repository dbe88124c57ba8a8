"""The life of one submission, as a pure state machine.

`next_step` says what to do for a record; each of the other functions takes what came of it, or what Slurm or the person said,
and answers with the next record and the events to post. The status to show is part of the record. Nothing here waits, asks
or knows what time it is: `now` is handed in.

    PREPARING -> ACCEPTED <-> UNKNOWN -> KNOWN -> ENDED -> RELEASED

Between ACCEPTED and KNOWN lies the only step that cannot be repeated. A submission is UNKNOWN from the moment sbatch may run,
and only an answer or a look-up leads out of there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from slurmgate.core.arrays import count
from slurmgate.core.backoff import delay
from slurmgate.core.conditions import phase, submission_conditions
from slurmgate.core.outcomes import (
    Admission,
    AdmissionOutcome,
    ControlOutcome,
    FindOutcome,
    NeverSent,
    NotNow,
    Refused,
    Seen,
    SubmitOutcome,
    Submitted,
    Task,
    Unavailable,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage, Standing, Step, Wishes
from slurmgate.core.states import Kind
from slurmgate.core.tracking import (
    live,
    merge,
    merge_ended,
    merge_exits,
    ours,
    remembered,
    settled,
    slurm_status,
    summarise,
    usage,
    waiting,
)
from slurmgate.resources.base import ADOPT_ANNOTATION, FINALIZER
from slurmgate.resources.cluster import Limits
from slurmgate.resources.submission import (
    ArrayStatus,
    DeletionPolicy,
    JobSubmission,
    JobSubmissionStatus,
    Metadata,
    Phase,
    ReadyWhen,
    SlurmStatus,
)

CANCEL_AGAIN_AFTER = timedelta(seconds=30)
DELETION_DEADLINE = timedelta(seconds=Limits().deletion_deadline_seconds)
"""How long a deleted submission may stay because its job cannot be cancelled, unless its cluster says otherwise."""
ESTIMATE_STAYS = timedelta(minutes=5)
"""How often it may be said at most that Slurm thinks a job will start at another time: it thinks anew every 30 s."""
MAPPING_GRACE = timedelta(seconds=5)
"""How long the owner of a new submission may be missing in the mapping: both may have come with one `kubectl apply`."""
ACCOUNTING_GRACE = timedelta(minutes=1)
"""How long the accounting record of a job that squeue shows as over is waited for."""

_PATTERN = re.compile(r"%(?P<width>[0-9]*)(?P<letter>[jA%])")
_QUIET = {
    Reason.PREPARING,
    Reason.ACCEPTED,
    Reason.SUBMITTING,
    Reason.QUEUED,
    Reason.QUEUED_PRIORITY,
    Reason.QUEUED_RESOURCES,
    Reason.QUEUED_LIMIT,
    Reason.COMPLETING,
}
_GOOD = {
    Reason.SUBMITTED,
    Reason.RUNNING,
    Reason.COMPLETED,
    Reason.CANCELLED,
    Reason.CANCELLING,
    Reason.HELD,
    Reason.DEPENDENCY,
}


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event to post about the submission."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The next record, and what to tell the person about the change."""

    record: Record
    events: tuple[Event, ...] = ()


# What the person says ------------------------------------------------------------------------------------------------


def first_seen(submission: JobSubmission, now: datetime) -> Decision:
    """A submission that was just created, or that an operator before us has worked on."""
    status = submission.status
    record = Record(
        namespace=submission.metadata.namespace or "",
        name=submission.metadata.name,
        token=submission.metadata.uid,
        cluster=submission.spec.cluster_ref.name,
        owner=submission.spec.owner,
        created=submission.metadata.creation_timestamp,
        generation=submission.metadata.generation,
        ready_when=submission.spec.ready_when,
        tidy=not submission.spec.write_submission_files,
        wishes=_wishes(submission),
        stage=_stage(submission),
        standing=_standing(status),
        status=status,
        finalizers=submission.metadata.finalizers,
        tasks=remembered(status.slurm),
        held=any(condition.type == "Suspended" and condition.status == "True" for condition in status.conditions),
        lost=_standing(status).reason is Reason.LOST,
        adopts=_adopts(submission),
    )
    if record.stage is Stage.PREPARING and not status.conditions:
        return _end_unsent(_stand(record, now, Reason.PREPARING, Reason.PREPARING.sentence), now)
    edited_meanwhile = status.observed_generation != record.generation
    return _end_unsent(_restated(record, now) if edited_meanwhile else Decision(record), now)


def edited(record: Record, submission: JobSubmission, now: datetime) -> Decision:
    """The submission was changed or deleted by somebody, or the API server echoes our own write."""
    finalizers = submission.metadata.finalizers
    after = replace(
        record,
        generation=submission.metadata.generation,
        ready_when=submission.spec.ready_when,
        wishes=_wishes(submission),
        finalizers=finalizers,
        adopts=_adopts(submission) if record.stage is Stage.PREPARING else record.adopts,
    )
    if after.wishes == record.wishes and after.generation == record.generation:
        return Decision(after)
    if after.wishes != record.wishes:
        after = replace(after, tries=0, not_before=None)
    return _end_unsent(_restated(after, now), now)


def is_over(submission: JobSubmission) -> bool:
    """Whether the resource itself says that nothing is left to do for it."""
    return _stage(submission) is Stage.RELEASED


def unreadable(metadata: Metadata, body: Mapping[str, Any], refusal: Refused, now: datetime) -> Decision | None:
    """A resource that passed the schema and still makes no sense is rejected. None if that was said already."""
    status = JobSubmissionStatus.model_validate(body.get("status") or {})
    if status.user or (status.phase and status.phase.ended):
        return None
    record = Record(
        namespace=metadata.namespace or "",
        name=metadata.name,
        token=metadata.uid,
        cluster="",
        owner="",
        created=metadata.creation_timestamp,
        generation=metadata.generation,
        ready_when=ReadyWhen.COMPLETE,
        tidy=False,
        wishes=Wishes(),
        stage=Stage.PREPARING,
        standing=Standing(Reason.PREPARING, ""),
        status=status,
        finalizers=metadata.finalizers,
    )
    return _rejected(record, now, refusal.reason, refusal.message)


def _wishes(submission: JobSubmission) -> Wishes:
    return Wishes(
        cancel=submission.spec.cancel,
        suspend=submission.spec.suspend,
        deleted=submission.metadata.deletion_timestamp,
        orphan=submission.spec.deletion_policy is DeletionPolicy.ORPHAN,
    )


def _stage(submission: JobSubmission) -> Stage:
    """The stage that the written status proves. A user without a job id may have been sent: it has to be looked up."""
    status = submission.status
    finalized = FINALIZER in submission.metadata.finalizers
    if status.phase and status.phase.ended:
        return Stage.ENDED if finalized else Stage.RELEASED
    if status.user is None:
        return Stage.PREPARING
    if submission.metadata.deletion_timestamp and not finalized:
        return Stage.RELEASED  # let go already; somebody else keeps the object
    return Stage.KNOWN if status.slurm and status.slurm.job_id else Stage.UNKNOWN


def _adopts(submission: JobSubmission) -> str | None:
    """Whose job it takes over: what status says, for the annotation may have come later."""
    status = submission.status
    if status.user:
        return status.slurm.token if status.slurm else None
    return submission.metadata.annotations.get(ADOPT_ANNOTATION)


def _standing(status: JobSubmissionStatus) -> Standing:
    for condition in status.conditions:
        if condition.type == "Ready" and condition.reason in set(Reason):
            return Standing(Reason(condition.reason), condition.message)
    return Standing(Reason.PREPARING, "")


# What to do next -----------------------------------------------------------------------------------------------------


def next_step(record: Record, now: datetime, deadline: timedelta = DELETION_DEADLINE) -> Step | None:
    """What has to be done for this record now; None if only time, Slurm or the person can move it.

    `deadline`: for how long after the deletion it is tried to cancel the job.
    """
    overdue = record.wishes.deleted is not None and now - record.wishes.deleted >= deadline
    if overdue and record.stage in {Stage.UNKNOWN, Stage.KNOWN}:
        return Step.LET_GO
    return None if record.not_before and now < record.not_before else _next_in_turn(record, now)


def _next_in_turn(record: Record, now: datetime) -> Step | None:
    match record.stage:
        case Stage.PREPARING:
            return Step.ADMIT
        case Stage.ACCEPTED:
            return Step.SUBMIT
        case Stage.UNKNOWN:
            return Step.FIND
        case Stage.KNOWN:
            return _next_for_known(record, now)
        case Stage.ENDED if record.finalized:
            return Step.TIDY if record.tidy and record.job_id else Step.LET_GO
        case Stage.ENDED | Stage.RELEASED:
            return None


def _next_for_known(record: Record, now: datetime) -> Step | None:
    wishes = record.wishes
    if wishes.deleted and wishes.orphan and not wishes.cancel:
        return Step.LET_GO if record.disowned else Step.DISOWN
    if wishes.end:
        return _next_for_unwanted(record, now)
    if wishes.suspend and not record.held and any(map(waiting, record.tasks)):
        return Step.HOLD
    if record.held and not wishes.suspend:
        return Step.RELEASE
    return None


def _next_for_unwanted(record: Record, now: datetime) -> Step | None:
    asked = record.cancelled
    if asked is None or (not record.lost and now - asked >= CANCEL_AGAIN_AFTER):
        return Step.CANCEL
    return Step.LET_GO if record.lost and record.wishes.deleted else None


def wake_at(record: Record, now: datetime, deadline: timedelta = DELETION_DEADLINE) -> datetime | None:
    """When `next_step` may say something else although nothing has happened."""
    times = []
    if record.not_before:
        times.append(record.not_before)
    if record.stage is Stage.KNOWN and record.wishes.end and record.cancelled and not record.lost:
        times.append(record.cancelled + CANCEL_AGAIN_AFTER)
    if record.stage in {Stage.KNOWN, Stage.UNKNOWN} and record.wishes.deleted:
        times.append(record.wishes.deleted + deadline)
    return min((time for time in times if time > now), default=None)


# What came of it -----------------------------------------------------------------------------------------------------


def admitted(record: Record, outcome: AdmissionOutcome, now: datetime) -> Decision:
    """The submission was checked. An Admission counts only once finalizer and status are written: see `Step.ADMIT`."""
    match outcome:
        case Refused(Reason.USER_NOT_MAPPED, message) if now - record.created < MAPPING_GRACE:
            return _later(record, now, Reason.PREPARING, message)  # no alarm yet
        case Refused(reason, message):
            return _rejected(record, now, reason, message)
        case NotNow(reason, message):
            return _later(record, now, reason, message)
        case Admission():
            try:
                array = ArrayStatus(total=count(outcome.array)) if outcome.array else None
            except ValueError as error:
                return _rejected(record, now, Reason.INVALID_SPEC, f"--array: {error}")
            status = record.status.model_copy(
                update={
                    "user": outcome.user,
                    "cluster": record.cluster,
                    "working_directory": outcome.directory,
                    "script_sha256": outcome.script_sha256,
                    "sbatch_arguments": outcome.arguments,
                    "launch": outcome.launch,
                    "slurm": SlurmStatus(
                        token=record.adopts,
                        stdout_path=outcome.stdout,
                        stderr_path=outcome.stderr,
                        array=array,
                    ),
                }
            )
            standing = Standing(Reason.SUBMITTING, f"Submitting as {outcome.user}.")
            if record.adopts:
                standing = Standing(Reason.ADOPTING, f"Looking for the job of {outcome.user} with {record.adopts}.")
            again = record.stage is Stage.ACCEPTED and record.tries > 0
            if again:  # why it could not be sent is still what has to be known, and pauses go on growing
                standing = record.standing
            return _stand(
                record,
                now,
                standing.reason,
                standing.message,
                stage=Stage.UNKNOWN if record.adopts else Stage.ACCEPTED,
                status=status,
                finalizers=record.finalizers if record.finalized else (*record.finalizers, FINALIZER),
                held=outcome.held,
                tries=record.tries if again else 0,
                not_before=None,
            )


def sending(record: Record) -> Decision:
    """Sbatch is about to be run. Whatever interrupts it now leaves the submission UNKNOWN."""
    return Decision(replace(record, stage=Stage.UNKNOWN))


def submitted(record: Record, outcome: SubmitOutcome, now: datetime) -> Decision:
    """Sbatch was run, or was not, or nobody knows."""
    match outcome:
        case Submitted():
            return _known(record, outcome, now)
        case Refused(reason, message):
            return _rejected(record, now, reason, message)
        case NotNow(reason, message):
            return _end_unsent(_later(replace(record, stage=Stage.ACCEPTED), now, reason, message), now)
        case Uncertain(message):
            return _later(record, now, Reason.SUBMISSION_UNKNOWN, message)


def found(record: Record, outcome: FindOutcome, now: datetime) -> Decision:
    """The token was looked up."""
    match outcome:
        case Submitted():
            return _known(record, outcome, now)
        case Refused(reason, message):
            return _rejected(record, now, reason, message)
        case NeverSent() if record.adopts:
            message = f"metadata.annotations[{ADOPT_ANNOTATION}]: Slurm has no job of {record.user} with {record.adopts}"
            return _rejected(record, now, Reason.INVALID_SPEC, message)
        case NeverSent():  # at once, but if that is lost again, the pause before the next look is longer
            return _end_unsent(Decision(replace(record, stage=Stage.ACCEPTED, not_before=None)), now)
        case Uncertain(message):
            return _later(record, now, Reason.SUBMISSION_UNKNOWN, message)


def _known(record: Record, outcome: Submitted, now: datetime) -> Decision:
    slurm = record.status.slurm or SlurmStatus()
    directory = outcome.directory or record.status.working_directory or ""
    status = record.status.model_copy(
        update={
            "working_directory": directory,
            "slurm": slurm.model_copy(
                update={
                    "job_id": outcome.job_id,
                    "state": "PENDING",
                    "stdout_path": _output(slurm.stdout_path, directory, outcome.job_id, slurm.array),
                    "stderr_path": _output(slurm.stderr_path, directory, outcome.job_id, slurm.array),
                    "array": slurm.array.model_copy(update={"pending": slurm.array.total}) if slurm.array else None,
                }
            ),
        }
    )
    message = f"Slurm job {outcome.job_id}." + (f" sbatch warned: {outcome.warning}" if outcome.warning else "")
    return _stand(
        record,
        now,
        Reason.SUBMITTED,
        message,
        stage=Stage.KNOWN,
        status=status,
        tries=0,
        not_before=None,
    )


def _output(pattern: str | None, directory: str, job_id: str, array: ArrayStatus | None) -> str | None:
    """The output path with what is known filled in (man sbatch, filename pattern); `%j` differs for each task of an array."""
    if pattern is None:
        return None

    def known(match: re.Match[str]) -> str:
        if match["letter"] == "%":
            return "%"
        return match[0] if match["letter"] == "j" and array else job_id.zfill(min(10, int(match["width"] or 0)))

    path = _PATTERN.sub(known, pattern)
    return path if path.startswith("/") else f"{directory}/{path}"


def controlled(record: Record, step: Step, outcome: ControlOutcome, now: datetime) -> Decision:
    """A cancel, hold, release or tidy was tried."""
    match outcome:
        case NotNow(reason, message) | Refused(reason, message):
            if step is Step.TIDY:  # leftovers in the person's own directory are no reason to keep the object
                return Decision(replace(record, tidy=False))
            return _later(record, now, reason, message)
        case None:
            return _done(replace(record, tries=0, not_before=None), step, now)


def _done(done: Record, step: Step, now: datetime) -> Decision:
    match step:
        case Step.CANCEL if done.lost:  # scancel has nothing against jobs that nobody knows
            return Decision(replace(done, cancelled=now))
        case Step.CANCEL:
            return _stand(done, now, Reason.CANCELLING, "Slurm was asked to cancel the job.", cancelled=now)
        case Step.HOLD:
            return _stand(done, now, Reason.HELD, "Held as spec.suspend asks.", held=True)
        case Step.RELEASE:
            return _stand(done, now, Reason.QUEUED, "Released as spec.suspend asks.", held=False)
        case Step.TIDY:
            return Decision(replace(done, tidy=False))
        case Step.DISOWN:
            return Decision(replace(done, disowned=True))
        case _:
            raise ValueError(f"{step} is no control step")


def let_go(record: Record, deadline: timedelta = DELETION_DEADLINE) -> Decision:
    """The finalizer was taken off. An event says so if a job may still run that should not."""
    released = replace(record, stage=Stage.RELEASED, finalizers=())
    if record.stage is Stage.ENDED or record.lost or record.disowned or not record.wishes.deleted:
        return Decision(released)
    job = f"Slurm job {record.job_id}" if record.job_id else "a Slurm job of it, if there is one,"
    within = f"within {deadline.total_seconds():.0f} s of the deletion"
    if record.wishes.end:
        failure = f"Could not cancel {job} {within}; it may still run."
    else:
        failure = f"The cluster could not be told {within} that {job} is left on purpose; it may be taken for a stray."
    return Decision(released, (Event("Warning", record.standing.reason, f"{failure} {record.standing.message}"),))


# What Slurm says -----------------------------------------------------------------------------------------------------


def queue_seen(record: Record, seen: Seen, now: datetime) -> Decision:
    """Squeue answered. Only for records in KNOWN."""
    rows = _ours(record, seen)
    tasks = merge(record.tasks if _is_array(record) or not rows else (), rows)
    in_queue = {task.index for task in rows if live(task)}
    # what was alive and is not listed any more has left the queue: accounting has to say how
    tasks = tuple(task for task in tasks if not live(task) or task.index in in_queue)
    marked = record.marked or any(task.token for task in rows)
    unread = len(in_queue) + sum(map(settled, tasks)) < _expected(record)
    after = replace(
        record,
        tasks=tasks,
        marked=marked,
        unread=unread,
        missing=None if in_queue else record.missing,
        lost=record.lost and not in_queue,
        left_queue=None if in_queue else (record.left_queue or now),
        held=record.held and (not in_queue or any(map(waiting, tasks))),
    )
    return _tracked(after, now) if in_queue else Decision(after)


def accounting_seen(record: Record, seen: Seen | Unavailable, now: datetime, *, lost_after: timedelta) -> Decision:
    """Sacct answered, or did not. Only for records in KNOWN whose `unread` is set, and right after squeue has answered."""
    if isinstance(seen, Seen):
        record = replace(record, tasks=merge_ended(record.tasks, _ours(record, seen)))
    alive = any(map(live, record.tasks))
    ended = [task for task in record.tasks if not live(task)]
    if not alive and len(ended) >= _expected(record):
        patient = record.left_queue is None or now - record.left_queue < ACCOUNTING_GRACE
        if all(map(settled, ended)) or not patient:
            return _ended(record, now)
    elif not alive and isinstance(seen, Seen):
        return _missing(record, now, lost_after, who="Neither squeue nor sacct has")
    elif not alive:
        return Decision(replace(record, missing=None))
    return _tracked(record, now) if alive else Decision(record)


def without_accounting(record: Record, exits: Seen | Unavailable, now: datetime, *, lost_after: timedelta) -> Decision:
    """The cluster keeps no accounting: squeue's own last word has to do, and what the batch script left. Right after squeue."""
    if isinstance(exits, Seen):
        record = replace(record, tasks=merge_exits(record.tasks, _ours(record, exits), cancelled=record.cancelled is not None))
    if any(map(live, record.tasks)):
        return _tracked(record, now)
    if record.tasks and len(record.tasks) >= _expected(record):
        return _ended(record, now)
    if isinstance(exits, Unavailable):
        return Decision(replace(record, missing=None))
    return _missing(record, now, lost_after, who="There is neither accounting nor an exit record, and squeue does not have")


def _missing(record: Record, now: datetime, lost_after: timedelta, *, who: str) -> Decision:
    """Everybody has answered and the job, or a part of it, is nowhere: for a moment that is usual."""
    since = record.missing or now
    if record.lost or now - since < lost_after:
        return Decision(replace(record, missing=since))
    what = f"{_expected(record) - len(record.tasks)} tasks of Slurm job" if _is_array(record) else "Slurm job"
    message = f"{who} {what} {record.job_id}, since {since:%Y-%m-%dT%H:%M:%SZ}. How it ended nobody knows; it is looked for on."
    return _stand(record, now, Reason.LOST, message, missing=since, lost=True)


def _ours(record: Record, seen: Seen) -> tuple[Task, ...]:
    rows = seen.tasks.get(record.job_id or "", ())
    slurm = record.status.slurm
    submitted_at = slurm.submit_time if slurm else None
    most = slurm.array.total if slurm and slurm.array else 1
    mine = ours(rows, token=record.job_token, user=record.user, submitted=submitted_at, marked=record.marked, most=most)
    if _is_array(record):  # for a moment slurmdbd knows an array as a job without tasks
        return tuple(task for task in mine if (task.index or "").isdigit())
    return mine


def _is_array(record: Record) -> bool:
    return bool(record.status.slurm and record.status.slurm.array)


def _expected(record: Record) -> int:
    slurm = record.status.slurm
    return slurm.array.total if slurm and slurm.array else max(1, len(record.tasks))


def _tracked(record: Record, now: datetime) -> Decision:
    """Show what Slurm says, if it says anything new: times alone are no reason to write."""
    before = record.status.slurm or SlurmStatus()
    after = slurm_status(before, record.tasks)
    summary = summarise(record.tasks)
    reason, message = summary.reason, summary.message
    if record.wishes.end and record.cancelled:
        reason, message = record.standing.reason, record.standing.message
    visible = ("state", "reason", "nodes", "restarts", "array")
    same = all(getattr(before, name) == getattr(after, name) for name in visible)
    just_submitted = summary.state.kind is Kind.WAITING and after.reason is None
    same = same and before.partition in {None, after.partition} and not _estimate_is_news(record, before, after, now)
    # while a control step does not get through, why it does not is what the person has to know
    if same and (reason is record.standing.reason or just_submitted or record.tries):
        return Decision(record)
    estimated = now if before.estimated_start_time != after.estimated_start_time else record.estimated
    return _stand(record, now, reason, message, estimated=estimated, status=record.status.model_copy(update={"slurm": after}))


def _estimate_is_news(record: Record, before: SlurmStatus, after: SlurmStatus, now: datetime) -> bool:
    """Whether Slurm thinks that it starts at quite another time than is shown, and that has not just been said."""
    old, new = before.estimated_start_time, after.estimated_start_time
    if old == new or (record.estimated is not None and now - record.estimated < ESTIMATE_STAYS):
        return False
    return old is None or new is None or abs(new - old) > max(timedelta(minutes=1), abs(old - now) / 10)


def _ended(record: Record, now: datetime) -> Decision:
    summary = summarise(record.tasks)
    status = record.status.model_copy(
        update={
            "phase": summary.state.phase,
            "slurm": slurm_status(record.status.slurm or SlurmStatus(), record.tasks),
            "usage": usage(record.tasks),
        }
    )
    return _stand(
        record,
        now,
        summary.reason,
        summary.message,
        stage=Stage.ENDED,
        status=status,
        held=False,
        lost=False,
        unread=False,
        tries=0,
        not_before=None,
    )


# The ways to stand ---------------------------------------------------------------------------------------------------


def _end_unsent(decision: Decision, now: datetime) -> Decision:
    """A submission that is not wanted any more and was certainly never sent simply ends."""
    record = decision.record
    unwanted = record.wishes.cancel or record.wishes.deleted is not None
    if record.stage not in {Stage.PREPARING, Stage.ACCEPTED} or not unwanted:
        return decision
    return _finished(record, now, Phase.CANCELLED, Reason.CANCELLED, "Cancelled before it was submitted.")


def _rejected(record: Record, now: datetime, reason: Reason, message: str) -> Decision:
    return _finished(record, now, Phase.REJECTED, reason, message)


def _finished(record: Record, now: datetime, phase: Phase, reason: Reason, message: str) -> Decision:
    status = record.status.model_copy(update={"phase": phase})
    return _stand(record, now, reason, message, stage=Stage.ENDED, status=status, tries=0, not_before=None)


def _later(record: Record, now: datetime, reason: Reason, message: str) -> Decision:
    tries = record.tries + 1
    not_before = now + delay(record.tries, seed=record.token)
    return _stand(record, now, reason, message, tries=tries, not_before=not_before)


def _stand(record: Record, now: datetime, reason: Reason, message: str, **changes: object) -> Decision:
    """The record with these changes, its status said anew, and an event if the reason is news worth one."""
    after = replace(record, standing=Standing(reason, message), **changes)  # type: ignore[arg-type]
    decision = _restated(after, now)
    if reason in _QUIET or reason is record.standing.reason:
        return decision
    kind: Literal["Normal", "Warning"] = "Normal" if reason in _GOOD else "Warning"
    return Decision(decision.record, (Event(kind, reason, message),))


def _restated(record: Record, now: datetime) -> Decision:
    status = record.status.model_copy(
        update={
            "phase": phase(record),
            "conditions": submission_conditions(record, now=now),
            "observed_generation": record.generation,
        }
    )
    return Decision(replace(record, status=status))
