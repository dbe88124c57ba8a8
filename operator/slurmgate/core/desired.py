"""What the resource says: what the person wants of a submission, and how far the written status proves that it has come."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from slurmgate.core.decision import Decision, end_unsent, rejected, restated, stand
from slurmgate.core.outcomes import Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage, Standing, Wishes
from slurmgate.core.tasks import remembered, remembered_requeue
from slurmgate.resources.base import ADOPT_ANNOTATION, FINALIZER
from slurmgate.resources.submission import DeletionPolicy, JobSubmission, JobSubmissionStatus, Metadata, ReadyWhen


def first_seen(submission: JobSubmission, now: datetime) -> Decision:
    """A submission that was just created, or that an operator before us has worked on."""
    status, standing = submission.status, _standing(submission.status)
    record = Record(
        namespace=submission.metadata.namespace or "",
        name=submission.metadata.name,
        token=submission.metadata.uid,
        cluster=submission.spec.cluster_ref.name,
        owner=submission.spec.owner,
        created=submission.metadata.creation_timestamp,
        generation=submission.metadata.generation,
        ready_when=submission.spec.ready_when,
        tidy=not submission.spec.write_submission_files and submission.spec.script.slurm_job_id is None,
        wishes=_wishes(submission),
        deletion_seen=now if submission.metadata.deletion_timestamp else None,
        stage=_stage(submission),
        standing=standing,
        status=status,
        finalizers=submission.metadata.finalizers,
        tasks=remembered(status.slurm),
        requeued=remembered_requeue(status.slurm),
        held=any(condition.type == "Suspended" and condition.status == "True" for condition in status.conditions),
        lost=standing.reason is Reason.LOST,
        untold=_said(status, "Synced", "False"),
        adopts=_adopts(submission),
        follows=submission.spec.script.slurm_job_id,
        submission_id=_submission_id(submission),
        registers=bool(submission.spec.jobbergate and submission.spec.jobbergate.registers),
    )
    if record.stage is Stage.PREPARING and not status.conditions:
        return end_unsent(stand(record, now, Reason.PREPARING, Reason.PREPARING.sentence), now)
    edited_meanwhile = status.observed_generation != record.generation
    return end_unsent(restated(record, now) if edited_meanwhile else Decision(record), now)


def edited(record: Record, submission: JobSubmission, now: datetime) -> Decision:
    """The submission was changed or deleted by somebody, or the API server echoes our own write."""
    finalizers = submission.metadata.finalizers
    after = replace(
        record,
        generation=submission.metadata.generation,
        ready_when=submission.spec.ready_when,
        wishes=_wishes(submission),
        deletion_seen=record.deletion_seen or (now if submission.metadata.deletion_timestamp else None),
        finalizers=finalizers,
        adopts=_adopts(submission) if record.stage is Stage.PREPARING else record.adopts,
    )
    if after.wishes == record.wishes and after.generation == record.generation:
        return Decision(after)
    if after.wishes != record.wishes:
        after = replace(after, tries=0, not_before=None)
    return end_unsent(restated(after, now), now)


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
    return rejected(record, now, refusal.reason, refusal.message)


def _wishes(submission: JobSubmission) -> Wishes:
    return Wishes(
        cancel=submission.spec.cancel,
        suspend=submission.spec.suspend,
        deleted=submission.metadata.deletion_timestamp is not None,
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


def _submission_id(submission: JobSubmission) -> int | None:
    return submission.spec.jobbergate.submission_id if submission.spec.jobbergate else None


def _adopts(submission: JobSubmission) -> str | None:
    """Whose job it takes over: what status says, for the annotation may have come later."""
    status = submission.status
    if status.user:
        return status.slurm.token if status.slurm else None
    if _submission_id(submission) is not None:  # what Jobbergate vouches for is its script, and no other job
        return None
    return submission.metadata.annotations.get(ADOPT_ANNOTATION)


def _standing(status: JobSubmissionStatus) -> Standing:
    return _said(status, "Ready") or Standing(Reason.PREPARING, "")


def _said(status: JobSubmissionStatus, kind: str, verdict: str | None = None) -> Standing | None:
    """What a condition says, if it stands there, with this verdict; None also for a reason of another version."""
    for condition in status.conditions:
        if condition.type == kind and verdict in {None, condition.status} and condition.reason in set(Reason):
            return Standing(Reason(condition.reason), condition.message)
    return None
