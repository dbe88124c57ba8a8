"""The life of one submission, as a pure state machine.

    PREPARING -> ACCEPTED <-> UNKNOWN -> KNOWN -> ENDED -> RELEASED
        adopting: `---------> UNKNOWN

Between ACCEPTED and KNOWN lies the only step that cannot be repeated. A submission is UNKNOWN from the moment sbatch may run,
and only an answer or a look-up leads out of there.

`core.steps` says what to do for a record. What came of it is taken here, what the person wants by `core.desired`, and what
Slurm says of the job by `core.following`; each answers with a `core.decision`: the next record and the events to post. The
status to show is part of the record. Nothing in these modules waits, asks or knows what time it is: `now` is handed in.
"""

import re
from dataclasses import replace
from datetime import datetime, timedelta

from slurmgate.core.arrays import count
from slurmgate.core.backoff import longest_delay
from slurmgate.core.decision import Decision, Event, again_later, end_unsent, later, rejected, stand
from slurmgate.core.outcomes import (
    Absent,
    Admission,
    AdmissionOutcome,
    ControlOutcome,
    FindOutcome,
    Followed,
    NeverSent,
    NotNow,
    Refused,
    SubmitOutcome,
    Submitted,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage, Standing, Step
from slurmgate.core.steps import DELETION_DEADLINE
from slurmgate.resources.base import ADOPT_ANNOTATION, FINALIZER
from slurmgate.resources.submission import ArrayStatus, SlurmStatus

ABSENT_PAUSE = timedelta(seconds=30)
"""Before a job that the queue does not have is looked for again, to hold it or to let it go."""
MAPPING_GRACE = timedelta(seconds=5)
"""How long the owner of a new submission may be missing in the mapping: both may have come with one `kubectl apply`."""
_PATTERN = re.compile(r"%(?P<width>[0-9]*)(?P<letter>[jA%])")


def admitted(record: Record, outcome: AdmissionOutcome, now: datetime) -> Decision:
    """The submission was checked. An Admission counts only once finalizer and status are written: see `Step.ADMIT`."""
    return end_unsent(_admitted(record, outcome, now), now)


def _admitted(record: Record, outcome: AdmissionOutcome, now: datetime) -> Decision:
    match outcome:
        case Refused(Reason.USER_NOT_MAPPED, message) if now - record.created < MAPPING_GRACE:
            return later(record, now, Reason.PREPARING, message)  # no alarm yet
        case Refused(reason, message):
            return rejected(record, now, reason, message)
        case NotNow(reason, message):
            return later(record, now, reason, message)
        case Followed():
            return _followed(record, outcome, now)
        case Admission():
            try:
                array = ArrayStatus(total=count(outcome.array)) if outcome.array else None
            except ValueError as error:
                return rejected(record, now, Reason.INVALID_SPEC, f"--array: {error}")
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
            return stand(
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


def _followed(record: Record, outcome: Followed, now: datetime) -> Decision:
    """Nothing is sent: it is as if Slurm had just been given the job, of which nothing is known yet."""
    status = record.status.model_copy(
        update={
            "user": outcome.user,
            "cluster": record.cluster,
            "slurm": SlurmStatus(job_id=outcome.job_id),  # its state is Slurm's to say
        }
    )
    message = f"Slurm job {outcome.job_id}, which {outcome.user} has submitted himself."
    return stand(
        record,
        now,
        Reason.SUBMITTED,
        message,
        stage=Stage.KNOWN,
        status=status,
        finalizers=record.finalizers if record.finalized else (*record.finalizers, FINALIZER),
        tries=0,
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
            return rejected(record, now, reason, message)
        case NotNow(reason, message):
            return end_unsent(later(replace(record, stage=Stage.ACCEPTED), now, reason, message), now)
        case Uncertain(message):
            return _unknown(record, message, now)


def found(record: Record, outcome: FindOutcome, now: datetime) -> Decision:
    """The token was looked up."""
    match outcome:
        case Submitted():
            return _known(record, outcome, now)
        case Refused(reason, message):
            return rejected(record, now, reason, message)
        case NeverSent() if record.adopts:
            message = f"metadata.annotations[{ADOPT_ANNOTATION}]: Slurm has no job of {record.user} with {record.adopts}"
            return rejected(record, now, Reason.INVALID_SPEC, message)
        case NeverSent():  # at once, but if that is lost again, the pause before the next look is longer
            return end_unsent(Decision(replace(record, stage=Stage.ACCEPTED, not_before=None)), now)
        case Uncertain(message):
            return _unknown(record, message, now)


def _unknown(record: Record, message: str, now: datetime) -> Decision:
    """The longest pause, not the next one: a status that is written for each look would say nothing more."""
    return later(record, now, Reason.SUBMISSION_UNKNOWN, f"{message}. Looked up again every {longest_delay()} s, or sooner.")


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
    return stand(
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


def controlled(record: Record, step: Step, outcome: ControlOutcome | Absent, now: datetime) -> Decision:
    """A cancel, hold, release or tidy was tried."""
    match outcome:
        case NotNow(reason, message) | Refused(reason, message):
            if step is Step.TIDY:  # leftovers in the person's own directory are no reason to keep the object
                return Decision(replace(record, tidy=False))
            if step is Step.CANCEL and record.lost:  # that nobody knows it is what has to be known
                return Decision(again_later(record, now))
            return later(record, now, reason, message)
        case Absent() if step is Step.CANCEL:
            return Decision(replace(record, cancelled=now))
        case Absent():
            return Decision(replace(record, not_before=now + ABSENT_PAUSE))
        case None:
            return _done(replace(record, tries=0, not_before=None), step, now)


def _done(done: Record, step: Step, now: datetime) -> Decision:
    match step:
        case Step.CANCEL if done.lost:  # scancel has nothing against jobs that nobody knows
            return Decision(replace(done, cancelled=now))
        case Step.CANCEL:
            return stand(done, now, Reason.CANCELLING, "Slurm was asked to cancel the job.", cancelled=now)
        case Step.HOLD:
            return stand(done, now, Reason.HELD, "Held as spec.suspend asks.", held=True)
        case Step.RELEASE:
            return stand(done, now, Reason.QUEUED, "Released as spec.suspend asks.", held=False)
        case Step.TIDY:
            return Decision(replace(done, tidy=False))
        case Step.DISOWN:
            return Decision(replace(done, disowned=True))
        case _:
            raise ValueError(f"{step} is no control step")


def let_go(record: Record, deadline: timedelta = DELETION_DEADLINE) -> Decision:
    """The finalizer was taken off. An event says so if a job may still run that should not."""
    released = replace(record, stage=Stage.RELEASED, finalizers=())
    left_to_itself = record.disowned or (record.follows and not record.wishes.end)
    no_job = record.stage is Stage.ENDED or (record.stage is Stage.PREPARING and not record.follows)
    if no_job or record.lost or left_to_itself or not record.wishes.deleted:
        return Decision(released)
    job_id = record.job_id or record.follows
    job = f"Slurm job {job_id}" if job_id else "a Slurm job of it, if there is one,"
    within = f"within {deadline.total_seconds():.0f} s"
    if record.wishes.end:
        failure = f"Could not cancel {job} {within}; it may still run."
    else:
        failure = f"The cluster could not be told {within} that {job} is left on purpose; it may be taken for a stray."
    return Decision(released, (Event("Warning", record.standing.reason, f"{failure} {record.standing.message}"),))
