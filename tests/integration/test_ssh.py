"""The ssh room against Debian's own sshd, with accounts that exist only in a mount namespace of their own."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.outcome import Cause, DidNotRun, Ran, Unknown
from slurmgate.ssh.runner import Runner
from tests.integration.sshd import Keys, Sshd, fingerprint, keygen


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


def authorize(sshd: Sshd, name: str, *options: str) -> None:
    """Make a key with which ada may log in."""
    public = keygen(sshd.home / name, *options).with_suffix(".pub").read_text()
    with (sshd.home / "keys" / "ada").open("a") as authorized:
        authorized.write(public)


@pytest.mark.parametrize("kind", ["rsa-2048", "ecdsa-256", "ecdsa-384", "ecdsa-521", "ed25519-256"])
@pytest.mark.parametrize("words", ["", "correct horse"])
async def test_all_kinds_of_keys_with_and_without_a_passphrase(
    sshd: Sshd, keys: Keys, runner: Runner, kind: str, words: str
) -> None:
    keys.files["ada"], keys.passphrases["ada"] = f"{kind}-{bool(words)}", words
    name, bits = kind.split("-")
    authorize(sshd, keys.files["ada"], "-t", name, "-b", bits, "-N", words)
    assert await runner.run("ada", ["id", "-un"], deadline=20) == Ran(0, b"ada\n", b"")


@pytest.mark.parametrize("form", ["PEM", "PKCS8"])
async def test_other_forms_of_a_passphrase(sshd: Sshd, keys: Keys, runner: Runner, form: str) -> None:
    keys.files["ada"], keys.passphrases["ada"] = f"rsa-{form}", "correct horse"
    authorize(sshd, keys.files["ada"], "-t", "rsa", "-b", "2048", "-m", form, "-N", "correct horse")
    assert await runner.run("ada", ["id", "-un"], deadline=20) == Ran(0, b"ada\n", b"")


async def test_an_rsa_key_signs_with_sha_2_and_never_with_sha_1(sshd: Sshd, keys: Keys, make: Make) -> None:
    keys.files["ada"] = "rsa"
    assert await make(sshd.endpoint()).run("ada", ["id", "-un"], deadline=20) == Ran(0, b"ada\n", b"")
    sshd.stop()
    sshd.first = "PubkeyAcceptedAlgorithms ssh-rsa"
    sshd.start()
    outcome = await make(sshd.endpoint()).run("ada", ["id", "-un"], deadline=20)
    sshd.stop()
    sshd.first = ""
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.AUTHENTICATION_FAILED


async def test_a_host_that_signs_with_sha_1_only_is_not_talked_to(sshd: Sshd, make: Make) -> None:
    sshd.stop()
    sshd.host_key, sshd.first = "rsa", "HostKeyAlgorithms ssh-rsa"
    sshd.start()
    trusted = f"[127.0.0.1]:{sshd.port} {(sshd.home / 'rsa.pub').read_text()}"
    outcome = await make(replace(sshd.endpoint(), known_hosts=trusted)).run("ada", ["id"], deadline=20)
    sshd.first = ""
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.UNREACHABLE
    sshd.stop()
    sshd.start()
    runner = make(replace(sshd.endpoint(), known_hosts=trusted))
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
    assert outcome == Unknown("stopped after 1000000 bytes of output", connected=True, too_much=True)
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


async def test_a_stalled_connection_is_noticed_and_replaced_and_its_command_is_unknown(make: Make, sshd: Sshd) -> None:
    runner = make(replace(sshd.endpoint(), keepalive=0.3))
    running = asyncio.create_task(runner.run("ada", ["sleep", "67"], deadline=30))
    await appeared(sshd, "sleep", "67")
    stalled = sshd.of_connections()
    for pid in stalled:
        os.kill(pid, signal.SIGSTOP)
    try:
        outcome = await running
        assert isinstance(outcome, Unknown)
        assert not outcome.connected
        assert await runner.run("ada", ["true"], deadline=20) == Ran(0, b"", b"")
    finally:
        for pid in [*stalled, *sshd.running("sleep", "67")]:
            os.kill(pid, signal.SIGKILL)


async def test_a_user_whose_keys_are_away_is_left_alone_and_others_are_served(make: Make, sshd: Sshd) -> None:
    runner = make(sshd.endpoint())
    authorized = sshd.home / "keys" / "ada"
    authorized.rename(authorized.with_name("away"))
    try:
        outcomes = [await runner.run("ada", ["true"], deadline=20) for _ in range(5)]
        assert {outcome.cause for outcome in outcomes if isinstance(outcome, DidNotRun)} == {Cause.AUTHENTICATION_FAILED}
        assert await runner.run("dash", ["true"], deadline=20) == Ran(0, b"", b"")
    finally:
        authorized.with_name("away").rename(authorized)
    assert isinstance(await runner.run("ada", ["true"], deadline=20), DidNotRun)
    await runner.forget("ada")
    assert await runner.run("ada", ["true"], deadline=20) == Ran(0, b"", b"")


@pytest.mark.slow
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


@pytest.mark.slow
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
