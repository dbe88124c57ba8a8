"""A real SSH server in the test's own event loop, for what no sshd can be made to do."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import asyncssh
from typing_extensions import override

from slurmgate.ssh.credentials import PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.outcome import Cause

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
AUTHORITY = asyncssh.generate_private_key("ssh-ed25519")
USER_KEY = asyncssh.generate_private_key("ssh-ed25519")

Process = asyncssh.SSHServerProcess[bytes]


async def echo(process: Process) -> None:
    """Answer with the command itself."""
    with suppress(BrokenPipeError):  # the client may have left
        process.stdout.write((process.command or "").encode())
    process.exit(0)


@dataclass
class Server:
    """What the server does, and what it saw."""

    behave: Callable[[Process], Awaitable[None]] = echo
    accepts_sessions: bool = True
    accepts_commands: bool = True
    hangs_up_on_commands: bool = False
    session_seconds: float = 0.0
    most_sessions: int = 1_000
    refusals: int = 0
    login_seconds: float = 0.0
    hangs_up_after_login: bool = False
    host_key: asyncssh.SSHKey = HOST_KEY
    certificate: asyncssh.SSHCertificate | None = None
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    logins: int = 0
    """Begun, after the client took the host key."""
    logging_in: int = 0
    most_logging_in: int = 0
    signature_algs: str = ""
    """Those that it says it takes; empty: asyncssh's own."""
    shown: list[asyncssh.SSHKey] = field(default_factory=list)
    """Keys that it was asked about."""
    port: int = 0
    acceptor: asyncssh.SSHAcceptor | None = None

    async def start(self) -> None:
        key = (self.host_key, self.certificate) if self.certificate else self.host_key
        self.acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: Visitor(self),
            server_host_keys=[key],
            encoding=None,
            signature_algs=self.signature_algs or (),
            config=None,
            x509_trusted_certs=None,
            gss_host=None,
        )
        self.port = self.acceptor.get_port()

    async def stop(self) -> None:
        if self.acceptor is not None:
            self.acceptor.close()
            for connection in self.connections:
                connection.abort()
            await self.acceptor.wait_closed()

    @property
    def live(self) -> int:
        """Connections that are open now."""
        return sum(not connection.is_closed() for connection in self.connections)

    def endpoint(self, **changes: object) -> Endpoint:
        """How to reach it, with the host key it has now."""
        public = self.host_key.export_public_key().decode()
        known_hosts = f"[127.0.0.1]:{self.port} {public}"
        endpoint = Endpoint(name="valhalla", hosts=(Host("127.0.0.1", self.port),), known_hosts=known_hosts)
        return replace(endpoint, **changes)  # type: ignore[arg-type]


class Visitor(asyncssh.SSHServer):
    """One connection, seen from the server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._logging_in = False
        self._sessions = 0

    @override
    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.append(conn)
        self._count(1)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._logging_in:
            self._count(-1)

    @override
    def auth_completed(self) -> None:
        self._count(-1)
        if self._server.hangs_up_after_login:
            self._connection.close()

    @override
    async def begin_auth(self, username: str) -> bool:
        del username
        self._server.logins += 1
        await asyncio.sleep(self._server.login_seconds)
        return True

    @override
    def public_key_auth_supported(self) -> bool:
        return True

    @override
    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._server.shown.append(key)
        return username != "stranger" and key == USER_KEY.convert_to_public()

    @override
    def session_requested(self) -> bool | Awaitable[asyncssh.SSHServerSession[bytes]]:
        if not self._server.accepts_sessions or self._sessions == self._server.most_sessions:
            self._server.refusals += 1
            return False
        self._sessions += 1
        return self._session()

    async def _session(self) -> asyncssh.SSHServerSession[bytes]:
        await asyncio.sleep(self._server.session_seconds)
        if not self._server.accepts_commands or self._server.hangs_up_on_commands:
            return NoCommands(hangs_up=self._server.hangs_up_on_commands)
        return asyncssh.SSHServerProcess(self._process, None, 0, False)  # noqa: FBT003 - no names to pass them by

    async def _process(self, process: Process) -> None:
        try:
            await self._server.behave(process)
        finally:
            self._sessions -= 1

    def _count(self, change: int) -> None:
        self._logging_in = change > 0
        self._server.logging_in += change
        self._server.most_logging_in = max(self._server.most_logging_in, self._server.logging_in)


class NoCommands(asyncssh.SSHServerSession[bytes]):
    """Opens, and refuses to run anything; or ends the connection, having heard what to run."""

    def __init__(self, *, hangs_up: bool) -> None:
        self._hangs_up = hangs_up

    @override
    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    @override
    def exec_requested(self, command: str) -> bool:
        del command
        if self._hangs_up:
            self._channel.get_connection().close()
        return False


@dataclass
class Keys:
    """A key source."""

    key: PrivateKey = field(default_factory=lambda: PrivateKey.parse(USER_KEY.export_private_key()))
    problem: Exception | None = None
    seconds: float = 0.0
    asked: int = 0

    async def private_key(self, user: str) -> PrivateKey:
        del user
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.problem:
            raise self.problem
        return self.key


@dataclass
class Counts:
    """An observer."""

    now: int = 0
    ever: int = 0
    failed: list[Cause] = field(default_factory=list)

    def connected(self, cluster: str) -> None:
        assert cluster == "valhalla"
        self.now += 1
        self.ever += 1

    def disconnected(self, cluster: str) -> None:
        assert cluster == "valhalla"
        self.now -= 1

    def connect_failed(self, cluster: str, cause: Cause) -> None:
        assert cluster == "valhalla"
        self.failed.append(cause)
