"""A site: nobody is alarmed before there is anything to say, and no mistake about one cluster ends the others."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from slurmgate.core.outcomes import ClusterFacts, Refused, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.engine import site as module
from slurmgate.engine.site import WITNESSES, Site
from slurmgate.kube.content import Content, Kind
from slurmgate.plugins.installed import Plugins
from slurmgate.resources.cluster import SlurmCluster, SlurmClusterStatus
from slurmgate.telemetry.metrics import Metrics

MAPPING, HOST_KEYS = "users", "known-hosts"
ENTRIES = [
    {"mail": f"{user}@nintendo.example", "mapped_user": user, "ssh_private_key_secret": {"name": "k", "key": "k"}}
    for user in ("kirby", "mario")
]
ENTRIES[1] |= {"slurm_account": "mushrooms", "work_directory": "/scratch/{uid}"}
FACTS = ClusterFacts("22.05.8", "valhalla", hides_jobs=False, accounting=True, partitions=())
LOST = Unavailable(Reason.CLUSTER_UNREACHABLE, "the connection was lost")


class Cluster:
    """A SlurmCluster, the ConfigMaps it names, and what it was told to show."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, access: dict[str, Any] | None = None, **ssh: Any) -> None:
        self.published: list[SlurmClusterStatus] = []
        self.used = 0
        self.answer: Callable[[], ClusterFacts | Unavailable] = lambda: FACTS
        self.asked = 0
        monkeypatch.setattr(module, "CliGateway", lambda *_: self)
        self._there = {name: asyncio.Event() for name in (MAPPING, HOST_KEYS)}
        spec = {
            "ssh": {
                "hosts": [{"host": "login1"}],
                "knownHosts": {"configMapKeyRef": {"name": HOST_KEYS, "key": "known_hosts"}},
                **ssh,
            },
            "identity": {"mapping": {"configMap": MAPPING}},
            "access": access or {},
            "defaults": {"account": "everybodys", "partition": "cpu"},
        }
        metadata = {
            "name": "valhalla",
            "uid": "u",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": "2026-11-22T00:00:00Z",
        }
        metrics = Metrics(version="0")
        self.site = Site(
            SlurmCluster.model_validate({"metadata": metadata, "spec": spec}),
            follow=self._follow,
            references=None,  # type: ignore[arg-type]
            plugins=Plugins(metrics),
            residents=set,
            outbox=self,
            metrics=metrics,
            use=lambda _: setattr(self, "used", self.used + 1),
            clock=lambda: datetime(2026, 11, 22, tzinfo=UTC),
        )

    def read(self, *names: str) -> None:
        """The operator's watch has brought these."""
        for name in names:
            self._there[name].set()

    async def describe(self, user: str) -> ClusterFacts | Unavailable:
        self.asked += 1
        return self.answer()

    def publish_cluster(self, cluster: SlurmCluster, *, before: SlurmClusterStatus, after: SlurmClusterStatus) -> None:
        self.published.append(after)

    def reasons(self, kind: str = "Ready") -> list[str]:
        """The reasons that this condition had, one after the other."""
        return [each.reason for status in self.published for each in status.conditions if each.type == kind]

    async def _follow(self, kind: Kind, name: str) -> AsyncGenerator[Content]:
        await self._there[name].wait()
        text = {MAPPING: yaml.safe_dump({"users_id_mapping": ENTRIES}), HOST_KEYS: "login1 ssh-ed25519 AAAA\n"}[name]
        yield Content({"ssh_mapping.yaml": text.encode(), "known_hosts": text.encode()}, {}, "1")
        await asyncio.Event().wait()


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Cluster]]:
    running: list[asyncio.Task[None]] = []

    def starting(**ssh: Any) -> Cluster:
        cluster = Cluster(monkeypatch, **ssh)
        running.append(asyncio.create_task(cluster.site.run()))
        return cluster

    yield starting
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("order", [(MAPPING, HOST_KEYS), (HOST_KEYS, MAPPING)])
async def test_nothing_is_asked_and_nothing_is_said_before_mapping_and_host_keys_are_read(
    start: Callable[..., Cluster], order: tuple[str, str]
) -> None:
    cluster = start()
    cluster.answer = lambda: LOST
    for name in order:
        await asyncio.sleep(100)
        assert (cluster.asked, cluster.used, cluster.published) == (0, 0, [])
        cluster.read(name)
    cluster.answer = lambda: FACTS
    await asyncio.sleep(1)
    assert cluster.used == 1
    assert cluster.reasons() == [Reason.AVAILABLE]


