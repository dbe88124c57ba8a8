"""One SlurmCluster as it is configured now: who is who there, how it is reached, and how it is."""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from slurmgate.core.access import refused_user
from slurmgate.core.askers import Question, examiners, questions
from slurmgate.core.conditions import set_conditions
from slurmgate.core.health import LOGIN_REASONS, Health, JobbergateHealth, MappingHealth, agreed, cluster_conditions
from slurmgate.core.outcomes import ClusterFacts, NotNow, Observation, Refused, Seen, Source, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.engine.logins import Logins
from slurmgate.engine.metered import ConnectionCounter, MeteredGateway, MeteredRunner
from slurmgate.engine.people.people import Follow, People, Residents
from slurmgate.engine.people.sources import people_of
from slurmgate.engine.ports import ClusterOutbox, References
from slurmgate.engine.signing.reading import read_secret
from slurmgate.kube.content import Kind
from slurmgate.kube.watch import Unreadable, text_of
from slurmgate.plugins.installed import Plugins
from slurmgate.resources.cluster import PartitionStatus, SlurmCluster, SlurmClusterSpec
from slurmgate.resources.ssh import KnownHosts
from slurmgate.slurm import verdicts
from slurmgate.slurm.cli import CliGateway
from slurmgate.slurm.gateway import Gateway
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.runner import Runner
from slurmgate.telemetry.metrics import Metrics

HEALTHY_SECONDS = 60.0
ILL_SECONDS = 5.0
WITNESSES = 2
"""Users who are asked about the cluster itself where there is no service user."""
FRESH = timedelta(seconds=1.5 * HEALTHY_SECONDS)
"""How long an answer of the cluster says that it is well."""

_log = logging.getLogger(__name__)


