"""The ssh room against Debian's own sshd, with accounts that exist only in a mount namespace of their own."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pytest

from bed import state
from bed.ports import reserve
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.outcome import Cause, DidNotRun, Ran, Unknown
from slurmgate.ssh.runner import Runner

pytestmark = pytest.mark.skipif(os.getuid() != 0 or not Path("/usr/sbin/sshd").exists(), reason="needs root and /usr/sbin/sshd")

ACCOUNTS = {"ada": "/bin/bash", "grace": "/bin/bash", "dash": "/bin/sh"}

NAMESPACE = """
mount --make-rprivate /
mount --bind {home}/etc /etc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -f {home}/sshd_config
"""

CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {home}/{host_key}
AuthorizedKeysFile {home}/keys/%u
StrictModes no
UsePAM no
PidFile none
MaxSessions 10
MaxStartups 10:30:100
LogLevel VERBOSE
"""


def keygen(path: Path, *options: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", *options, "-f", path], check=True)
    return path


@dataclass
class Sshd:
    """An sshd with its accounts. Started again it keeps its port."""

    home: Path
    port: int
    uids: range
    """No other process of the machine has them."""
    host_key: str = "host_key"
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def prepare(cls) -> Self:
        home = Path(tempfile.mkdtemp(prefix="slurmgate-sshd-"))
        home.chmod(0o755)
        (home / "keys").mkdir()
        keygen(home / "host_key")
        keygen(home / "other_host_key")
        keygen(home / "new_kind_of_host_key", "-t", "ecdsa")
        passwd, shadow = "", ""
        uids = range(100_000 + 10 * os.getpid(), 100_010 + 10 * os.getpid())
        for uid, (user, shell) in zip(uids, ACCOUNTS.items(), strict=False):
            keygen(home / user)
            shutil.copy(home / f"{user}.pub", home / "keys" / user)
            place = home / "homes" / user
            place.mkdir(parents=True)
            os.chown(place, uid, uid)
            passwd += f"{user}:x:{uid}:{uid}::{place}:{shell}\n"
            shadow += f"{user}:*:19000:0:99999:7:::\n"
        for kind in ("rsa", "ecdsa"):
            public = keygen(home / kind, "-t", kind).with_suffix(".pub").read_text()
            with (home / "keys" / "ada").open("a") as keys:
                keys.write(public)
        (home / "homes" / "grace" / ".bashrc").write_text("echo welcome to the cluster\necho really >&2\n")
        subprocess.run(["cp", "-a", "/etc", home / "etc"], check=True)
        for name, lines in (("passwd", passwd), ("shadow", shadow)):
            with (home / "etc" / name).open("a") as file:
                file.write(lines)
        home.joinpath("ports").symlink_to(state.root() / home.name)
        (home / "ports").resolve().mkdir(parents=True)
        (port,) = reserve(home / "ports", "sshd", 1)
        return cls(home, port, uids)

    def remove(self) -> None:
        shutil.rmtree((self.home / "ports").resolve())
        shutil.rmtree(self.home)

    def start(self) -> None:
        (self.home / "sshd_config").write_text(CONFIG.format(home=self.home, port=self.port, host_key=self.host_key))
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--kill-child", "--fork", "sh", "-euc", NAMESPACE.format(home=self.home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(3000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.01)
        raise AssertionError((self.home / "log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def processes(self) -> list[int]:
        """The listening sshd and everything below it, the youngest last."""
        assert self.process is not None
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):  # it has just ended
                for task in Path(f"/proc/{pid}/task").glob("*/children"):
                    found += map(int, task.read_text().split())
        return found[1:]

    def running(self, *command: str) -> list[int]:
        """Processes of the accounts with this command line, wherever they hang."""
        wanted = "".join(f"{word}\0" for word in command).encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.stat().st_uid in self.uids and (path / "cmdline").read_bytes() == wanted:
                    found.append(int(path.name))
        return found

    def of_connections(self) -> list[int]:
        """The sshd processes that serve connections."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sshd: ada"):
                    found.append(pid)
        return found

    @property
    def known_hosts(self) -> str:
        key = (self.home / "host_key.pub").read_text()
        return f"[127.0.0.1]:{self.port} {key}"

    def endpoint(self) -> Endpoint:
        return Endpoint(name="valhalla", hosts=(Host("127.0.0.1", self.port),), known_hosts=self.known_hosts)


@dataclass
class Keys:
    """Key files, read each time as the real sources do."""

    home: Path
    files: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    async def private_key(self, user: str) -> PrivateKey:
        self.asked += 1
        path = self.home / self.files.get(user, user)
        if not path.exists():
            raise KeyUnavailable(f"no key for {user}")
        return PrivateKey.parse(path.read_bytes())


@pytest.fixture(scope="module")
def running() -> Iterator[Sshd]:
    sshd = Sshd.prepare()
    sshd.start()
    yield sshd
    sshd.stop()
    sshd.remove()


@pytest.fixture
def sshd(running: Sshd) -> Iterator[Sshd]:
    if running.process is None:
        running.start()
    yield running
    if running.host_key != "host_key":
        running.stop()
        running.host_key = "host_key"


@pytest.fixture
def keys(sshd: Sshd) -> Keys:
    return Keys(sshd.home)


Make = Callable[[Endpoint], Runner]


@pytest.fixture
async def make(keys: Keys) -> AsyncIterator[Make]:
    runners: list[Runner] = []

    def make(endpoint: Endpoint) -> Runner:
        runners.append(Runner(endpoint, keys))
        return runners[-1]

    yield make
    for runner in runners:
        await runner.close()
    assert [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}] == []


@pytest.fixture
def runner(make: Make, sshd: Sshd) -> Runner:
    return make(sshd.endpoint())


async def test_a_command_runs_as_the_user(runner: Runner) -> None:
    outcome = await runner.run("ada", ["sh", "-c", "id -un; echo oh >&2; exit 3"], deadline=20)
    assert outcome == Ran(3, b"ada\n", b"oh\n")


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
async def test_other_kinds_of_keys(keys: Keys, runner: Runner, kind: str) -> None:
    keys.files["ada"] = kind
    assert await runner.run("ada", ["id", "-un"], deadline=20) == Ran(0, b"ada\n", b"")


async def test_a_signal_is_named(runner: Runner) -> None:
    outcome = await runner.run("ada", ["sh", "-c", "kill -9 $$"], deadline=20)
    assert outcome == Ran(-1, b"", b"", "KILL")


async def test_noise_of_login_files_is_part_of_the_answer(runner: Runner) -> None:
    assert await runner.run("grace", ["echo", "42"], deadline=20) == Ran(0, b"welcome to the cluster\n42\n", b"really\n")


@pytest.mark.parametrize("user", ["ada", "dash"])
async def test_words_arrive_as_they_are(runner: Runner, user: str) -> None:
    words = ["", "a b", "it's", '"', "$HOME", "`id`", "*", "\\", "a;b", "ü", "-n", "!x"]
    outcome = await runner.run(user, ["printf", r"%s\0", *words], deadline=20)
    assert outcome == Ran(0, "".join(f"{word}\0" for word in words).encode(), b"")


async def test_five_mebibytes_go_there_and_back_unchanged(runner: Runner) -> None:
    data = os.urandom(5 * 1024 * 1024)
    outcome = await runner.run("ada", ["cat"], stdin=data, deadline=60)
    assert isinstance(outcome, Ran)
    assert outcome.stdout == data


async def test_stdin_that_nobody_reads_is_no_failure(runner: Runner) -> None:
    assert await runner.run("ada", ["true"], stdin=bytes(5 * 1024 * 1024), deadline=20) == Ran(0, b"", b"")


async def test_twenty_megabytes_of_output_arrive(runner: Runner) -> None:
    outcome = await runner.run("ada", ["head", "-c", "20000000", "/dev/zero"], deadline=60)
    assert isinstance(outcome, Ran)
    assert outcome.stdout == bytes(20_000_000)


async def test_too_much_output_is_stopped(sshd: Sshd, runner: Runner) -> None:
    outcome = await runner.run("ada", ["yes", "too much"], deadline=60, output_limit=1_000_000)
    assert outcome == Unknown("stopped after 1000000 bytes of output", connected=True)
    await gone(sshd, "yes", "too much")
    assert await runner.run("ada", ["echo", "on"], deadline=20) == Ran(0, b"on\n", b"")


async def test_thirty_at_once_all_succeed_although_sshd_allows_ten_sessions(runner: Runner) -> None:
    outcomes = await asyncio.gather(*(runner.run("ada", ["sh", "-c", f"sleep 0.2; echo {n}"], deadline=60) for n in range(30)))
    assert outcomes == [Ran(0, f"{n}\n".encode(), b"") for n in range(30)]


async def test_a_server_that_allows_fewer_sessions_is_asked_for_fewer(make: Make, sshd: Sshd) -> None:
    greedy = make(replace(sshd.endpoint(), sessions_per_connection=15, connections_per_user=1))
    outcomes = await asyncio.gather(*(greedy.run("ada", ["sleep", "0.1"], deadline=60) for _ in range(40)))
    assert outcomes == [Ran(0, b"", b"")] * 40


async def test_connections_are_shared_and_bounded(keys: Keys, runner: Runner) -> None:
    for _ in range(5):
        await runner.run("ada", ["true"], deadline=20)
    assert keys.asked == 1
    await asyncio.gather(*(runner.run("ada", ["sleep", "0.2"], deadline=60) for _ in range(60)))
    assert keys.asked == 4


async def test_a_changed_host_key_is_refused_and_both_fingerprints_named(make: Make, sshd: Sshd) -> None:
    sshd.stop()
    sshd.host_key = "other_host_key"
    sshd.start()
    outcome = await make(sshd.endpoint()).run("ada", ["true"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.HOST_KEY_MISMATCH
    assert f"presented {fingerprint(sshd.home / 'other_host_key')}" in outcome.message
    assert f"expected {fingerprint(sshd.home / 'host_key')}" in outcome.message


async def test_a_host_key_of_another_kind_is_named_too(make: Make, sshd: Sshd) -> None:
    sshd.stop()
    sshd.host_key = "new_kind_of_host_key"
    sshd.start()
    outcome = await make(sshd.endpoint()).run("ada", ["true"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.HOST_KEY_MISMATCH
    assert f"presented {fingerprint(sshd.home / 'new_kind_of_host_key')}" in outcome.message


async def test_without_a_host_key_nothing_is_sent(make: Make, sshd: Sshd) -> None:
    outcome = await make(replace(sshd.endpoint(), known_hosts="")).run("ada", ["true"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.NO_HOST_KEYS
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1" in outcome.message


async def test_a_wrong_key_is_named(keys: Keys, runner: Runner, sshd: Sshd) -> None:
    keys.files["ada"] = "grace"
    outcome = await runner.run("ada", ["true"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.AUTHENTICATION_FAILED
    assert "ada@[127.0.0.1]" in outcome.message
    assert fingerprint(sshd.home / "grace") in outcome.message


async def test_a_new_key_is_used_after_forget(keys: Keys, runner: Runner) -> None:
    assert await runner.run("ada", ["true"], deadline=20) == Ran(0, b"", b"")
    keys.files["ada"] = "grace"
    assert await runner.run("ada", ["true"], deadline=20) == Ran(0, b"", b"")
    await runner.forget("ada")
    outcome = await runner.run("ada", ["true"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.AUTHENTICATION_FAILED


async def test_nobody_listening(make: Make, sshd: Sshd) -> None:
    sshd.stop()
    outcome = await make(sshd.endpoint()).run("ada", ["true"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.UNREACHABLE
    assert "Connection refused" in outcome.message


async def test_the_next_host_is_used_when_one_is_unreachable(make: Make, sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = server.getsockname()[1]
    hosts = (Host("127.0.0.1", dead), Host("127.0.0.1", sshd.port))
    known_hosts = sshd.known_hosts + sshd.known_hosts.replace(str(sshd.port), str(dead))
    runner = make(replace(sshd.endpoint(), hosts=hosts, known_hosts=known_hosts))
    assert await runner.run("ada", ["true"], deadline=20) == Ran(0, b"", b"")


async def test_sshd_killed_in_the_middle_is_unknown_and_the_next_command_connects_again(runner: Runner, sshd: Sshd) -> None:
    running = asyncio.create_task(runner.run("ada", ["sleep", "61"], deadline=30))
    await appeared(sshd, "sleep", "61")
    for pid in sshd.of_connections():
        os.kill(pid, signal.SIGKILL)
    outcome = await running
    assert isinstance(outcome, Unknown)
    assert "the connection ended while the command ran" in outcome.message
    assert await runner.run("ada", ["true"], deadline=20) == Ran(0, b"", b"")


async def test_a_command_over_its_deadline_is_ended_and_unknown(runner: Runner, sshd: Sshd) -> None:
    await runner.run("ada", ["true"], deadline=20)
    outcome = await runner.run("ada", ["sleep", "62"], deadline=1)
    assert outcome == Unknown("valhalla: the command did not end within 1 s", connected=True)
    await gone(sshd, "sleep", "62")


async def test_a_stalled_server_keeps_nobody_beyond_the_deadline(runner: Runner, sshd: Sshd) -> None:
    await runner.run("ada", ["true"], deadline=20)
    stalled = sshd.of_connections()
    for pid in stalled:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        outcome = await runner.run("ada", ["true"], deadline=1)
        assert time.monotonic() - started < 5
        assert isinstance(outcome, DidNotRun)
    finally:
        for pid in stalled:
            os.kill(pid, signal.SIGCONT)
    assert await runner.run("ada", ["true"], deadline=20) == Ran(0, b"", b"")


async def test_cancelling_loses_no_session(make: Make, sshd: Sshd) -> None:
    runner = make(replace(sshd.endpoint(), connections_per_user=1))
    for delay in (0, 0.01, 0.05, 0.2, 0.5):
        tasks = [asyncio.create_task(runner.run("ada", ["sleep", "63"], deadline=30)) for _ in range(12)]
        await asyncio.sleep(delay)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await gone(sshd, "sleep", "63")
    outcomes = await asyncio.gather(*(runner.run("ada", ["sleep", "0.1"], deadline=30) for _ in range(12)))
    assert outcomes == [Ran(0, b"", b"")] * 12


async def test_a_session_that_is_never_freed_costs_the_connection_and_nothing_else(make: Make, sshd: Sshd) -> None:
    runner = make(replace(sshd.endpoint(), connections_per_user=1, sessions_per_connection=1))
    await runner.run("ada", ["true"], deadline=20)
    stubborn = ["sh", "-c", "trap '' TERM HUP; exec >/dev/null 2>&1 </dev/null; sleep 64; sleep 65"]
    assert isinstance(await runner.run("ada", stubborn, deadline=1), Unknown)
    assert await runner.run("ada", ["echo", "on"], deadline=30) == Ran(0, b"on\n", b"")
    for pid in sshd.running("sleep", "64") + sshd.running("sleep", "65"):
        os.kill(pid, signal.SIGKILL)


async def test_a_process_left_behind_does_not_hold_up_the_answer(runner: Runner) -> None:
    outcome = await runner.run("ada", ["sh", "-c", "sleep 66 & echo $!"], deadline=30)
    assert isinstance(outcome, Ran)
    os.kill(int(outcome.stdout), signal.SIGKILL)


async def test_closing_ends_what_runs_as_unknown(make: Make, sshd: Sshd) -> None:
    runner = make(sshd.endpoint())
    tasks = [asyncio.create_task(runner.run("ada", ["sleep", "9"], deadline=30)) for _ in range(30)]
    await appeared(sshd, "sleep", "9")
    await runner.close()
    outcomes = await asyncio.gather(*tasks)
    assert {type(outcome) for outcome in outcomes} == {Unknown, DidNotRun}
    last = await runner.run("ada", ["true"], deadline=5)
    assert isinstance(last, DidNotRun)
    assert last.cause is Cause.CLOSING


async def appeared(sshd: Sshd, *command: str) -> None:
    async with asyncio.timeout(20):
        while not sshd.running(*command):  # noqa: ASYNC110 - processes have no event
            await asyncio.sleep(0.05)


async def gone(sshd: Sshd, *command: str) -> None:
    async with asyncio.timeout(20):
        while sshd.running(*command):  # noqa: ASYNC110 - processes have no event
            await asyncio.sleep(0.05)


def fingerprint(key: Path) -> str:
    return subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True).stdout.split()[1]
