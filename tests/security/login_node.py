"""Login nodes that are up to no good: real SSH servers in a thread of the test, doing what no sshd would."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncssh
from typing_extensions import override

from tests.security.mutants import AGENT

ADDRESS = "127.0.0.1"
MEGABYTE = 2**20
MOST_SENT = 16 * MEGABYTE
ENOUGH = b"x" * 2**16


@dataclass
class LoginNode:
    """One that somebody evil runs, and what he has got so far."""

    host_key: asyncssh.SSHKey
    port: int = 0
    logins: int = 0
    """Users who have proved who they are."""
    sent: int = 0
    """Bytes of one answer that were listened to, at most."""
    refusals: list[str] = field(default_factory=list)
    """What was said to what he asked for."""
    agents: int = 0
    """Agents of the operator that he could talk to."""

    @property
    def public(self) -> str:
        """Its host key as known_hosts has it."""
        return self.host_key.export_public_key().decode().strip()


class Session(asyncssh.SSHServerSession[bytes]):
    """One command that somebody runs there."""

    def __init__(self, node: LoginNode, connection: Any, behave: "Behaviour") -> None:
        self._node = node
        self._behave = behave
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.connection = connection

    @override
    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.channel = chan

    @override
    def exec_requested(self, command: str) -> bool:
        return True

    @override
    def session_started(self) -> None:
        self._task = asyncio.create_task(self._behave(self._node, self))

    @override
    def eof_received(self) -> bool:
        return True

    @override
    def pause_writing(self) -> None:
        self._may_write.clear()

    @override
    def resume_writing(self) -> None:
        self._may_write.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._may_write.set()

    async def flood(self, stream: int | None) -> None:
        """Write as much as is listened to."""
        sent = 0
        with suppress(BrokenPipeError):
            while sent < MOST_SENT:
                self.channel.write(ENOUGH, stream)
                await asyncio.sleep(0)
                await self._may_write.wait()
                sent += len(ENOUGH)
                self._node.sent = max(self._node.sent, sent)


Behaviour = Callable[[LoginNode, Session], Coroutine[Any, Any, None]]


async def endless(_: LoginNode, session: Session) -> None:
    """An answer that begins as it should and never ends."""
    session.channel.write(b"\nSLURMGATE-BEGIN\n")
    await session.flood(None)


async def endless_complaints(_: LoginNode, session: Session) -> None:
    """The same to stderr."""
    await session.flood(asyncssh.EXTENDED_DATA_STDERR)


async def boastful(_: LoginNode, session: Session) -> None:
    """Say that the cluster has very many partitions."""
    rows = "".join(f"partition=p{number}|up|1|1|\n" for number in range(36_000))
    text = f"\nSLURMGATE-BEGIN\nSLURM_VERSION={'9' * 5000}\nClusterName=boastful\nPrivateData=none\n"
    text += f"AccountingStorageType=accounting_storage/slurmdbd\n{rows}SLURMGATE-END\n"
    session.channel.write(text.encode())
    session.channel.exit(0)


async def wants_agent(node: LoginNode, session: Session) -> None:
    """Ask for the agent of whoever logs in."""
    try:
        await session.connection.create_agent_channel().open(asyncssh.SSHUNIXSession)
        node.agents += 1
    except asyncssh.ChannelOpenError as error:
        node.refusals.append(error.reason)
    session.channel.exit(1)


@contextmanager
def login_node(behave: Behaviour) -> Iterator[LoginNode]:
    """One that lets everybody in, and then behaves like this."""
    node = LoginNode(asyncssh.generate_private_key("ssh-ed25519"))

    class Visitor(asyncssh.SSHServer):
        @override
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self._connection = conn

        @override
        def session_requested(self) -> Session:
            return Session(node, self._connection, behave)

        @override
        def begin_auth(self, username: str) -> bool:
            return True

        @override
        def public_key_auth_supported(self) -> bool:
            return True

        @override
        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return True

        @override
        def auth_completed(self) -> None:
            node.logins += 1

    async def serve() -> asyncssh.SSHAcceptor:
        acceptor = await asyncssh.listen(
            ADDRESS,
            0,
            server_factory=Visitor,
            server_host_keys=[node.host_key],
            encoding=None,
            config=None,
        )
        node.port = acceptor.get_port()
        return acceptor

    with _in_a_thread() as run:
        acceptor = run(serve())
        try:
            yield node
        finally:
            run(_closed(acceptor))


@contextmanager
def garbage() -> Iterator[LoginNode]:
    """One that is none: it goes on sending lines for ever."""
    node = LoginNode(asyncssh.generate_private_key("ssh-ed25519"))

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = b"this is not the SSH that you are looking for\r\n" * 100
        with suppress(OSError):
            for count in range(MOST_SENT // len(line)):
                writer.write(line)
                await writer.drain()
                node.sent = max(node.sent, count * len(line))
        writer.close()

    async def serve() -> asyncio.Server:
        server = await asyncio.start_server(babble, ADDRESS, 0)
        node.port = server.sockets[0].getsockname()[1]
        return server

    with _in_a_thread() as run:
        server = run(serve())
        try:
            yield node
        finally:
            run(_stopped(server))


async def _closed(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()


async def _stopped(server: asyncio.Server) -> None:
    server.close()


@contextmanager
def agent() -> Iterator[None]:
    """Something that listens where an agent of the operator's host might."""

    async def serve() -> asyncio.Server:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        return await asyncio.start_unix_server(answer, AGENT)

    with _in_a_thread() as run:
        server = run(serve())
        try:
            yield
        finally:
            run(_stopped(server))


@contextmanager
def _in_a_thread() -> Iterator[Callable[[Any], Any]]:
    """A loop of its own; runs coroutines there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)
    finally:
        loop.call_soon_threadsafe(_end, loop)
        thread.join(10)
        loop.close()


def _end(loop: asyncio.AbstractEventLoop) -> None:
    for transport in list(loop._transports.values()):  # type: ignore[attr-defined] # else they are complained of later on
        transport.abort()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_soon(loop.call_soon, loop.stop)
