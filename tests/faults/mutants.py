"""Mistakes that an operator could make. One that makes them shows that the marker stops it, or that our tests notice."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from slurmgate.core import desired, following
from slurmgate.core.decision import Decision, Event
from slurmgate.core.outcomes import Seen, Task
from slurmgate.core.record import Record, Stage
from slurmgate.engine import outbox
from slurmgate.engine.outbox import KubernetesOutbox
from slurmgate.kube.deadman import Deadman
from slurmgate.kube.finalizers import add_finalizer
from slurmgate.kube.lease import Leadership
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.submission import JobSubmission
from slurmgate.slurm import remote

MARKED = "answer verdict=marked"
MARKING = "_words=$(mkdir"

_late: set[asyncio.Task[Any]] = set()


def trusting() -> None:
    """It believes that what has no job id was never sent."""
    proven = desired._stage

    def trusted(submission: JobSubmission) -> Stage:
        stage = proven(submission)
        return Stage.ACCEPTED if stage is Stage.UNKNOWN else stage

    desired._stage = trusted


def unfenced() -> None:
    """It does not notice that its time as leader is over."""

    async def holding(self: Leadership) -> None:  # noqa: ARG001 - it is a method
        await asyncio.Event().wait()

    Leadership.hold = holding  # type: ignore[method-assign]
    Deadman.put_off = lambda *_: None  # type: ignore[method-assign]


def unmarked() -> None:
    """It runs sbatch again whether or not the marker says that it was run."""
    original = remote.text
    remote.text = lambda name: original(name).replace(MARKED, ":").replace(MARKING, f"{MARKING} -p")  # type: ignore[assignment]


def despairing() -> None:
    """It believes that what squeue does not have has failed."""
    patient = following.queue_seen

    def despaired(record: Record, seen: Seen, now: datetime) -> Decision:
        if (record.job_id or "") in seen.tasks:
            return patient(record, seen, now)
        ending = Task(record.job_id or "", "FAILED", exit_code=1)
        return following._ended(replace(record, tasks=(ending,)), now)

    following.queue_seen = despaired


def careless() -> None:
    """It puts the finalizer on only when it has a job id."""
    publish = KubernetesOutbox.publish

    async def fixing(self: KubernetesOutbox, record: Record) -> bool:
        return await self._confirm(record)

    def publishing(self: KubernetesOutbox, record: Record, events: Sequence[Event]) -> None:
        publish(self, record, events)
        if record.job_id and record.stage is Stage.KNOWN and not record.wishes.deleted:
            target = outbox._target(record)
            others = [name for name in record.finalizers if name != FINALIZER]
            task = asyncio.get_running_loop().create_task(add_finalizer(self._api, target, FINALIZER, finalizers=others))
            _late.add(task)
            task.add_done_callback(_late.discard)

    KubernetesOutbox.fix = fixing  # type: ignore[method-assign]
    KubernetesOutbox.publish = publishing  # type: ignore[method-assign]
