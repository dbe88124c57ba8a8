"""One SlurmCluster as it is configured now: who is who there, how it is reached, and how it is."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Protocol

from slurmgate.core.askers import Question, examiners, questions
from slurmgate.core.conditions import set_conditions
from slurmgate.core.health import LOGIN_REASONS, Health, MappingHealth, cluster_conditions
from slurmgate.core.outcomes import ClusterFacts, NotNow, Observation, Refused, Seen, Source, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.engine.metered import ConnectionCounter, MeteredGateway
from slurmgate.engine.ports import ClusterOutbox, ReferenceProblem, References
from slurmgate.identity.mapping import Mapping, NotMapped
from slurmgate.identity.source import MappingFile
from slurmgate.kube.content import Content, Kind
from slurmgate.kube.watch import Followed, Unreadable
from slurmgate.resources.cluster import KnownHosts, PartitionStatus, SlurmCluster, SlurmClusterSpec
from slurmgate.slurm import verdicts
from slurmgate.slurm.cli import CliGateway
from slurmgate.slurm.gateway import Gateway
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.runner import Runner
from slurmgate.telemetry.metrics import Metrics

HEALTHY_SECONDS = 60.0
ILL_SECONDS = 5.0

_log = logging.getLogger(__name__)

Follow = Callable[[Kind, str], AsyncGenerator[Followed]]
"""Follows a ConfigMap or Secret of the operator's namespace by name."""


