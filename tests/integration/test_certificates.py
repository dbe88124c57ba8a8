"""Certificates and jump hosts against Debian's own sshd. Nobody has an authorized_keys here."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace

import asyncssh
import pytest

from slurmgate.ssh.certificates import NO_COMMAND, Grant, certified_key, sign
from slurmgate.ssh.credentials import CertifiedKey, Credential, PrivateKey
from slurmgate.ssh.endpoint import Endpoint, JumpHost
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Ran
from slurmgate.ssh.runner import Runner
from tests.integration.sshd import Sshd, fingerprint, keygen

CERTIFICATES_ONLY = """
AuthorizedKeysFile none
TrustedUserCAKeys {home}/authority.pub
AuthorizedPrincipalsFile {home}/principals/%u
RevokedKeys {home}/revoked
HostCertificate {home}/host_key-cert.pub
"""
KEY_ID = "slurmgate/bed cluster=valhalla user=ada owners=ada@example.org"


def prepared() -> Sshd:
    sshd = Sshd.prepare()
    sshd.first = CERTIFICATES_ONLY
    home = sshd.home
    keygen(home / "authority")
    keygen(home / "another_authority")
    keygen(home / "host_authority")
    names = ["-h", "-n", "127.0.0.1", "-I", "bed", "-V", "-1d:+1d"]
    subprocess.run(["ssh-keygen", "-q", "-s", home / "host_authority", *names, home / "host_key.pub"], check=True)
    (home / "revoked").touch()
    (home / "principals").mkdir()
    for user in ("ada", "grace", "dash"):
        (home / "principals" / user).write_text(f"{user}\n")
    sshd.start()
    return sshd


@pytest.fixture(scope="module")
def running() -> Iterator[Sshd]:
    sshd = prepared()
    yield sshd
    sshd.stop()
    sshd.remove()


@pytest.fixture
def sshd(running: Sshd) -> Iterator[Sshd]:
    yield running
    (running.home / "revoked").write_text("")


@pytest.fixture(scope="module")
def jump() -> Iterator[Sshd]:
    """Another sshd, with an authority of its own and people who log in with keys, too."""
    jump = Sshd.prepare()
    jump.start()
    yield jump
    jump.stop()
    jump.remove()


def parsed(sshd: Sshd, name: str) -> PrivateKey:
    return PrivateKey.parse((sshd.home / name).read_bytes())


@dataclass
class Certified:
    """A key source that has certificates signed here."""

    authority: PrivateKey
    grant: Grant = field(default_factory=lambda: Grant(user="", key_id=KEY_ID, seconds=300))
    principals: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    async def private_key(self, user: str) -> CertifiedKey:
        self.asked += 1
        return await certified_key(self, replace(self.grant, user=self.principals.get(user, user)))

    async def sign(self, public_key: str, grant: Grant) -> str:
        return sign(self.authority, public_key, grant)


@dataclass
class Given:
    """A key source that has this."""

    key: Credential

    async def private_key(self, user: str) -> Credential:
        del user
        return self.key


@pytest.fixture
def keys(sshd: Sshd) -> Certified:
    return Certified(parsed(sshd, "authority"))


Make = Callable[..., Runner]


@pytest.fixture
async def make(sshd: Sshd, keys: Certified) -> AsyncIterator[Make]:
    runners: list[Runner] = []

    def make(endpoint: Endpoint | None = None, source: Certified | Given | None = None) -> Runner:
        runners.append(Runner(endpoint or sshd.endpoint(), source or keys))
        return runners[-1]

    yield make
    for runner in runners:
        await runner.close()
    assert [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}] == []


def refused(outcome: Outcome) -> str:
    assert isinstance(outcome, DidNotRun), outcome
    assert outcome.cause is Cause.AUTHENTICATION_FAILED
    return outcome.message


async def written(sshd: Sshd, words: str, *, since: int = 0) -> None:
    """Return once sshd's log has these words: it may write them after the client has heard."""
    async with asyncio.timeout(20):
        while words not in sshd.log()[since:]:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.05)


ADA = Ran(0, b"ada\n", b"")


# Who gets in ---------------------------------------------------------------------------------------------------------


async def test_a_certificate_lets_its_user_in_and_the_hosts_log_names_it(sshd: Sshd, make: Make) -> None:
    assert await make().run("ada", ["id", "-un"], deadline=20) == ADA
    assert f"ID {KEY_ID} (serial " in sshd.log()


