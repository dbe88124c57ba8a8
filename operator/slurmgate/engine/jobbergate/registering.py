"""Tells Jobbergate of submissions that do not come from there, where they ask for it (spec.jobbergate.register).

Each is registered once, whoever tries again: a row with its name and its Slurm job is looked for before one is made.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from slurmgate.core.backoff import delay
from slurmgate.core.hearing import registered, untold
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.core.reporting import Status
from slurmgate.engine.jobbergate.objects import Objects
from slurmgate.engine.jobbergate.reporter import Amend
from slurmgate.http.errors import HttpError, UnreachableError
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.wire import Row
from slurmgate.resources.jobbergate import JobbergateStatus

SCRIPT_NAME = "job.sh"
MOST_AT_ONCE = 50
_MOST_ARGUMENTS = 50
_LONGEST_ARGUMENT = 255


@dataclass(eq=False)
class Registrar:
    """Over one connection to Jobbergate."""

    api: JobbergateApi
    objects: Objects
    client_id: str
    records: Callable[[], Iterable[Record]]
    """All submissions of the cluster."""
    amend: Amend
    clock: Callable[[], datetime]
    _not_before: dict[str, float] = field(default_factory=dict)
    """When those that could not be registered are tried again, by token and `time.monotonic`."""
    _tries: dict[str, int] = field(default_factory=dict)
    _scripts: dict[str, int] = field(default_factory=dict)
    """The job scripts that were made for them in Jobbergate."""

    def is_registering(self, row: Row) -> bool:
        """Whether the row's job is a submission of ours, which has only not heard yet that it is registered."""
        return any(record.registers and record.job_id == str(row.slurm_job_id) for record in self.records())

    async def register_some(self) -> None:
        """Register some of those that are not; of one that Jobbergate does not take, its condition says why."""
        now = time.monotonic()
        due = [record for record in self.records() if record.unregistered and now >= self._not_before.get(record.token, 0.0)]
        for record in due[:MOST_AT_ONCE]:
            await self._try(record)

    async def _try(self, record: Record) -> None:
        try:
            row = await self._register(record)
        except HttpError as error:
            tries = self._tries[record.token] = self._tries.get(record.token, 0) + 1
            self._not_before[record.token] = time.monotonic() + delay(tries, seed=record.token).total_seconds()
            reason = Reason.JOBBERGATE_UNAVAILABLE if isinstance(error, UnreachableError) else Reason.JOBBERGATE_REFUSED
            self.amend(record.token, partial(untold, reason=reason, message=error.message, now=self.clock()))
        else:
            for kept in (self._not_before, self._tries, self._scripts):
                kept.pop(record.token, None)
            origin = JobbergateStatus(id=row.id, name=row.name, job_script_id=row.job_script_id)
            self.amend(record.token, partial(registered, row=origin, now=self.clock()))

    async def _register(self, record: Record) -> Row:
        name, job_id = f"{record.namespace}/{record.name}", int(record.job_id or 0)
        if row := await self._found(record, name, job_id):
            return row
        if record.token not in self._scripts:  # of an earlier try: each makes another one
            script = await self.objects.script(record.namespace, record.name) or _placeholder(record)
            self._scripts[record.token] = await self.api.make_script(name, SCRIPT_NAME, script)
        return await self.api.register(
            name=name,
            slurm_job_id=job_id,
            execution_directory=record.status.working_directory,
            sbatch_arguments=_arguments(record),
            client_id=self.client_id,
            job_script_id=self._scripts[record.token],
        )

    async def _found(self, record: Record, name: str, job_id: int) -> Row | None:
        """The row of an earlier try. Slurm gives ids again: one that has ended is another job's, unless ours has, too."""
        over = record.status.phase is not None and record.status.phase.ended
        page = await self.api.rows(page=1, newest_first=True, slurm_job_id=job_id)
        mine = [row for row in page.items if (row.client_id, row.name, row.slurm_job_id) == (self.client_id, name, job_id)]
        return next((row for row in mine if over or row.status in {Status.SUBMITTED, Status.CANCELLED}), None)


def _arguments(record: Record) -> tuple[str, ...]:
    """As many as the API takes; they are to be read there, not to be used."""
    arguments = record.status.sbatch_arguments or ()
    return tuple(each for each in arguments if len(each) <= _LONGEST_ARGUMENT)[:_MOST_ARGUMENTS]


def _placeholder(record: Record) -> bytes:
    where = f"{record.status.working_directory}/{record.name}.sh"
    return f"#!/bin/sh\n# Submitted by Slurmgate. The script is {where} on the cluster.\n".encode()
