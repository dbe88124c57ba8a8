import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

import asyncssh
import pytest

from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey
from slurmgate.ssh.endpoint import Host
from slurmgate.ssh.lane import Lane
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Ran, Unknown
from slurmgate.ssh.runner import Runner
from tests.unit.ssh.conftest import Make
from tests.unit.ssh.support import AUTHORITY, HOST_KEY, USER_KEY, Counts, Keys, Process, Server, echo

KNOWN_HOSTS = f"127.0.0.1 {HOST_KEY.export_public_key().decode()}"


def cause(outcome: Outcome) -> Cause | None:
    return outcome.cause if isinstance(outcome, DidNotRun) else None


def message(outcome: Outcome) -> str:
    assert not isinstance(outcome, Ran)
    return outcome.message


class TestOutcomes:
    async def test_words_are_quoted(self, runner: Runner) -> None:
        outcome = await runner.run("ada", ["echo", "it's", "a b"], deadline=20)
        assert outcome == Ran(0, b"echo 'it'\"'\"'s' 'a b'", b"")

    async def test_an_end_without_a_status_is_unknown(self, runner: Runner, server: Server) -> None:
        async def vanish(process: Process) -> None:
            process.stdout.write(b"Submitted")
            process.close()

        server.behave = vanish
        outcome = await runner.run("ada", ["x"], deadline=20)
        assert outcome == Unknown("the connection ended while the command ran: closed without an exit status")

    async def test_a_signal_is_not_an_exit(self, runner: Runner, server: Server) -> None:
        async def die(process: Process) -> None:
            process.exit_with_signal("SEGV")

        server.behave = die
        assert await runner.run("ada", ["x"], deadline=20) == Ran(-1, b"", b"", "SEGV")

    @pytest.mark.parametrize("polite", [True, False])
    async def test_a_connection_that_ends_after_the_request_is_unknown(
        self, runner: Runner, server: Server, polite: bool
    ) -> None:
        async def leave(process: Process) -> None:
            connection = process.channel.get_connection()
            if polite:
                connection.close()
            else:
                connection.abort()

        server.behave = leave
        assert isinstance(await runner.run("ada", ["x"], deadline=20), Unknown)

    async def test_a_connection_that_ends_in_answer_to_the_request_is_unknown(self, runner: Runner, server: Server) -> None:
        server.hangs_up_on_commands = True
        outcome = await runner.run("ada", ["x"], deadline=20)
        assert isinstance(outcome, Unknown)
        assert "the connection ended while the command was being started" in outcome.message

    async def test_a_connection_that_ends_before_all_output_came_is_unknown(self, runner: Runner, server: Server) -> None:
        async def leave(process: Process) -> None:
            process.stdout.write(b"half")
            process.channel._send_request(b"exit-status", (0).to_bytes(4, "big"))
            await asyncio.sleep(0.05)
            process.channel.get_connection().close()

        server.behave = leave
        assert await runner.run("ada", ["x"], deadline=20) == Unknown("the connection ended before all output had arrived")

    async def test_output_in_other_encodings_is_left_alone(self, runner: Runner, server: Server) -> None:
        async def latin(process: Process) -> None:
            process.stdout.write(b"\xfc\x00\xff")
            process.exit(0)

        server.behave = latin
        assert await runner.run("ada", ["x"], deadline=20) == Ran(0, b"\xfc\x00\xff", b"")

    async def test_the_deadline_covers_the_command(self, runner: Runner, server: Server) -> None:
        await runner.run("ada", ["x"], deadline=20)
        server.behave = forever
        started = time.monotonic()
        outcome = await runner.run("ada", ["x"], deadline=0.5)
        assert outcome == Unknown("valhalla: the command did not end within 0.5 s", connected=True)
        assert time.monotonic() - started < 5


