"""A Slurm cluster behind the Gateway, with the real one's manners: jobs live by the loop's clock, accounting lags, ids go."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from slurmgate.core.outcomes import (
    ClusterFacts,
    ControlOutcome,
    FindOutcome,
    NeverSent,
    NotNow,
    Observation,
    Refused,
    Seen,
    Source,
    Staged,
    StageOutcome,
    SubmitOutcome,
    Submitted,
    Task,
    Unavailable,
    Uncertain,
)
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.slurm.gateway import Package, Workplace
from tests.unit.core.build import (
    REFUSED,
    SACCT_DOWN,
    SQUEUE_DOWN,
    UNCERTAIN,
    UNREACHABLE,
    at,
)
from tests.unit.engine.gates import Gates

LOCKED_OUT = Unavailable(Reason.AUTHENTICATION_FAILED, "login1 refuses the key")
WAITS, RUNS, MIN_JOB_AGE, LAG = 3.0, 100.0, 300.0, 2.0

Sbatch = Literal["answers", "answer is lost", "is not run", "refuses", "answer is lost, is not run"]


@dataclass
class Job:
    """One job in Slurm. Times are the loop's."""

    id: str
    user: str
    token: str
    submitted: float
    held: bool
    cancelled: float | None = None

    def state(self, now: float) -> str:
        if self.cancelled is not None and self.cancelled < self._end:
            return "CANCELLED" if now >= self.cancelled else self._plain(now)
        return self._plain(now)

    def ended(self, now: float) -> float | None:
        if self.cancelled is not None and self.cancelled < self._end:
            return self.cancelled
        return self._end if now >= self._end else None

    @property
    def _end(self) -> float:
        return self.submitted + WAITS + RUNS if not self.held else float("inf")

    def _plain(self, now: float) -> str:
        if self.held or now < self.submitted + WAITS:
            return "PENDING"
        return "RUNNING" if now < self._end else "COMPLETED"