async def test_a_certificate_lets_nobody_else_in(sshd: Sshd, make: Make, keys: Certified) -> None:
    keys.principals["grace"] = "ada"
    message = refused(await make().run("grace", ["id"], deadline=20))
    assert f"grace@[127.0.0.1]:{sshd.port} refused a certificate for ada" in message
    assert f"signed by {fingerprint(sshd.home / 'authority')}" in message
    assert "AuthorizedPrincipalsFile" in message
    assert "Certificate does not contain an authorized principal" in sshd.log()


async def test_every_connection_has_a_key_of_its_own(make: Make, keys: Certified) -> None:
    runner = make()
    first = await keys.private_key("ada")
    assert (await keys.private_key("ada")).use().public_data != first.use().public_data
    for _ in range(3):
        assert await runner.run("ada", ["id", "-un"], deadline=20) == ADA
    assert keys.asked == 3  # two here, and one for the one connection


async def test_a_certificate_of_another_authority_is_refused(sshd: Sshd, make: Make, keys: Certified) -> None:
    keys.authority = parsed(sshd, "another_authority")
    message = refused(await make().run("ada", ["id"], deadline=20))
    assert f"signed by {fingerprint(sshd.home / 'another_authority')}" in message
    assert "TrustedUserCAKeys" in message


