"""Which login node is used, and who is kept from trying in vain."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncssh
import pytest

from slurmgate.ssh import lane, pool
from slurmgate.ssh.breaker import SEVERAL, Pace
from slurmgate.ssh.credentials import PrivateKey
from slurmgate.ssh.endpoint import Host
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Ran
from slurmgate.ssh.runner import Runner
from tests.unit.ssh.support import HOST_KEY, Keys, Server

KNOWN_HOSTS = f"127.0.0.1 {HOST_KEY.export_public_key().decode()}"
PAUSE = 0.5
DONE = Ran(0, b"x", b"")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LOGIN_NODE", Pace(first=PAUSE, longest=PAUSE, factor=1))
    for pace in ("REFUSED", "STUCK"):
        monkeypatch.setattr(lane, pace, Pace(first=4 * PAUSE, longest=4 * PAUSE, factor=1))


@dataclass
class Nodes:
    """Two login nodes, and a runner for them."""

    servers: tuple[Server, Server] = field(default_factory=lambda: (Server(), Server()))
    keys: Keys = field(default_factory=Keys)
    changes: list[bool] = field(default_factory=list)
    """Each change of what is used, and whether it ended a time in which nothing could be."""
    runner: Runner = field(init=False)

    async def start(self) -> None:
        for server in self.servers:
            await server.start()
        self.new_runner()

    def new_runner(self, known_hosts: str = KNOWN_HOSTS) -> None:
        hosts = tuple(Host("127.0.0.1", server.port) for server in self.servers)
        endpoint = self.servers[0].endpoint(hosts=hosts, known_hosts=known_hosts, login_timeout=1)
        self.runner = Runner(endpoint, self.keys, changed=self.changes.append)

    async def run(self, user: str = "ada") -> Outcome:
        return await self.runner.run(user, ["x"], deadline=20)

    @property
    def visits(self) -> tuple[int, ...]:
        """Log-ins begun at each."""
        return tuple(len(server.connections) for server in self.servers)


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    nodes = Nodes()
    await nodes.start()
    yield nodes
    await nodes.runner.close()
    for server in nodes.servers:
        await server.stop()


async def test_the_next_one_is_taken_at_once_and_the_first_one_again_when_it_is_back(nodes: Nodes) -> None:
    first, _ = nodes.servers
    await first.stop()
    assert [await nodes.run(user) for user in ("ada", "grace")] == [DONE] * 2
    assert nodes.visits == (0, 2)
    assert "Connection refused" in nodes.runner.troubles[0]
    await first.start()
    await asyncio.sleep(2 * PAUSE)
    assert await nodes.run("kat") == DONE
    assert nodes.visits == (1, 2)
    assert nodes.runner.troubles == ()
    assert nodes.changes == [False, False]  # nobody had to wait


async def test_when_none_can_be_reached_all_are_named_and_whoever_waits_is_told_of_the_first_that_is_back(nodes: Nodes) -> None:
    for server in nodes.servers:
        await server.stop()
    outcomes = [await nodes.run(user) for user in ("ada", "grace", "ada")]
    for outcome in outcomes:
        assert isinstance(outcome, DidNotRun)
        assert outcome.cause is Cause.UNREACHABLE
        assert all(str(server.port) in outcome.message for server in nodes.servers)
    assert nodes.keys.asked == 1  # while none may be tried, not even a key is read
    await nodes.servers[1].start()
    await asyncio.sleep(2 * PAUSE)
    assert nodes.changes == [False, False]
    assert await nodes.run() == DONE
    assert nodes.changes == [False, False, True]


async def test_one_try_finds_out_whether_it_is_back(nodes: Nodes) -> None:
    first, _ = nodes.servers
    await first.stop()
    assert await nodes.run() == DONE
    await first.start()
    first.login_seconds = 0.5
    await asyncio.sleep(2 * PAUSE)
    probe = asyncio.create_task(nodes.run("probe"))
    while not nodes.visits[0]:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)
    assert [await nodes.run(f"u{number}") for number in range(2)] == [DONE] * 2
    assert nodes.visits == (1, 3)
    assert await probe == DONE


async def test_a_try_that_is_given_up_does_not_keep_others_from_trying(nodes: Nodes) -> None:
    first, _ = nodes.servers
    await first.stop()
    await nodes.run()
    await first.start()
    first.login_seconds = 0.2
    await asyncio.sleep(2 * PAUSE)
    trying = asyncio.create_task(nodes.run("grace"))
    await asyncio.sleep(0.1)
    first.login_seconds = 0.0
    await nodes.runner.forget("grace")
    assert await trying == DONE
    assert nodes.runner.troubles == ()


class TestAnotherHostKey:
    async def present(self, server: Server, key: asyncssh.SSHKey) -> None:
        await server.stop()
        server.host_key = key
        await server.start()

    async def test_on_one_node_leaves_it_alone_and_the_next_is_used(self, nodes: Nodes) -> None:
        first, _ = nodes.servers
        await self.present(first, asyncssh.generate_private_key("ssh-ed25519"))
        assert [await nodes.run(user) for user in ("ada", "grace", "ada")] == [DONE] * 3
        assert nodes.visits == (1, 2)
        assert first.logins == 0
        (trouble,) = nodes.runner.troubles
        assert f"{first.port} presented {first.host_key.get_fingerprint()}, expected {HOST_KEY.get_fingerprint()}" in trouble
        await self.present(first, HOST_KEY)
        await asyncio.sleep(2 * PAUSE)
        assert await nodes.run("kat") == DONE
        assert nodes.runner.troubles == ()
        assert nodes.changes == [False, False]

    @pytest.mark.parametrize("wrong", [0, 1])
    async def test_is_the_worst_news_if_no_node_will_do(self, nodes: Nodes, wrong: int) -> None:
        await self.present(nodes.servers[wrong], asyncssh.generate_private_key("ssh-ed25519"))
        await nodes.servers[1 - wrong].stop()
        outcomes = [await nodes.run(user) for user in ("ada", "grace", "ada")]
        for outcome in outcomes:
            assert isinstance(outcome, DidNotRun)
            assert outcome.cause is Cause.HOST_KEY_MISMATCH
            assert all(str(server.port) in outcome.message for server in nodes.servers)
        assert nodes.visits[wrong] == 1
        await nodes.servers[1 - wrong].start()
        await asyncio.sleep(2 * PAUSE)
        assert await nodes.run() == DONE
        assert nodes.changes[-1] is True  # whoever waits is told
        assert nodes.servers[wrong].logins == 0

    async def test_a_node_without_any_is_never_tried(self, nodes: Nodes) -> None:
        first, second = nodes.servers
        nodes.new_runner(f"[127.0.0.1]:{second.port} {HOST_KEY.export_public_key().decode()}")
        assert [await nodes.run(user) for user in ("ada", "grace")] == [DONE] * 2
        assert nodes.visits == (0, 2)
        (trouble,) = nodes.runner.troubles
        assert trouble.startswith(f"no usable host key is configured for [127.0.0.1]:{first.port}")
        nodes.new_runner("")
        outcome = await nodes.run()
        assert isinstance(outcome, DidNotRun)
        assert outcome.cause is Cause.NO_HOST_KEYS
        assert nodes.visits == (0, 2)


class TestAUser:
    async def test_who_is_refused_is_not_tried_again_for_a_while_and_others_are(self, nodes: Nodes) -> None:
        outcomes = [await nodes.run("stranger") for _ in range(5)]
        assert {outcome.cause for outcome in outcomes if isinstance(outcome, DidNotRun)} == {Cause.AUTHENTICATION_FAILED}
        assert len(set(outcomes)) == 1  # the same words: nobody has to be told anew
        assert nodes.visits == (1, 0)
        assert await nodes.run() == DONE
        await asyncio.sleep(5.1 * PAUSE)
        await nodes.run("stranger")
        assert nodes.visits == (3, 0)

    async def test_with_many_commands_is_refused_once(self, nodes: Nodes) -> None:
        await asyncio.gather(*(nodes.run("stranger") for _ in range(50)))
        assert nodes.visits == (1, 0)

    @pytest.mark.parametrize("news", ["another key", "the mapping says something new"])
    async def test_is_tried_at_once_when_it_may_help(self, nodes: Nodes, news: str) -> None:
        nodes.keys.key, right = PrivateKey.parse(another_key()), nodes.keys.key
        assert isinstance(await nodes.run(), DidNotRun)
        if news == "another key":
            nodes.keys.key = right
            assert await nodes.run() == DONE
        else:
            await nodes.runner.forget("ada")
            await nodes.run()
            assert nodes.visits == (2, 0)

    @pytest.mark.parametrize("spoil", ["login_seconds", "hangs_up_after_login"])
    async def test_whose_log_in_goes_nowhere_shuts_out_nobody(self, nodes: Nodes, spoil: str) -> None:
        for server in nodes.servers:
            setattr(server, spoil, 5)
        for _ in range(3):
            outcome = await nodes.run()
            assert isinstance(outcome, DidNotRun)
            assert outcome.cause is Cause.NO_LOGIN
        assert nodes.visits in {(1, 0), (1, 1)}
        assert nodes.runner.troubles == ()
        for server in nodes.servers:
            setattr(server, spoil, 0)
        assert await nodes.run("grace") == DONE


async def test_where_the_log_ins_of_several_hang_it_is_the_node(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LOGIN_NODE", Pace(first=60, longest=60, factor=1))
    nodes.new_runner()
    nodes.servers[0].login_seconds = 5
    for number in range(SEVERAL):
        assert await nodes.run(f"u{number}") == DONE
    assert "log-ins of several users do not come to their end" in nodes.runner.troubles[0]
    before = nodes.visits
    assert await nodes.run("ada") == DONE
    assert nodes.visits == (before[0], before[1] + 1)


def another_key() -> bytes:
    return asyncssh.generate_private_key("ssh-ed25519").export_private_key()
