"""Counts and times what clusters are asked, whichever way they are driven."""

import time
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import TypeVar

from slurmgate.core.outcomes import (
    ClusterFacts,
    ControlOutcome,
    FindOutcome,
    NotNow,
    Observation,
    Refused,
    StageOutcome,
    SubmitOutcome,
    Unavailable,
)
from slurmgate.core.strays import Origin
from slurmgate.slurm.gateway import Gateway, Package, Workplace
from slurmgate.slurm.login import Runner
from slurmgate.ssh.outcome import Cause, Outcome
from slurmgate.telemetry.metrics import Metrics

T = TypeVar("T")


class MeteredGateway:
    """A Gateway that passes everything on. The outcome counted is the name of the answer's type, `Done` for none."""

    def __init__(self, gateway: Gateway, *, cluster: str, metrics: Metrics) -> None:
        self._gateway = gateway
        self._cluster = cluster
        self._metrics = metrics

    async def describe(self, user: str) -> ClusterFacts | Unavailable:
        """See Gateway."""
        return await self._timed("describe", self._gateway.describe(user))

    async def read_script(self, user: str, path: str) -> bytes | Refused | NotNow:
        """See Gateway."""
        return await self._timed("read_script", self._gateway.read_script(user, path))

    async def stage(self, user: str, package: Package) -> StageOutcome:
        """See Gateway."""
        return await self._timed("stage", self._gateway.stage(user, package))

    async def submit(self, user: str, token: str, directory: str, attempt: int = 1) -> SubmitOutcome:
        """See Gateway."""
        return await self._timed("submit", self._gateway.submit(user, token, directory, attempt))

    async def find(self, user: str, token: str, directory: str) -> FindOutcome:
        """See Gateway."""
        return await self._timed("find", self._gateway.find(user, token, directory))

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        """See Gateway."""
        return await self._timed("observe", self._gateway.observe(user, users))

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        """See Gateway."""
        return await self._timed("account", self._gateway.account(user, job_ids))

    async def exits(self, user: str, jobs: Sequence[Workplace]) -> Observation:
        """See Gateway."""
        return await self._timed("exits", self._gateway.exits(user, jobs))

    async def workplaces(self, user: str, job_ids: Sequence[str]) -> Sequence[Workplace] | Unavailable:
        """See Gateway."""
        return await self._timed("workplaces", self._gateway.workplaces(user, job_ids))

    async def origins(self, user: str, jobs: Sequence[Workplace]) -> Mapping[str, Origin] | Unavailable:
        """See Gateway."""
        return await self._timed("origins", self._gateway.origins(user, jobs))

    async def belong(self, user: str, token: str, directory: str, origin: Origin | None) -> ControlOutcome:
        """See Gateway."""
        return await self._timed("belong", self._gateway.belong(user, token, directory, origin))

    async def cancel(self, user: str, job_ids: Sequence[str]) -> Mapping[str, NotNow | Refused]:
        """See Gateway."""
        return await self._timed("cancel", self._gateway.cancel(user, job_ids))

    async def hold(self, user: str, job_id: str) -> ControlOutcome:
        """See Gateway."""
        return await self._timed("hold", self._gateway.hold(user, job_id))

    async def release(self, user: str, job_id: str) -> ControlOutcome:
        """See Gateway."""
        return await self._timed("release", self._gateway.release(user, job_id))

    async def tidy(self, user: str, token: str, directory: str) -> ControlOutcome:
        """See Gateway."""
        return await self._timed("tidy", self._gateway.tidy(user, token, directory))

    async def _timed(self, call: str, asked: Awaitable[T]) -> T:
        began = time.monotonic()
        answer = await asked
        self._metrics.slurm_calls.labels(self._cluster, call, _outcome(answer)).inc()
        self._metrics.slurm_call_seconds.labels(self._cluster, call).observe(time.monotonic() - began)
        return answer


def _outcome(answer: object) -> str:
    """Of an answer about several jobs the first failure counts."""
    if isinstance(answer, Mapping):
        answer = next((each for each in answer.values() if isinstance(each, NotNow | Refused)), None)
    return "Done" if answer is None or isinstance(answer, Sequence) else type(answer).__name__


class MeteredRunner:
    """A Runner that passes everything on. The outcome counted is the name of its type."""

    def __init__(self, runner: Runner, *, cluster: str, metrics: Metrics) -> None:
        self._runner = runner
        self._cluster = cluster
        self._metrics = metrics

    async def run(self, user: str, argv: Sequence[str], *, stdin: bytes = b"", deadline: float, output_limit: int) -> Outcome:
        """See Runner."""
        outcome = await self._runner.run(user, argv, stdin=stdin, deadline=deadline, output_limit=output_limit)
        self._metrics.ssh_commands.labels(self._cluster, type(outcome).__name__).inc()
        return outcome


class ConnectionCounter:
    """Counts SSH connections: the ssh room's Observer."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def connected(self, cluster: str) -> None:
        """A connection is ready."""
        self._metrics.ssh_connections.labels(cluster).inc()
        self._metrics.ssh_connects.labels(cluster, "ok").inc()

    def disconnected(self, cluster: str) -> None:
        """A connection that was ready is gone."""
        self._metrics.ssh_connections.labels(cluster).dec()

    def connect_failed(self, cluster: str, cause: Cause) -> None:
        """No connection could be made."""
        self._metrics.ssh_connects.labels(cluster, cause.value).inc()