class Site:
    """A configured cluster. `run` keeps it up to date; everything else answers at once from what is known."""

    def __init__(
        self,
        cluster: SlurmCluster,
        *,
        follow: Follow,
        references: References,
        outbox: ClusterOutbox,
        metrics: Metrics,
        use: Callable[["Site"], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.spec: SlurmClusterSpec = cluster.spec
        self._cluster = cluster
        self._follow = follow
        self._references = references
        self._outbox = outbox
        self._metrics = metrics
        self._use = partial(use, self)
        self._clock = clock
        self._status = cluster.status
        self._health = Health()
        self._mapping = MappingFile(self._read_key)
        self._runner = self._new_runner(cluster.spec.ssh.known_hosts.inline or "")
        self._news = asyncio.Event()
        self._shut_out: set[str] = set()
        self._host_keys_read = False
        self._closed = False

    @property
    def name(self) -> str:
        """The SlurmCluster's name."""
        return self._cluster.metadata.name

    @property
    def uid(self) -> str:
        """The SlurmCluster's uid: one made again under the same name has another."""
        return self._cluster.metadata.uid

    def describes(self, cluster: SlurmCluster) -> bool:
        """Whether this is the site of that very resource, in that very version of its spec."""
        mine, other = self._cluster.metadata, cluster.metadata
        return (mine.uid, mine.generation) == (other.uid, other.generation)

    # What the worker asks ----------------------------------------------------------------------------------------

    @property
    def gateway(self) -> Gateway:
        """The cluster itself."""
        return self._gateway

    @property
    def keeps_accounting(self) -> bool:
        """Whether there is a slurmdbd at all: what the cluster said last, and if it never has, then yes."""
        if self._health.facts is not None:
            return self._health.facts.accounting
        return all(condition.reason != Reason.NO_ACCOUNTING for condition in self._status.conditions)

    @property
    def controller_down(self) -> NotNow | None:
        """Why nobody has to ask slurmctld now: it does not answer, and is tried every few seconds, for all of them."""
        answer = self._health.answer
        if isinstance(answer, Unavailable) and verdicts.nobody_there(answer.message):
            return NotNow(answer.reason, answer.message)
        return None

    def user_of(self, owner: str) -> str | Refused | NotNow:
        """The Slurm user that an owner is."""
        if self._health.mapping is None or self._health.mapping.unreadable:
            why = self._health.mapping.unreadable if self._health.mapping else "it is still being read"
            return NotNow(Reason.MAPPING_NOT_LOADED, f"The user mapping of SlurmCluster {self.name} is not there: {why}.")
        match self._mapping.resolve(owner):
            case NotMapped(message):
                return Refused(Reason.USER_NOT_MAPPED, f"spec.owner: {message}")
            case identity if self.spec.ssh.service_user and identity.user == self.spec.ssh.service_user.name:
                return Refused(Reason.USER_NOT_MAPPED, f"spec.owner: {owner} is mapped to the service user")
            case identity:
                return identity.user

    @property
    def users(self) -> frozenset[str]:
        """Everybody who is mapped."""
        return frozenset(entry.mapped_user for entry in self._mapping.mapping.entries)

    def note_strays(self, words: str) -> None:
        """Which jobs have no submission any more; empty if none has."""
        self._now(replace(self._health, strays=words))

    def questions(self, users: Collection[str]) -> list[Question]:
        """How to hear of the jobs of all these users. Jobs are taken to be hidden until the cluster has said otherwise."""
        service = self.spec.ssh.service_user
        return questions(
            users,
            service_user=service.name if service else None,
            hides_jobs=self._health.facts is None or self._health.facts.hides_jobs,
            shut_out=self._shut_out,
        )

    def note(self, asker: str, answer: Observation) -> None:
        """What a look at the queue or the accounting said about the cluster itself."""
        self._note_login(asker, answer)
        if isinstance(answer, Unavailable):
            _log.warning("The cluster did not answer %s: %s", asker, answer.message, extra={"cluster": self.name})
            self._news.set()  # find out at once what is wrong
        else:
            for job_id, why in answer.unanswered.items():
                words = "The cluster did not answer %s about job %s: %s"
                _log.warning(words, asker, job_id, why.message, extra={"cluster": self.name})
        if isinstance(answer, Unavailable) and answer.reason is Reason.ACCOUNTING_UNAVAILABLE:
            self._now(replace(self._health, accounting=answer))
        elif isinstance(answer, Seen) and answer.source is Source.ACCOUNTING and self._health.accounting:
            self._now(replace(self._health, accounting=None))

    def _note_login(self, user: str, answer: object) -> None:
        if isinstance(answer, Unavailable) and answer.reason in LOGIN_REASONS:
            self._shut_out.add(user)
        else:
            self._shut_out.discard(user)

    # What keeps it up to date ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow mapping and host keys and look after the cluster's health, until cancelled."""
        if self.spec.ssh.known_hosts.inline is not None:
            self._host_keys_read = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_mapping(), name=f"{self.name}-mapping")
                tasks.create_task(self._follow_known_hosts(self.spec.ssh.known_hosts), name=f"{self.name}-known-hosts")
                tasks.create_task(self._look_after(), name=f"{self.name}-health")
        finally:
            self._closed = True
            await self._runner.close()

    async def _follow_mapping(self) -> None:
        source = self.spec.identity.mapping
        kind, name = (Kind.CONFIG_MAP, source.config_map) if source.config_map else (Kind.SECRET, source.secret)
        inline_keys = kind is Kind.SECRET or source.allow_inline_keys_in_config_map
        async with aclosing(self._follow(kind, name or "")) as versions:
            async for version in versions:
                text = _text(version, kind, name or "", source.key)
                if isinstance(text, Unreadable):
                    self._now(replace(self._health, mapping=MappingHealth(unreadable=text.message)))
                else:
                    for user in self._mapping.load(text, inline_keys=inline_keys):
                        await self._runner.forget(user)
                    self._now(replace(self._health, mapping=_mapping_health(self._mapping.mapping)))
                self._changed()

    async def _follow_known_hosts(self, source: KnownHosts) -> None:
        reference = source.config_map_key_ref or source.secret_key_ref
        if reference is None:
            return
        kind = Kind.CONFIG_MAP if source.config_map_key_ref else Kind.SECRET
        async with aclosing(self._follow(kind, reference.name)) as versions:
            async for version in versions:
                text = _text(version, kind, reference.name, reference.key)
                problem = text.message if isinstance(text, Unreadable) else ""
                before, self._runner = self._runner, self._new_runner("" if isinstance(text, Unreadable) else text)
                self._now(replace(self._health, configuration=problem))
                self._host_keys_read = True
                self._changed()
                await before.close()

    def _changed(self) -> None:
        """What the cluster is used with has been read (again): once all of it was, use it."""
        self._shut_out.clear()
        if self._health.mapping is not None and self._host_keys_read:
            self._news.set()
            self._use()

    async def _look_after(self) -> None:
        await self._news.wait()  # nobody can log in before mapping and host keys are read
        while True:
            self._news.clear()
            try:
                await self._examine()
            except Exception:  # noqa: BLE001 - a mistake of ours about one cluster must not end the operator of all
                _log.exception("The cluster could not be examined", extra={"cluster": self.name})
            healthy = isinstance(self._health.answer, ClusterFacts)
            try:
                async with asyncio.timeout(HEALTHY_SECONDS if healthy else ILL_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(1)  # news come in bursts

    async def _examine(self) -> None:
        """Ask the cluster how it is, as the first who can log in."""
        service = self.spec.ssh.service_user
        mapped = [entry.mapped_user for entry in self._mapping.mapping.entries]
        answer: ClusterFacts | Unavailable | None = None
        gateway = self._gateway
        for user in (service.name,) if service else examiners(mapped, shut_out=self._shut_out):
            answer = await gateway.describe(user)
            if gateway is not self._gateway:
                return  # other host keys have come meanwhile, and the connections were closed under it: ask again
            self._note_login(user, answer)
            if isinstance(answer, ClusterFacts) or not _perhaps_his_alone(answer):
                break
        if answer is None:
            return
        recovered = isinstance(self._health.answer, Unavailable) and isinstance(answer, ClusterFacts)
        self._now(self._health.told(answer, troubles=self._runner.troubles))
        self._metrics.cluster_up.labels(self.name).set(isinstance(answer, ClusterFacts))
        if recovered:
            self._use()  # nobody has to wait for the end of a long pause

    def _now(self, health: Health) -> None:
        """Remember the health, and show it if it says anything new. Until the cluster was asked, what it said last stands."""
        self._health = health
        if not health.tells or self._closed:  # its successor speaks for the cluster
            return
        facts, mapping = health.facts, health.mapping
        status = self._status.model_copy(
            update={
                "slurm_version": facts.slurm_version if facts else None,
                "cluster_name": facts.cluster_name if facts else None,
                "mapped_users": mapping.usable if mapping else None,
                "partitions": tuple(
                    PartitionStatus(name=each.name, state=each.state, nodes=each.nodes, cpus=each.cpus, gpus=each.gpus)
                    for each in (facts.partitions if facts else ())
                ),
                "conditions": set_conditions(
                    self._status.conditions,
                    cluster_conditions(health),
                    generation=self._cluster.metadata.generation,
                    now=self._clock(),
                ),
                "observed_generation": self._cluster.metadata.generation,
            }
        )
        if status != self._status:
            self._outbox.publish_cluster(self._cluster, before=self._status, after=status)
            self._status = status

    # Logging in --------------------------------------------------------------------------------------------------

    def _new_runner(self, known_hosts: str) -> Runner:
        ssh = self.spec.ssh
        endpoint = Endpoint(
            name=self.name,
            hosts=tuple(Host(node.host, node.port) for node in ssh.hosts),
            known_hosts=known_hosts,
            connections_per_user=ssh.connections_per_user,
            sessions_per_connection=ssh.sessions_per_connection,
        )
        runner = Runner(endpoint, self, observer=ConnectionCounter(self._metrics), changed=self._login_nodes_changed)
        self._gateway = MeteredGateway(CliGateway(runner, self.spec), cluster=self.name, metrics=self._metrics)
        return runner

    def _login_nodes_changed(self, recovered: bool) -> None:
        self._news.set()
        if recovered:
            self._use()  # nobody has to wait for the end of a long pause

    async def private_key(self, user: str) -> PrivateKey:
        """The key of a user: the service user's from its own Secret, everybody else's from the mapping."""
        service = self.spec.ssh.service_user
        if service and service.name == user:
            reference = service.private_key_secret_ref
            return PrivateKey.parse(await self._read_key(reference.name, reference.key))
        return await self._mapping.private_key(user)

    async def _read_key(self, name: str, key: str) -> bytes:
        try:
            return await self._references.of_operator("Secret", name, key)
        except ReferenceProblem as problem:
            raise KeyUnavailable(str(problem)) from None


def _perhaps_his_alone(answer: Unavailable) -> bool:
    """Whether the next one may hear something else: log-ins fail one by one, and a start file may set another SLURM_CONF."""
    return answer.reason in LOGIN_REASONS or verdicts.nobody_there(answer.message)


def _mapping_health(mapping: Mapping) -> MappingHealth:
    problems = tuple(str(problem) for problem in mapping.problems)
    if not mapping.readable and not mapping.entries:
        return MappingHealth(unreadable="; ".join(problems))
    return MappingHealth(len(mapping.entries), problems)


def _text(version: Followed, kind: Kind, name: str, key: str) -> str | Unreadable:
    match version:
        case Content() if key in version.data:
            return version.data[key].decode(errors="replace")
        case Content():
            return Unreadable(f"{kind} {name} has no key {key!r}")
        case None:
            return Unreadable(f"{kind} {name} does not exist in the operator's namespace")
        case _:
            return version


class SiteFactory(Protocol):
    """Opens sites."""

    def __call__(self, cluster: SlurmCluster, *, use: Callable[[Site], None]) -> Site:
        """A site of this cluster; `use` is called with it when it can be used, and whenever that should be tried again."""
