"""Everything around one ClusterWorker: an API server with its watch, its users, a Slurm cluster, and time that flies."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from slurmgate.core.askers import Question, questions
from slurmgate.core.decision import Event
from slurmgate.core.outcomes import NotNow, Observation, Refused, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.engine.cluster import ClusterWorker
from slurmgate.engine.hooking import Hooks
from slurmgate.engine.ports import Existing, ReferenceProblem, Undelivered
from slurmgate.engine.site import Site
from slurmgate.plugins.api import Hook
from slurmgate.plugins.thread import PluginThread
from slurmgate.resources.base import FINALIZER
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import JobSubmissionStatus, Metadata
from slurmgate.telemetry.metrics import Metrics
from tests.unit.core.build import (
    TOKEN,
    Draft,
    at,
)
from tests.unit.engine.gates import Gates
from tests.unit.engine.slurm import FakeSlurm

CLUSTER = SlurmClusterSpec.model_validate(
    {
        "ssh": {"hosts": [{"host": "login1"}], "knownHosts": {"inline": "login1 ssh-ed25519 AAAA"}},
        "identity": {"mapping": {"configMap": "users"}},
        "limits": {"pollIntervalSeconds": 5, "idlePollIntervalSeconds": 5, "sweepIntervalSeconds": 86400},
    }
)
LAGS = [0.001, 0.05, 3.0]
"""How long a change is on its way to the operator: less than the answer to a write of its own, a little more, much more."""


def now() -> datetime:
    return at(asyncio.get_running_loop().time())


class FakeSite:
    """A cluster that is configured."""

    def __init__(self, slurm: FakeSlurm) -> None:
        self.name = "valhalla"
        self.spec = CLUSTER
        self.gateway = slurm
        self.keeps_accounting = True
        self.controller_down: NotNow | None = None
        self.users_by_owner = {"kirby@nintendo.example": "kirby", "mario@nintendo.example": "mario"}
        self.mapping_is_there = True
        self.strays: list[str] = []
        self.hides_jobs = False
        self.shut_out: set[str] = set()
        self.service_users: list[str] = []
        self.ill: list[Reason] = []

    @property
    def users(self) -> frozenset[str]:
        return frozenset(self.users_by_owner.values())

    async def user_of(self, owner: str) -> str | Refused | NotNow:
        if not self.mapping_is_there:
            return NotNow(Reason.MAPPING_NOT_LOADED, "it is still being read")
        return self.users_by_owner.get(owner) or Refused(Reason.USER_NOT_MAPPED, f"spec.owner: {owner} has no entry")

    def spec_for(self, owner: str) -> SlurmClusterSpec:
        return self.spec

    def questions(self, users: Collection[str]) -> list[Question]:
        return questions(users, service_user=None, hides_jobs=self.hides_jobs, shut_out=self.shut_out)

    def agents(self, user: str) -> tuple[str, ...]:
        return (user, *self.service_users)

    def note_strays(self, words: str) -> None:
        self.strays.append(words)

    def note(self, asker: str, answer: Observation) -> None:
        if isinstance(answer, Unavailable):
            self.ill.append(answer.reason)
            if answer.reason is Reason.AUTHENTICATION_FAILED:
                self.shut_out.add(asker)


class FakeReferences:
    """The namespace allows everybody at nintendo.example, and has a ConfigMap with a script."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self.owners: str | None = "*@nintendo.example"
        self.uids: dict[tuple[str, str], str] = {}
        self.over: set[str] = set()
        self.content: dict[str, bytes] = {"scripts/run.sh": b"#!/bin/sh\nhostname\n"}

    async def of_submission(self, kind: str, namespace: str, name: str, key: str, *, where: str) -> bytes:
        await self._gates.at("of_submission")
        try:
            return self.content[f"{name}/{key}"]
        except KeyError:
            raise ReferenceProblem(Reason.REFERENCE_NOT_FOUND, f"{where}: {kind} {name} has no key {key}") from None

    async def of_operator(self, kind: str, name: str, key: str) -> bytes:
        raise NotImplementedError(kind, name, key)

    async def installation(self) -> str:
        return "this-cluster"

    async def submission(self, namespace: str, name: str) -> Existing | None:
        uid = self.uids.get((namespace, name))
        return Existing(uid, over=uid in self.over) if uid else None

    async def namespace_annotation(self, namespace: str, annotation: str) -> str | None:
        await self._gates.at("namespace_annotation")
        return self.owners


@dataclass
class Stored:
    """One object in the API server."""

    draft: Draft
    statuses: list[dict[str, Any]] = field(default_factory=list)

    @property
    def finalizers(self) -> list[str]:
        return list(self.draft.metadata.get("finalizers", []))

    @property
    def status(self) -> JobSubmissionStatus:
        return JobSubmissionStatus.model_validate(self.draft.status or {})