async def test_a_certificate_that_is_over_is_refused(sshd: Sshd, make: Make, keys: Certified) -> None:
    """As by a host whose clock is wrong: what is over by our own clock is not even shown."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    now = int(time.time())
    over = keys.authority.use().generate_user_certificate(key, KEY_ID, principals=["ada"], valid_before=now - 1)
    pair, _ = asyncssh.load_keypairs([(key, over)])
    source = Given(CertifiedKey("ada", "SHA256:x", KEY_ID, asyncio.get_running_loop().time() + 300, pair))
    assert "clock right" in refused(await make(source=source).run("ada", ["id"], deadline=20))
    assert "Certificate invalid: expired" in sshd.log()


async def test_a_certificate_is_good_where_it_may_be_used_from_and_nowhere_else(make: Make, keys: Certified) -> None:
    keys.grant = replace(keys.grant, source_addresses=("192.0.2.0/24",))
    assert "our address in sourceAddresses" in refused(await make().run("ada", ["id"], deadline=20))
    keys.grant = replace(keys.grant, source_addresses=("192.0.2.0/24", "127.0.0.0/8"))
    assert await make().run("ada", ["id", "-un"], deadline=20) == ADA


async def test_an_authority_that_is_revoked_opens_nothing(sshd: Sshd, make: Make) -> None:
    (sshd.home / "revoked").write_text((sshd.home / "authority.pub").read_text())
    assert "not revoked" in refused(await make().run("ada", ["id"], deadline=20))


def revoke(sshd: Sshd, key_id: str) -> None:
    spec = sshd.home / "spec"
    spec.write_text(f"id: {key_id}\n")
    revoked, authority = sshd.home / "revoked", sshd.home / "authority.pub"
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, "-s", authority, spec], check=True)


async def test_certificates_can_be_revoked_by_what_the_log_calls_them(sshd: Sshd, make: Make, keys: Certified) -> None:
    revoke(sshd, KEY_ID)
    refused(await make().run("ada", ["id"], deadline=20))
    keys.grant = replace(keys.grant, key_id="slurmgate/another")
    assert await make().run("ada", ["id", "-un"], deadline=20) == ADA


async def test_one_refusal_counts_once_however_many_certificates_there_are(sshd: Sshd, make: Make, keys: Certified) -> None:
    """fail2ban counts, and shuts out everybody."""
    keys.authority = parsed(sshd, "another_authority")
    runner, before = make(), sshd.log().count("Failed publickey")
    for _ in range(3):
        refused(await runner.run("ada", ["id"], deadline=20))
    await written(sshd, "Connection closed by authenticating user ada")
    assert sshd.log().count("Failed publickey") - before <= 1


# What they can do there ----------------------------------------------------------------------------------------------


async def test_a_forced_command_is_all_that_runs(make: Make, keys: Certified) -> None:
    keys.grant = replace(keys.grant, force_command='echo "not $SSH_ORIGINAL_COMMAND"')
    assert await make().run("ada", ["id", "-un"], deadline=20) == Ran(0, b"not id -un\n", b"")


@pytest.fixture
async def inside(sshd: Sshd, keys: Certified) -> AsyncIterator[Callable[..., object]]:
    """Whoever has stolen key and certificate within their five minutes."""
    opened: list[asyncssh.SSHClientConnection] = []

    async def enter(**changes: object) -> asyncssh.SSHClientConnection:
        keys.grant = replace(keys.grant, **changes)  # type: ignore[arg-type]
        key = await keys.private_key("ada")
        connection = await asyncssh.connect(
            "127.0.0.1",
            sshd.port,
            config=None,
            known_hosts=asyncssh.import_known_hosts(sshd.known_hosts),
            username="ada",
            client_keys=[key.use()],
            agent_path=None,
        )
        opened.append(connection)
        return connection

    yield enter
    for connection in opened:
        connection.close()
        await connection.wait_closed()


Enter = Callable[..., "asyncio.Future[asyncssh.SSHClientConnection]"]


async def test_nothing_can_be_forwarded_and_there_is_no_terminal(sshd: Sshd, inside: Enter) -> None:
    connection = await inside()
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_connection("127.0.0.1", sshd.port)
    with pytest.raises(asyncssh.ChannelListenError):
        await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", sshd.port)
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.run("tty", term_type="xterm")
    assert (await connection.run("id -un")).stdout == "ada\n"


async def test_for_a_jump_host_it_is_the_other_way_round(sshd: Sshd, inside: Enter) -> None:
    connection = await inside(jumps=True)
    reader, writer = await connection.open_connection("127.0.0.1", sshd.port)
    assert (await reader.readline()).startswith(b"SSH-2.0-OpenSSH")
    writer.close()
    done = await connection.run("id -un")
    assert (done.stdout, done.exit_status) == ("", 1), NO_COMMAND


# Over a jump host ----------------------------------------------------------------------------------------------------


def over(sshd: Sshd, jump: Sshd, *, user: str | None = None, key: str = "ada", known: str | None = None) -> Endpoint:
    """The way over a jump host, with a key of somebody there."""

    async def key_of(_: str) -> Credential:
        return parsed(jump, key)

    known_hosts = sshd.known_hosts + (jump.known_hosts if known is None else known)
    return replace(sshd.endpoint(), jump_hosts=(JumpHost(jump.host, user, key_of),), known_hosts=known_hosts)


@pytest.mark.parametrize("user", [None, "grace"])
async def test_a_jump_host_is_gone_over_and_left_with_the_connection(
    sshd: Sshd, jump: Sshd, make: Make, user: str | None
) -> None:
    runner = make(over(sshd, jump, user=user, key=user or "ada"))
    seen = len(jump.log())
    assert await runner.run("ada", ["id", "-un"], deadline=20) == ADA
    assert f"Accepted publickey for {user or 'ada'}" in jump.log()[seen:]
    await runner.close()
    await written(jump, "Disconnected from user", since=seen)


async def test_two_jump_hosts_are_a_chain(sshd: Sshd, jump: Sshd, make: Make, keys: Certified) -> None:
    """The login node is its own second jump host here: each takes certificates for jumping."""
    there = over(sshd, jump)
    last = Certified(keys.authority, replace(keys.grant, jumps=True))
    chain = replace(there, jump_hosts=(*there.jump_hosts, JumpHost(sshd.host, None, last.private_key)))
    assert await make(chain).run("ada", ["id", "-un"], deadline=20) == ADA


async def test_a_jump_host_with_another_key_is_not_gone_over(sshd: Sshd, jump: Sshd, make: Make) -> None:
    liar = f"[127.0.0.1]:{jump.port} {(jump.home / 'other_host_key.pub').read_text()}"
    seen = sshd.log().count("Accepted")
    outcome = await make(over(sshd, jump, known=liar)).run("ada", ["id"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.HOST_KEY_MISMATCH
    assert outcome.message.startswith(f"jump host [127.0.0.1]:{jump.port} presented {fingerprint(jump.home / 'host_key')}")
    assert f"expected {fingerprint(jump.home / 'other_host_key')}" in outcome.message
    assert sshd.log().count("Accepted") == seen


async def test_a_jump_host_without_a_key_is_not_gone_over(sshd: Sshd, jump: Sshd, make: Make) -> None:
    outcome = await make(over(sshd, jump, known="")).run("ada", ["id"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.NO_HOST_KEYS
    assert f"no usable host key is configured for [127.0.0.1]:{jump.port}" in outcome.message


async def test_behind_a_jump_host_the_login_node_is_verified_too(sshd: Sshd, jump: Sshd, make: Make) -> None:
    liar = f"[127.0.0.1]:{sshd.port} {(sshd.home / 'other_host_key.pub').read_text()}"
    endpoint = replace(over(sshd, jump), known_hosts=liar + jump.known_hosts)
    outcome = await make(endpoint).run("ada", ["id"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.HOST_KEY_MISMATCH
    assert outcome.message.startswith(f"[127.0.0.1]:{sshd.port} presented {fingerprint(sshd.home / 'host_key')}")


async def test_a_jump_host_that_refuses_everybodys_account_is_nobodys_fault(sshd: Sshd, jump: Sshd, make: Make) -> None:
    runner = make(over(sshd, jump, user="grace", key="ada"))
    outcome = await runner.run("ada", ["id"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.JUMP_REFUSED
    assert outcome.message.startswith(f"jump host grace@[127.0.0.1]:{jump.port} refused the ssh-ed25519 key")
    await written(jump, "authenticating user grace")
    seen = jump.log().count("Connection from")
    again = await runner.run("dash", ["id"], deadline=20)
    assert isinstance(again, DidNotRun)
    assert again.cause is Cause.JUMP_REFUSED
    assert jump.log().count("Connection from") == seen  # it is left alone for everybody


async def test_a_jump_host_that_refuses_the_user_refuses_only_him(sshd: Sshd, jump: Sshd, make: Make) -> None:
    message = refused(await make(over(sshd, jump, key="grace")).run("ada", ["id"], deadline=20))
    assert message.startswith(f"jump host ada@[127.0.0.1]:{jump.port} refused the ssh-ed25519 key")


async def test_what_a_jump_host_cannot_reach_is_unreachable(sshd: Sshd, jump: Sshd, make: Make) -> None:
    nobody = replace(sshd.host, port=9)
    endpoint = over(sshd, jump)
    known_hosts = endpoint.known_hosts.replace(f":{sshd.port} ", ":9 ")
    outcome = await make(replace(endpoint, hosts=(nobody,), known_hosts=known_hosts)).run("ada", ["id"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.UNREACHABLE
    assert outcome.message.startswith("[127.0.0.1]:9: the jump host does not connect us to it: ")


# Whom they get in to -------------------------------------------------------------------------------------------------


def public(sshd: Sshd, name: str) -> str:
    return (sshd.home / f"{name}.pub").read_text()


async def test_a_host_is_known_by_who_signed_its_key(sshd: Sshd, make: Make) -> None:
    known_hosts = f"@cert-authority [127.0.0.1]:{sshd.port} {public(sshd, 'host_authority')}"
    assert await make(replace(sshd.endpoint(), known_hosts=known_hosts)).run("ada", ["id", "-un"], deadline=20) == ADA


async def test_a_host_is_not_known_by_who_signed_others(sshd: Sshd, make: Make) -> None:
    known_hosts = f"@cert-authority [127.0.0.1]:{sshd.port} {public(sshd, 'another_authority')}"
    outcome = await make(replace(sshd.endpoint(), known_hosts=known_hosts)).run("ada", ["id"], deadline=20)
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.HOST_KEY_MISMATCH
    assert f"presented a certificate signed by {fingerprint(sshd.home / 'host_authority')}" in outcome.message
    assert f"expected a certificate signed by {fingerprint(sshd.home / 'another_authority')}" in outcome.message


@pytest.mark.parametrize("revoked", ["host_key", "host_authority"])
@pytest.mark.parametrize("by", ["its key", "who signed it"])
async def test_what_is_revoked_is_not_trusted(sshd: Sshd, make: Make, revoked: str, by: str) -> None:
    known = public(sshd, "host_key") if by == "its key" else public(sshd, "host_authority")
    marker = "" if by == "its key" else "@cert-authority "
    text = f"{marker}[127.0.0.1]:{sshd.port} {known}@revoked * {public(sshd, revoked)}"
    outcome = await make(replace(sshd.endpoint(), known_hosts=text)).run("ada", ["id", "-un"], deadline=20)
    if (by, revoked) == ("its key", "host_authority"):
        assert outcome == ADA
        return
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.HOST_KEY_MISMATCH
    assert f"presented what is revoked: {fingerprint(sshd.home / revoked)}" in outcome.message


async def test_during_a_rotation_both_keys_are_good(sshd: Sshd, make: Make) -> None:
    old = sshd.known_hosts
    new = f"[127.0.0.1]:{sshd.port} {public(sshd, 'new_kind_of_host_key')}"
    for text in (old + new, new + old):
        assert await make(replace(sshd.endpoint(), known_hosts=text)).run("ada", ["id", "-un"], deadline=20) == ADA