class TestSessions:
    async def test_a_refused_session_is_asked_for_again(self, runner: Runner, server: Server) -> None:
        server.accepts_sessions = False
        running = asyncio.create_task(runner.run("ada", ["x"], deadline=20))
        await asyncio.sleep(0.3)
        server.accepts_sessions = True
        assert await running == Ran(0, b"x", b"")

    @pytest.mark.parametrize("what", ["accepts_sessions", "accepts_commands"])
    async def test_a_server_that_refuses_until_the_deadline_is_busy(self, runner: Runner, server: Server, what: str) -> None:
        await runner.run("ada", ["x"], deadline=20)
        setattr(server, what, False)
        outcome = await runner.run("ada", ["x"], deadline=1)
        assert cause(outcome) is Cause.BUSY
        assert "127.0.0.1" in message(outcome)
        assert len(server.connections) < 10

    async def test_a_command_waits_for_a_free_session(self, make: Make, server: Server) -> None:
        server.behave = soon
        runner = make(connections_per_user=1, sessions_per_connection=2)
        outcomes = await asyncio.gather(*(runner.run("ada", [str(n)], deadline=20) for n in range(10)))
        assert outcomes == [Ran(0, str(n).encode(), b"") for n in range(10)]
        assert len(server.connections) == 1

    async def test_no_free_session_until_the_deadline_is_busy(self, make: Make, server: Server) -> None:
        runner = make(connections_per_user=1, sessions_per_connection=1)
        async with command_running(runner, server):
            outcome = await runner.run("ada", ["x"], deadline=0.3)
        assert outcome == DidNotRun(Cause.BUSY, "valhalla: no session for ada within 0.3 s")

    async def test_a_server_that_allows_few_sessions_is_not_pestered(self, make: Make, server: Server) -> None:
        server.behave = soon
        server.most_sessions = 2
        runner = make(connections_per_user=1)
        outcomes = await asyncio.gather(*(runner.run("ada", ["x"], deadline=20) for _ in range(40)))
        assert outcomes == [Ran(0, b"x", b"")] * 40
        assert server.refusals <= 6
        assert len(server.connections) == 1

    async def test_a_command_that_ignores_the_signal_is_at_least_not_listened_to(self, runner: Runner, server: Server) -> None:
        left = asyncio.Event()

        async def ignore(process: Process) -> None:
            await process.channel.wait_closed()
            left.set()

        await runner.run("ada", ["x"], deadline=20)
        server.behave = ignore
        assert isinstance(await runner.run("ada", ["x"], deadline=0.5), Unknown)
        await asyncio.wait_for(left.wait(), 3)

    async def test_a_session_that_is_freed_in_time_is_used_again(
        self, runner: Runner, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("slurmgate.ssh.connection._PATIENCE", 1.0)
        await runner.run("ada", ["x"], deadline=20)
        server.behave = forever
        assert isinstance(await runner.run("ada", ["x"], deadline=0.5), Unknown)
        await asyncio.sleep(1.2)
        server.behave = echo
        assert await runner.run("ada", ["x"], deadline=20) == Ran(0, b"x", b"")
        assert len(server.connections) == 1

    async def test_leaving_just_when_a_session_is_given_loses_nothing(
        self, make: Make, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leaving: list[asyncio.Task[Outcome]] = []
        serve = Lane.serve

        def serve_one_who_leaves(lane: Lane) -> None:
            serve(lane)
            for task in leaving:
                task.cancel()

        monkeypatch.setattr(Lane, "serve", serve_one_who_leaves)
        runner = make(connections_per_user=1, sessions_per_connection=1)
        async with command_running(runner, server) as first:
            left = asyncio.create_task(runner.run("ada", ["x"], deadline=20))
            await asyncio.sleep(0.1)
            leaving.append(left)
        assert await first == Ran(0, b"1", b"")
        with pytest.raises(asyncio.CancelledError):
            await left
        leaving.clear()
        assert await runner.run("ada", ["x"], deadline=5) == Ran(0, b"x", b"")

    async def test_a_session_opened_after_the_caller_left_does_not_stay(self, runner: Runner, server: Server) -> None:
        await runner.run("ada", ["x"], deadline=20)
        server.session_seconds = 1
        assert cause(await runner.run("ada", ["x"], deadline=0.3)) is Cause.UNREACHABLE
        await until(lambda: not server.live)
        server.session_seconds = 0
        assert await runner.run("ada", ["x"], deadline=20) == Ran(0, b"x", b"")

    async def test_users_do_not_share(self, runner: Runner, server: Server) -> None:
        await asyncio.gather(runner.run("ada", ["x"], deadline=20), runner.run("grace", ["x"], deadline=20))
        assert len(server.connections) == 2

    async def test_cancelling_at_any_moment_loses_nothing(self, make: Make, server: Server) -> None:
        server.behave = soon
        runner = make(connections_per_user=1, sessions_per_connection=2)
        for step in range(0, 60, 3):
            tasks = [asyncio.create_task(runner.run("ada", ["x"], deadline=20)) for _ in range(4)]
            for _ in range(step):
                await asyncio.sleep(0)
            tasks[0].cancel()
            tasks[2].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert outcomes[1] == outcomes[3] == Ran(0, b"x", b"")


class TestConnecting:
    async def test_two_log_ins_at_a_time(self, make: Make, server: Server) -> None:
        server.login_seconds = 0.05
        runner = make()
        outcomes = await asyncio.gather(*(runner.run(f"u{n}", ["x"], deadline=20) for n in range(12)))
        assert outcomes == [Ran(0, b"x", b"")] * 12
        assert server.most_logging_in == 2

    async def test_a_refused_user_is_named_with_the_key(self, runner: Runner, keys: Keys, counts: Counts) -> None:
        outcome = await runner.run("stranger", ["x"], deadline=20)
        assert cause(outcome) is Cause.AUTHENTICATION_FAILED
        assert message(outcome).startswith("stranger@[127.0.0.1]:")
        assert keys.key.fingerprint in message(outcome)
        assert counts.failed == [Cause.AUTHENTICATION_FAILED]

    async def test_everybody_who_waits_hears_why_there_is_no_connection(self, runner: Runner, server: Server) -> None:
        outcomes = await asyncio.gather(*(runner.run("stranger", ["x"], deadline=20) for _ in range(5)))
        assert [cause(outcome) for outcome in outcomes] == [Cause.AUTHENTICATION_FAILED] * 5
        assert len(server.connections) == 1

    async def test_a_missing_key_is_said(self, runner: Runner, keys: Keys, server: Server) -> None:
        keys.problem = KeyUnavailable("Secret ada-key does not exist")
        outcome = await runner.run("ada", ["x"], deadline=20)
        assert outcome == DidNotRun(Cause.KEY_UNAVAILABLE, "private key of ada: Secret ada-key does not exist")
        assert server.connections == []

    async def test_a_key_that_takes_too_long(self, make: Make, keys: Keys) -> None:
        keys.seconds = 5
        outcome = await make(connect_timeout=0.1).run("ada", ["x"], deadline=20)
        assert outcome == DidNotRun(Cause.KEY_UNAVAILABLE, "private key of ada: it could not be read in time")

    async def test_with_one_connection_the_next_is_not_tried_for_all_the_time(
        self, make: Make, server: Server, keys: Keys
    ) -> None:
        runner = make(sessions_per_connection=1)
        async with command_running(runner, server):
            keys.problem = KeyUnavailable("gone")
            waiting = [asyncio.create_task(runner.run("ada", ["x"], deadline=20)) for _ in range(10)]
            await until(lambda: keys.asked > 1)
            await asyncio.sleep(0.3)
            asked = keys.asked
        assert await asyncio.gather(*waiting) == [Ran(0, b"x", b"")] * 10
        assert keys.asked == asked <= 4

    async def test_a_mistake_in_a_key_source_is_not_swallowed(self, runner: Runner, keys: Keys) -> None:
        keys.problem = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            await runner.run("ada", ["x"], deadline=20)

    async def test_nor_is_it_when_there_is_a_connection(self, make: Make, server: Server, keys: Keys) -> None:
        runner = make(sessions_per_connection=1)
        async with command_running(runner, server):
            keys.problem = ZeroDivisionError()
            with pytest.raises(ZeroDivisionError):
                await runner.run("ada", ["x"], deadline=20)

    async def test_a_slow_log_in(self, make: Make, server: Server) -> None:
        server.login_seconds = 5
        outcome = await make(login_timeout=0.2).run("ada", ["x"], deadline=20)
        assert outcome == DidNotRun(Cause.NO_LOGIN, f"ada@[127.0.0.1]:{server.port}: no log-in within 0.2 s")

    async def test_a_log_in_that_outlasts_the_deadline_serves_the_next_command(self, runner: Runner, server: Server) -> None:
        server.login_seconds = 0.5
        outcome = await runner.run("ada", ["x"], deadline=0.2)
        assert outcome == DidNotRun(Cause.UNREACHABLE, "valhalla: no connection for ada within 0.2 s")
        assert await runner.run("ada", ["x"], deadline=20) == Ran(0, b"x", b"")
        assert len(server.connections) == 1

    async def test_commands_that_nobody_waits_for_any_more_do_not_log_in(self, make: Make, server: Server) -> None:
        server.login_seconds = 0.3
        runner = make(connects_per_host=1)
        outcomes = await asyncio.gather(*(runner.run(f"u{n}", ["x"], deadline=0.2) for n in range(20)))
        assert {cause(outcome) for outcome in outcomes} == {Cause.UNREACHABLE}
        await asyncio.sleep(0.5)
        assert len(server.connections) == 1

    async def test_a_host_that_hangs_up(self, make: Make) -> None:
        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as silent:
            runner = make(**elsewhere(silent.sockets[0].getsockname()[1]))
            outcome = await runner.run("ada", ["x"], deadline=20)
        assert cause(outcome) is Cause.UNREACHABLE
        assert "Connection" in message(outcome)

    async def test_a_host_that_hangs_up_after_the_log_in(self, runner: Runner, server: Server, counts: Counts) -> None:
        server.hangs_up_after_login = True
        for _ in range(3):
            outcome = await runner.run("ada", ["x"], deadline=20)
            assert cause(outcome) is Cause.NO_LOGIN
            assert "the connection ended after the log-in" in message(outcome)
        assert len(server.connections) == 1
        assert counts.now == 0

    async def test_a_host_that_is_no_ssh_server(self, make: Make) -> None:
        def http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 1000)
            writer.close()

        async with await asyncio.start_server(http, "127.0.0.1", 0) as web:
            outcome = await make(**elsewhere(web.sockets[0].getsockname()[1])).run("ada", ["x"], deadline=20)
        assert cause(outcome) is Cause.UNREACHABLE

    @pytest.mark.parametrize(("name", "words"), [("login.invalid", "login.invalid: "), ("a..b", "a..b: ")])
    async def test_a_name_that_does_not_exist(self, make: Make, name: str, words: str) -> None:
        known_hosts = f"{name} {HOST_KEY.export_public_key().decode()}"
        outcome = await make(hosts=(Host(name),), known_hosts=known_hosts).run("ada", ["x"], deadline=10)
        assert cause(outcome) is Cause.UNREACHABLE
        assert message(outcome).startswith(words)

    async def test_a_host_that_fails_is_left_alone_while_another_works(self, make: Make, server: Server) -> None:
        visits = []

        def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            visits.append(writer)
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as failing:
            hosts = (Host("127.0.0.1", failing.sockets[0].getsockname()[1]), Host("127.0.0.1", server.port))
            runner = make(hosts=hosts, known_hosts=KNOWN_HOSTS)
            for user in ("ada", "grace", "kat"):
                assert await runner.run(user, ["x"], deadline=20) == Ran(0, b"x", b"")
        assert len(visits) == 1

    async def test_all_hosts_are_named_when_none_is_reachable(self, make: Make) -> None:
        ports = free_port(), free_port()
        runner = make(hosts=tuple(Host("127.0.0.1", port) for port in ports), known_hosts=KNOWN_HOSTS)
        outcome = await runner.run("ada", ["x"], deadline=20)
        assert cause(outcome) is Cause.UNREACHABLE
        for port in ports:
            assert f"[127.0.0.1]:{port}: Connection refused ([Errno 111] Connect call failed" in message(outcome)

    async def test_a_uid_without_a_name_or_a_home_will_do(self, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(uid: int) -> NoReturn:
            raise KeyError(uid)

        for name in ("USER", "USERNAME", "LNAME"):
            monkeypatch.delenv(name, raising=False)
        ask = "import slurmgate.ssh.runner, os; print(os.environ['LOGNAME'], os.environ['HOME'])"
        environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
        python = await asyncio.create_subprocess_exec(sys.executable, "-c", ask, env=environment, stdout=subprocess.PIPE)
        logname, home = (await python.communicate())[0].decode().split()
        monkeypatch.setenv("LOGNAME", logname)
        monkeypatch.setenv("HOME", home)
        monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent")
        monkeypatch.setattr("pwd.getpwuid", unknown)
        assert await runner.run("ada", ["x"], deadline=20) == Ran(0, b"x", b"")


@dataclass
class Perishable:
    """A key that may not be shown any more after a time, as one with a certificate."""

    good_until: float
    if_refused: str = "a certificate"

    def use(self) -> asyncssh.SSHKey:
        return USER_KEY


class TestWhatMayBeShown:
    async def test_what_is_nearly_over_is_not_shown_but_asked_for_anew(
        self, make: Make, keys: Keys, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = asyncio.get_running_loop().time()
        source = [Perishable(now + 1), Perishable(now + 5), Perishable(now + 300)]

        async def private_key(user: str) -> Perishable:
            del user
            keys.asked += 1
            return source.pop(0)

        monkeypatch.setattr(keys, "private_key", private_key)
        assert await make(login_timeout=20.0).run("ada", ["x"], deadline=20) == Ran(0, b"x", b"")
        assert (keys.asked, server.logins) == (3, 1)

    async def test_an_rsa_key_is_not_shown_to_who_wants_sha_1(self, make: Make, keys: Keys, server: Server) -> None:
        await server.stop()
        server.signature_algs = "ssh-rsa"
        await server.start()
        keys.key = PrivateKey.parse(asyncssh.generate_private_key("ssh-rsa", key_size=2048).export_private_key())
        outcome = await make().run("ada", ["x"], deadline=20)
        assert cause(outcome) is Cause.AUTHENTICATION_FAILED
        assert server.shown == []


class TestHostKeys:
    async def test_another_key(self, runner: Runner, server: Server) -> None:
        await server.stop()
        server.host_key = asyncssh.generate_private_key("ssh-ed25519")
        await server.start()
        outcome = await runner.run("ada", ["x"], deadline=20)
        assert cause(outcome) is Cause.HOST_KEY_MISMATCH
        assert f"presented {server.host_key.get_fingerprint()}" in message(outcome)
        assert f"expected {HOST_KEY.get_fingerprint()}" in message(outcome)

    async def test_a_revoked_key(self, make: Make) -> None:
        public = HOST_KEY.export_public_key().decode()
        outcome = await make(known_hosts=f"127.0.0.1 {public}@revoked * {public}").run("ada", ["x"], deadline=20)
        assert cause(outcome) is Cause.HOST_KEY_MISMATCH
        assert "revoked" in message(outcome)

    @pytest.mark.parametrize(
        ("principal", "signer", "expected"),
        [
            ("127.0.0.1", AUTHORITY, None),
            ("login2", AUTHORITY, "rincipal"),
            ("127.0.0.1", HOST_KEY, f"presented a certificate signed by {HOST_KEY.get_fingerprint()}"),
        ],
        ids=["right", "another host", "another signer"],
    )
    async def test_a_host_certificate(
        self, make: Make, server: Server, principal: str, signer: asyncssh.SSHKey, expected: str | None
    ) -> None:
        await server.stop()
        server.certificate = signer.generate_host_certificate(HOST_KEY, "login1", principals=[principal])
        await server.start()
        known_hosts = f"@cert-authority 127.0.0.1 {AUTHORITY.export_public_key().decode()}"
        outcome = await make(known_hosts=known_hosts).run("ada", ["x"], deadline=20)
        if expected is None:
            assert outcome == Ran(0, b"x", b"")
        else:
            assert cause(outcome) is Cause.HOST_KEY_MISMATCH
            assert expected in message(outcome)
            assert f"expected a certificate signed by {AUTHORITY.get_fingerprint()}" in message(outcome)


class TestLife:
    async def test_an_idle_connection_is_closed(self, make: Make, server: Server, counts: Counts) -> None:
        runner = make(idle_close=1)
        for _ in range(3):
            await runner.run("ada", ["x"], deadline=20)
        assert (server.live, counts.now, counts.ever) == (1, 1, 1)
        await until(lambda: not server.live)
        assert (counts.now, counts.ever) == (0, 1)

    async def test_a_connection_in_use_is_not_idle(self, make: Make, server: Server) -> None:
        runner = make(idle_close=2)
        for _ in range(3):
            await runner.run("ada", ["x"], deadline=20)
            await asyncio.sleep(1.2)
        assert len(server.connections) == 1

    async def test_an_old_connection_finishes_its_commands_and_takes_no_more(self, make: Make, server: Server) -> None:
        runner = make(max_age=1)
        async with command_running(runner, server) as first:
            await asyncio.sleep(1.1)
            assert await runner.run("ada", ["2"], deadline=20) == Ran(0, b"2", b"")
        assert await first == Ran(0, b"1", b"")
        assert len(server.connections) == 2

    async def test_a_lost_connection_is_replaced(self, runner: Runner, server: Server) -> None:
        await runner.run("ada", ["x"], deadline=20)
        server.connections[0].abort()
        assert await runner.run("ada", ["x"], deadline=20) == Ran(0, b"x", b"")

    async def test_a_silent_connection_is_noticed(self, make: Make, server: Server) -> None:
        runner = make(keepalive=0.1)
        async with command_running(runner, server) as running:
            server.connections[0]._transport.pause_reading()  # type: ignore[union-attr]
            outcome = await running
        assert isinstance(outcome, Unknown)
        assert "not responding to keepalive" in outcome.message

    async def test_forget_lets_commands_end_and_asks_for_the_key_again(
        self, runner: Runner, server: Server, keys: Keys
    ) -> None:
        async with command_running(runner, server) as first:
            await runner.forget("ada")
            assert await runner.run("ada", ["2"], deadline=20) == Ran(0, b"2", b"")
        assert await first == Ran(0, b"1", b"")
        assert keys.asked == 2
        await until(lambda: server.live == 1)

    async def test_forget_makes_room_for_those_who_wait(self, make: Make, server: Server) -> None:
        runner = make(connections_per_user=1, sessions_per_connection=1)
        async with command_running(runner, server):
            waiting = asyncio.create_task(runner.run("ada", ["2"], deadline=10))
            await asyncio.sleep(0.1)
            await runner.forget("ada")
            assert await waiting == Ran(0, b"2", b"")

    async def test_forget_while_connecting_starts_over(self, runner: Runner, server: Server, keys: Keys) -> None:
        server.login_seconds = 1
        running = asyncio.create_task(runner.run("ada", ["x"], deadline=20))
        await until(lambda: len(server.connections) > 0)
        await runner.forget("ada")
        assert await running == Ran(0, b"x", b"")
        assert keys.asked == 2

    async def test_closing_tells_everybody(self, make: Make, server: Server) -> None:
        runner = make(connections_per_user=1, sessions_per_connection=1)
        async with command_running(runner, server) as running:
            server.login_seconds = 20
            waiting = asyncio.create_task(runner.run("ada", ["x"], deadline=20))
            connecting = asyncio.create_task(runner.run("grace", ["x"], deadline=20))
            await until(lambda: len(server.connections) == 2)
            await runner.close()
            assert isinstance(await running, Unknown)
        late = [runner.run(user, ["x"], deadline=20) for user in ("ada", "new")]
        outcomes = await asyncio.gather(waiting, connecting, *late)
        assert [cause(outcome) for outcome in outcomes] == [Cause.CLOSING] * 4


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def command_running(runner: Runner, server: Server) -> AsyncIterator[asyncio.Task[Outcome]]:
    """The command `1`, which ends when the block does."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(process: Process) -> None:
        if process.command == "1":
            started.set()
            await ended.wait()
        await echo(process)

    server.behave = wait
    task = asyncio.create_task(runner.run("ada", ["1"], deadline=20))
    await started.wait()
    yield task
    ended.set()


async def forever(process: Process) -> None:
    await process.stdin.read()
    await asyncio.sleep(60)


async def soon(process: Process) -> None:
    await asyncio.sleep(0.01)
    await echo(process)


def elsewhere(port: int) -> dict[str, object]:
    return {"hosts": (Host("127.0.0.1", port),), "known_hosts": KNOWN_HOSTS}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