class FakeApi:
    """The API server, and the engine's Outbox over it. Its watch tells the worker of every change, in order, a little later."""

    def __init__(self, gates: Gates) -> None:
        self.objects: dict[str, Stored] = {}
        self.gone: dict[str, Stored] = {}
        self.events: list[tuple[str, Event]] = []
        self.refused_clusters: list[tuple[str, str]] = []
        self.worker: ClusterWorker | None = None
        self.answers = True
        self.watch_lag = 0.05
        self._gates = gates
        self._version = 100
        self._wishes: dict[str, dict[str, Any]] = {}
        self._news: deque[tuple[ClusterWorker, Callable[[ClusterWorker], None]]] = deque()

    # People

    def create(self, draft: Draft) -> str:
        token = str(draft.metadata["uid"])
        self.objects[token] = Stored(draft)
        self._changed(token)
        return token

    def edit(self, token: str, change: Callable[[Draft], Draft]) -> None:
        if token in self.objects:
            self.objects[token].draft = change(self.objects[token].draft)
            self._changed(token)

    def delete(self, token: str) -> None:
        if token in self.objects and "deletionTimestamp" not in self.objects[token].draft.metadata:
            self.edit(token, lambda draft: draft.deleted(now()))
            self._collect(token)

    # Outbox

    def publish(self, record: Record, events: Sequence[Event]) -> None:
        self.events.extend((record.token, event) for event in events)
        if record.token not in self._wishes:
            asyncio.get_running_loop().call_later(0.01, self._flush, record.token)
        self._wishes[record.token] = record.status.wire()

    def refuse_cluster(self, metadata: Metadata, problem: str) -> None:
        self.refused_clusters.append((metadata.name, problem))

    async def fix(self, record: Record) -> bool:
        await self._gates.at("fix")
        self._must_answer()
        stored = self.objects.get(record.token)
        if stored is None or "deletionTimestamp" in stored.draft.metadata:
            return False
        if FINALIZER not in stored.finalizers:
            stored.draft = stored.draft.with_metadata(finalizers=[*stored.finalizers, FINALIZER])
            self._changed(record.token)
        await self._gates.at("fix: status")
        self._must_answer()
        self._write(record.token, record.status.wire())
        await self._gates.at("fix: answer")
        return record.token in self.objects

    async def let_go(self, record: Record) -> None:
        await self._gates.at("let_go")
        self._must_answer()
        self._write(record.token, record.status.wire())
        stored = self.objects.get(record.token)
        if stored is not None and FINALIZER in stored.finalizers:
            others = [name for name in stored.finalizers if name != FINALIZER]
            stored.draft = stored.draft.with_metadata(finalizers=others)
            self._changed(record.token)
            self._collect(record.token)
        await self._gates.at("let_go: answer")

    def forget(self, token: str) -> None:
        self._wishes.pop(token, None)

    def _must_answer(self) -> None:
        if not self.answers:
            raise Undelivered("the API server does not answer")

    # Inside

    def _flush(self, token: str) -> None:
        if not self.answers:
            asyncio.get_running_loop().call_later(1, self._flush, token)
        elif (wish := self._wishes.pop(token, None)) is not None:
            self._write(token, wish)

    def _write(self, token: str, status: dict[str, Any]) -> None:
        self._wishes.pop(token, None)
        stored = self.objects.get(token)
        if stored is None or stored.draft.status == status:
            return
        stored.draft = stored.draft.with_status(JobSubmissionStatus.model_validate(status))
        stored.statuses.append(status)
        self._changed(token)

    def _changed(self, token: str) -> None:
        self._version += 1
        stored = self.objects[token]
        stored.draft = stored.draft.with_metadata(resourceVersion=str(self._version))
        self._tell(lambda worker, draft=stored.draft: worker.receive(draft.build()))  # type: ignore[misc]

    def _collect(self, token: str) -> None:
        stored = self.objects[token]
        if "deletionTimestamp" in stored.draft.metadata and not stored.finalizers:
            self.gone[token] = self.objects.pop(token)
            self._tell(lambda worker: worker.forget(token))

    def _tell(self, say: Callable[[ClusterWorker], None]) -> None:
        if self.worker is not None:
            self._news.append((self.worker, say))
            asyncio.get_running_loop().call_later(self.watch_lag, self._tell_next)

    def _tell_next(self) -> None:
        worker, say = self._news.popleft()
        if worker is self.worker:
            say(worker)


class World:
    """One namespace, one cluster, one operator that can be killed and started again."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.slurm = FakeSlurm(self.gates)
        self.site = FakeSite(self.slurm)
        self.references = FakeReferences(self.gates)
        self.api = FakeApi(self.gates)
        self.metrics = Metrics(version="0")
        self.hooks: Sequence[PluginThread[Hook]] = ()
        self._task: asyncio.Task[None] | None = None

    @property
    def worker(self) -> ClusterWorker:
        assert self.api.worker is not None
        return self.api.worker

    @property
    def configured(self) -> Site:
        return cast("Site", self.site)

    def start(self) -> None:
        """A new operator: it lists what is there, then watches."""
        worker = ClusterWorker(
            "valhalla",
            outbox=self.api,
            references=self.references,
            objects=None,  # type: ignore[arg-type]
            hooks=Hooks(self.hooks),
            metrics=self.metrics,
            claimed=lambda token: self.worker.claims(token),
            clock=now,
        )
        self.api.worker = worker
        worker.configure(self.configured)
        self._task = asyncio.create_task(worker.run())
        for stored in self.api.objects.values():
            worker.receive(stored.draft.build())

    async def stop(self) -> None:
        """SIGTERM: what is under way is finished."""
        assert self._task is not None
        self.worker.stop()
        await self._task

    async def kill(self) -> None:
        """kill -9."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        self.api.worker = None
        self.api._wishes.clear()

    @property
    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def settle(self, *, seconds: float = 2000) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def object(self, token: str = TOKEN) -> Stored:
        return self.api.objects.get(token) or self.api.gone[token]