async def test_an_answer_that_was_lost_with_the_old_host_keys_is_not_shown(start: Callable[..., Cluster]) -> None:
    cluster = start()

    def lost_meanwhile() -> Unavailable:
        cluster.site._runner = cluster.site._new_runner("login1 ssh-ed25519 BBBB")
        cluster.answer = lambda: FACTS
        cluster.site._news.set()
        return LOST

    cluster.answer = lost_meanwhile
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(10)
    assert cluster.reasons() == [Reason.AVAILABLE]


async def test_a_mistake_of_ours_does_not_end_the_looking_after(start: Callable[..., Cluster]) -> None:
    cluster = start()

    def mistake() -> ClusterFacts:
        cluster.answer = lambda: FACTS
        raise ZeroDivisionError

    cluster.answer = mistake
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(30)
    assert cluster.asked == 1 + WITNESSES
    assert cluster.reasons() == [Reason.AVAILABLE]


async def test_nobody_is_the_service_user(start: Callable[..., Cluster]) -> None:
    key: Mapping[str, str] = {"name": "k", "key": "k"}
    cluster = start(serviceUser={"name": "kirby", "privateKeySecretRef": key})
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(1)
    refused = await cluster.site.user_of("kirby@nintendo.example")
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.USER_NOT_MAPPED
    assert "service user" in refused.message


async def test_nobody_is_a_system_user_of_the_cluster(start: Callable[..., Cluster]) -> None:
    cluster = start(access={"systemUsers": ["kirby"]})
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(1)
    refused = await cluster.site.user_of("kirby@nintendo.example")
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.ACCESS_DENIED
    assert await cluster.site.user_of("mario@nintendo.example") == "mario"


async def test_what_an_entry_says_goes_before_the_defaults_of_the_cluster(start: Callable[..., Cluster]) -> None:
    cluster = start()
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(1)
    mario, kirby = (cluster.site.spec_for(f"{user}@nintendo.example").defaults for user in ("mario", "kirby"))
    assert (mario.account, mario.partition, mario.working_directory) == ("mushrooms", "cpu", "/scratch/{uid}")
    assert kirby == cluster.site.spec.defaults
    assert kirby.account == "everybodys"


@pytest.mark.parametrize(
    ("words", "down"),
    [
        ("slurm_load_partitions: Unable to contact slurm controller (connect failure)", True),
        ("scontrol: Permission denied", False),
    ],
)
async def test_nobody_has_to_ask_while_slurmctld_does_not_answer(start: Callable[..., Cluster], words: str, down: bool) -> None:
    cluster = start()
    cluster.answer = lambda: Unavailable(Reason.CONTROLLER_UNAVAILABLE, words)
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(10)
    assert (cluster.site.controller_down is not None) is down
    cluster.answer = lambda: FACTS
    await asyncio.sleep(10)
    assert cluster.site.controller_down is None


async def test_one_whose_start_file_names_another_slurm_is_not_believed_alone(start: Callable[..., Cluster]) -> None:
    cluster = start()
    answers: Iterator[ClusterFacts | Unavailable] = iter(
        [Unavailable(Reason.CONTROLLER_UNAVAILABLE, "Unable to contact slurm controller"), FACTS]
    )
    cluster.answer = lambda: next(answers, FACTS)
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(1)
    assert cluster.site.controller_down is None
    assert cluster.reasons() == [Reason.AVAILABLE]


async def test_one_whose_start_file_says_that_jobs_are_shown_is_not_asked_about_those_of_others(
    start: Callable[..., Cluster],
) -> None:
    cluster = start()
    hiding = replace(FACTS, hides_jobs=True)
    answers = iter([replace(FACTS, accounting=False), hiding])
    cluster.answer = lambda: next(answers, hiding)
    cluster.read(MAPPING, HOST_KEYS)
    await asyncio.sleep(1)
    assert [question.users for question in cluster.site.questions({"kirby", "mario"})] == [{"kirby"}, {"mario"}]
    assert cluster.site.keeps_accounting