class Site:
    """A configured cluster. `run` keeps it up to date; what is no coroutine answers at once from what is known."""

    def __init__(
        self,
        cluster: SlurmCluster,
        *,
        follow: Follow,
        references: References,
        plugins: Plugins,
        residents: Residents,
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
        self._people: People = people_of(
            self.name,
            cluster.spec.identity,
            certified=cluster.spec.ssh.certificates is not None,
            follow=follow,
            references=references,
            read_secret=partial(read_secret, references),
            plugins=plugins,
            residents=residents,
            show=self._show_mapping,
            changed=self._people_changed,
        )
        self._logins = Logins(self.name, cluster.spec.ssh, self._people, references=references, residents=residents)
        self._runner = self._new_runner(cluster.spec.ssh.known_hosts.inline or "")
        self._news = asyncio.Event()
        self._shut_out: set[str] = set()
        self._answered: datetime | None = None
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

    async def user_of(self, owner: str) -> str | Refused | NotNow:
        """The Slurm user that an owner is."""
        user = await self._people.user_of(owner)
        if self.spec.ssh.service_user and user == self.spec.ssh.service_user.name:
            return Refused(Reason.USER_NOT_MAPPED, f"spec.owner: {owner} is mapped to the service user")
        if isinstance(user, str) and (refused := refused_user(self.spec.access, user)):
            return refused
        if self._health.vain and isinstance(user, str):
            self._news.set()  # now there is somebody who can ask the cluster
        return user

    def spec_for(self, owner: str) -> SlurmClusterSpec:
        """The cluster as it is for an owner, who may have defaults of his own."""
        return self.spec.model_copy(update={"defaults": self._people.defaults_of(owner, self.spec.defaults)})

    @property
    def users(self) -> frozenset[str]:
        """Everybody who is known to have an account."""
        return frozenset(self._people.users)

    @property
    def healthy(self) -> bool:
        """Whether somebody could log in and slurmctld answered, lately: whoever is asked now may be silent for minutes."""
        lately = self._answered is not None and self._clock() - self._answered < FRESH
        return lately and isinstance(self._health.answer, ClusterFacts)

    def note_jobbergate(self, health: JobbergateHealth) -> None:
        """How the sync with Jobbergate is. What its version is stays known while it does not answer."""
        before = self._health.jobbergate
        version = health.version or (before.version if before else "")
        self._now(replace(self._health, jobbergate=replace(health, version=version)))

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

    def agents(self, user: str) -> tuple[str, ...]:
        """Who may hold, release and cancel this user's jobs, in the order in which they are tried."""
        service = self.spec.ssh.service_user
        return (user, service.name) if service else (user,)

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
        """Follow people and host keys and look after the cluster's health, until cancelled."""
        if self.spec.ssh.known_hosts.inline is not None:
            self._host_keys_read = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._people.run(), name=f"{self.name}-people")
                tasks.create_task(self._follow_known_hosts(self.spec.ssh.known_hosts), name=f"{self.name}-known-hosts")
                tasks.create_task(self._look_after(), name=f"{self.name}-health")
        finally:
            self._closed = True
            await self._runner.close()

    def _show_mapping(self, health: MappingHealth) -> None:
        self._now(replace(self._health, mapping=health))

    async def _people_changed(self, gone: Collection[str]) -> None:
        for user in gone:
            await self._runner.forget(user)
        self._changed()

    async def _follow_known_hosts(self, source: KnownHosts) -> None:
        reference = source.config_map_key_ref or source.secret_key_ref
        if reference is None:
            return
        kind = Kind.CONFIG_MAP if source.config_map_key_ref else Kind.SECRET
        async with aclosing(self._follow(kind, reference.name)) as versions:
            async for version in versions:
                text = text_of(version, kind, reference.name, reference.key)
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
            try:
                async with asyncio.timeout(HEALTHY_SECONDS if self.healthy else ILL_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(1)  # news come in bursts

    async def _examine(self) -> None:
        """Ask the cluster how it is, as the service user, or as the first two who can log in: one alone may say anything."""
        service = self.spec.ssh.service_user
        people = self._people.users
        answer: ClusterFacts | Unavailable | None = None
        told: list[ClusterFacts] = []
        gateway = self._gateway
        for user in (service.name,) if service else examiners(people, shut_out=self._shut_out):
            answer = await gateway.describe(user)
            if gateway is not self._gateway:
                return  # other host keys have come meanwhile, and the connections were closed under it: ask again
            self._note_login(user, answer)
            if isinstance(answer, ClusterFacts):
                told.append(answer)
            elif not _perhaps_his_alone(answer):
                break
            if len(told) == (1 if service else WITNESSES):
                break
        answer = agreed(told) if told else answer
        recovered = isinstance(self._health.answer, Unavailable) and isinstance(answer, ClusterFacts)
        if isinstance(answer, ClusterFacts):
            self._answered = self._clock()
        self._now(self._health.told(answer, troubles=self._runner.troubles))
        if answer is None:
            return
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
                "jobbergate_version": (health.jobbergate.version or None) if health.jobbergate else None,
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
            jump_hosts=self._logins.jump_hosts,
            connections_per_user=ssh.connections_per_user,
            sessions_per_connection=ssh.sessions_per_connection,
        )
        runner = Runner(endpoint, self._logins, observer=ConnectionCounter(self._metrics), changed=self._login_nodes_changed)
        metered = MeteredRunner(runner, cluster=self.name, metrics=self._metrics)
        self._gateway = MeteredGateway(CliGateway(metered, self.spec), cluster=self.name, metrics=self._metrics)
        return runner

    def _login_nodes_changed(self, recovered: bool) -> None:
        self._news.set()
        if recovered:
            self._use()  # nobody has to wait for the end of a long pause


def _perhaps_his_alone(answer: Unavailable) -> bool:
    """Whether the next one may hear something else: log-ins fail one by one, and a start file may set another SLURM_CONF."""
    return answer.reason in LOGIN_REASONS or verdicts.nobody_there(answer.message)


class SiteFactory(Protocol):
    """Opens sites."""

    def __call__(self, cluster: SlurmCluster, *, residents: Residents, use: Callable[[Site], None]) -> Site:
        """A site of this cluster; `use` is called with it when it can be used, and whenever that should be tried again."""
