"""Conditions and phase of a submission, derived from where it stands."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record, Stage
from slurmgate.core.states import Kind, state
from slurmgate.resources.base import Condition
from slurmgate.resources.submission import Phase, ReadyWhen

Verdict = Literal["True", "False", "Unknown"]


def _verdict(value: bool | None) -> Verdict:
    return "Unknown" if value is None else ("True" if value else "False")


def set_conditions(
    previous: Iterable[Condition],
    wanted: Iterable[tuple[str, bool | None, Reason, str]],
    *,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """The wanted conditions (type, value, reason, message), keeping the transition time of those whose value stays."""
    before = {condition.type: condition for condition in previous}
    after = []
    for kind, value, reason, message in wanted:
        status = _verdict(value)
        old = before.get(kind)
        after.append(
            Condition(
                type=kind,
                status=status,
                reason=reason.value,
                message=message.encode(errors="replace").decode()[:4096],
                last_transition_time=old.last_transition_time if old and old.status == status else now.replace(microsecond=0),
                observed_generation=generation,
            )
        )
    return tuple(after)


def phase(record: Record) -> Phase:
    """The phase of a submission that has not ended; an ended one keeps the phase it ended with."""
    if record.status.phase and record.status.phase.ended:
        return record.status.phase
    return Phase.SUBMITTED if record.job_id else Phase.CREATED


def submission_conditions(record: Record, *, now: datetime) -> tuple[Condition, ...]:
    """All conditions of a submission.

    `Reconciling` and `Stalled` are there only while they are true, as kstatus expects of abnormal-true conditions.
    """
    reason, message = record.standing.reason, record.standing.message
    current = phase(record)
    failed = current in {Phase.ABORTED, Phase.REJECTED, Phase.CANCELLED}
    shown = record.status.slurm.state if record.status.slurm else None
    running = None if record.lost else shown is not None and state(shown).kind is Kind.RUNNING and not current.ended
    accepted = True if record.status.user else (False if current is Phase.REJECTED else None)
    submitted = True if record.job_id else (None if record.stage is Stage.UNKNOWN else False)
    reached = {
        ReadyWhen.SUBMITTED: submitted is True,
        ReadyWhen.RUNNING: running is True or current is Phase.DONE,
        ReadyWhen.COMPLETE: current is Phase.DONE,
    }[record.ready_when]
    ready = reached and not failed

    wanted: list[tuple[str, bool | None, Reason, str]] = [
        ("Accepted", accepted, Reason.ACCEPTED if accepted else reason, "" if accepted else message),
        ("Submitted", submitted, Reason.SUBMITTED if submitted else reason, "" if submitted else message),
        ("Running", running, reason, message),
        ("Complete", current is Phase.DONE, reason, message),
        ("Failed", failed, reason, message),
        ("Ready", ready, reason, message),
    ]
    if record.held:
        wanted.append(("Suspended", True, Reason.HELD, "Held as spec.suspend asks."))
    if failed or (record.lost and not ready):
        wanted.append(("Stalled", True, reason, message))
    elif not ready:
        wanted.append(("Reconciling", True, reason, message))
    if record.status.jobbergate or record.untold:
        untold = record.untold
        wanted.append(("Synced", untold is None, untold.reason if untold else Reason.SYNCED, untold.message if untold else ""))
    return set_conditions(record.status.conditions, wanted, generation=record.generation, now=now)