class FakeSlurm:
    """The Gateway of one cluster. Every place in it is a gate: `stage`, `submit`, `sbatch` (inside submit), `find`, ..."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.jobs: list[Job] = []
        self.staged: dict[str, Package] = {}
        self.attempts: Counter[str] = Counter()
        """The last attempt that was begun, or that a look-up has closed."""
        self.begun: set[str] = set()
        self.refused: set[str] = set()
        self.sbatch: Sbatch = "answers"
        self.arrives_late = 0.0
        self.locked_out: set[str] = set()
        self.reachable = True
        self.accounting_answers = True
        self.tidied: list[str] = []
        self.written: dict[str, Origin] = {}
        """Which submission a token belongs to, as it is written down beside the marker."""

    def jobs_of(self, token: str) -> list[Job]:
        return [job for job in self.jobs if job.token == token]

    async def describe(self, user: str) -> ClusterFacts | Unavailable:
        raise NotImplementedError(user)

    async def read_script(self, user: str, path: str) -> bytes | Refused | NotNow:
        await self.gates.at("read_script")
        return b"#!/bin/sh\nhostname\n" if self.reachable else UNREACHABLE

    async def stage(self, user: str, package: Package) -> StageOutcome:
        await self.gates.at("stage")
        if not self.reachable:
            return UNREACHABLE
        self.staged[package.token] = package
        if origin := Origin.parse(package.origin):
            self.written[package.token] = origin
        return Staged("/home/kirby/w", self.attempts[package.token] + 1)

    async def submit(self, user: str, token: str, directory: str, attempt: int = 1) -> SubmitOutcome:
        if self.arrives_late:
            asyncio.get_running_loop().call_later(self.arrives_late, self._begin, user, token, attempt)
            await asyncio.sleep(self.arrives_late / 2)
            return UNCERTAIN
        await self.gates.at("submit")
        if not self.reachable or self.sbatch == "is not run":
            return UNREACHABLE
        if self.sbatch == "answer is lost, is not run":
            return UNCERTAIN
        if not self._begin(user, token, attempt):
            return Uncertain("sbatch has been run for this submission before")
        await self.gates.at("sbatch")
        await asyncio.sleep(1)
        if self.sbatch == "answer is lost":
            return UNCERTAIN
        return self._verdict(token)

    def _begin(self, user: str, token: str, attempt: int) -> bool:
        """What the marker decides: only the attempt that comes next, and only once."""
        if self.attempts[token] != attempt - 1:
            return False
        self.attempts[token] = attempt
        self.begun.add(token)
        asyncio.get_running_loop().call_later(0.5, self._run_sbatch, user, token)  # goes on, whoever hangs up
        return True

    def _run_sbatch(self, user: str, token: str) -> None:
        if self.sbatch == "refuses":
            self.refused.add(token)
            return
        held = "--hold" in self.staged[token].arguments
        self.jobs.append(Job(str(len(self.jobs) + 1), user, token, self._now, held))

    def _verdict(self, token: str) -> Submitted | Refused | Uncertain:
        if token in self.refused:
            return REFUSED
        jobs = self.jobs_of(token)
        return Submitted(jobs[0].id) if jobs else Uncertain("sbatch may still be under way")

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        await self.gates.at("find")
        if not self.reachable:
            return UNCERTAIN
        if token in self.begun:
            return self._verdict(token)
        self.attempts[token] += 1  # what is still on its way finds the door shut
        return NeverSent()

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        await self.gates.at("observe")
        if user in self.locked_out:
            return LOCKED_OUT
        if not self.reachable:
            return SQUEUE_DOWN
        return self._seen(Source.QUEUE, [job for job in self.jobs if self._age(job) < MIN_JOB_AGE])

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        await self.gates.at("account")
        if not self.reachable or not self.accounting_answers:
            return SACCT_DOWN
        return self._seen(Source.ACCOUNTING, [job for job in self.jobs if job.id in job_ids and self._age(job) >= LAG])

    async def exits(self, user: str, jobs: Sequence[Workplace]) -> Observation:
        await self.gates.at("exits")
        return Seen(Source.EXIT_RECORDS) if self.reachable else SQUEUE_DOWN

    async def workplaces(self, user: str, job_ids: Sequence[str]) -> Sequence[Workplace] | Unavailable:
        await self.gates.at("workplaces")
        if not self.reachable:
            return SQUEUE_DOWN
        return [
            Workplace(job.id, job.token, "/home/kirby/w", over=job.ended(self._now) is not None)
            for job in self.jobs
            if job.id in job_ids and job.user == user
        ]

    async def origins(self, user: str, jobs: Sequence[Workplace]) -> Mapping[str, Origin] | Unavailable:
        await self.gates.at("origins")
        if not self.reachable:
            return SQUEUE_DOWN
        return {job.job_id: self.written[job.token] for job in jobs if job.token in self.written}

    async def belong(self, user: str, token: str, directory: str, origin: Origin | None) -> ControlOutcome:
        await self.gates.at("belong")
        if not self.reachable:
            return UNREACHABLE
        self.written.pop(token, None)
        if origin:
            self.written[token] = origin
        return None

    async def cancel(self, user: str, job_ids: Sequence[str]) -> Mapping[str, NotNow | Refused]:
        await self.gates.at("cancel")
        if not self.reachable:
            return dict.fromkeys(job_ids, UNREACHABLE)
        for job in self.jobs:
            if job.id in job_ids and job.cancelled is None:
                job.cancelled = self._now
        return {}

    async def hold(self, user: str, job_id: str) -> ControlOutcome:
        return await self._set_held(job_id, held=True)

    async def release(self, user: str, job_id: str) -> ControlOutcome:
        return await self._set_held(job_id, held=False)

    async def _set_held(self, job_id: str, *, held: bool) -> ControlOutcome:
        await self.gates.at("hold" if held else "release")
        if not self.reachable:
            return UNREACHABLE
        for job in self.jobs:
            if job.id == job_id and job.state(self._now) == "PENDING":
                job.held, job.submitted = held, self._now
                return None
        return NotNow(Reason.COMMAND_FAILED, "Job is no longer pending execution")

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        await self.gates.at("tidy")
        self.tidied.append(token)
        return None

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _age(self, job: Job) -> float:
        ended = job.ended(self._now)
        return -1.0 if ended is None else self._now - ended

    def _seen(self, source: Source, jobs: list[Job]) -> Seen:
        return Seen(source, {job.id: (self._row(source, job),) for job in jobs})

    def _row(self, source: Source, job: Job) -> Task:
        state, ended = job.state(self._now), job.ended(self._now)
        task = Task(
            job_id=job.id,
            state=state,
            reason=("JobHeldUser" if job.held else "Priority") if state == "PENDING" else "None",
            user=job.user,
            token=job.token,
            submit_time=_moment(job.submitted),
            start_time=None if state == "PENDING" else _moment(job.submitted + WAITS),
            nodes=None if state == "PENDING" else "node1",
            restarts=0,
        )
        if source is Source.QUEUE or ended is None:
            return task
        return replace(task, exit_code=0, end_time=_moment(ended), elapsed_seconds=int(ended - job.submitted))


def _moment(seconds: float) -> datetime:
    return at(int(seconds))
