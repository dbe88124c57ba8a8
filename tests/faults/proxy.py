"""A TCP relay on loopback that breaks connections in the ways in which networks break them."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")
COMMAND_BYTES = 1000
"""A chunk from the client that is larger than this has a program of ours in it; those that open a session have not."""
HANDSHAKE_BYTES = 200
"""Of a client, who has said his version by then, and not all of his key exchange."""


class Meeting(StrEnum):
    """How new connections are met."""

    RELAYED = "relayed"
    REFUSED = "refused"
    STALLED = "stalled"
    """They are made, and nothing passes."""
    RESET = "reset"
    """They break in the handshake."""


@dataclass(eq=False)
class _Line:
    """How all connections are at the moment."""

    frozen: bool = False
    bytes_per_second: int | None = None


class _End(asyncio.Protocol):
    """One of the two sockets of a relayed connection."""

    transport: asyncio.Transport | None = None
    lost: bool = False

    def __init__(self, said: Callable[[bytes | None], None], line: "_Line") -> None:
        self._said = said
        self._line = line

    @property
    def open(self) -> asyncio.Transport | None:
        """The socket, if anything can be said through it."""
        return None if self.transport is None or self.transport.is_closing() else self.transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.mind()

    @override
    def data_received(self, data: bytes) -> None:
        self._said(data)
        if (pace := self._line.bytes_per_second) and self.open:
            self.open.pause_reading()
            asyncio.get_running_loop().call_later(len(data) / pace, self.mind)

    @override
    def eof_received(self) -> bool:
        self._said(None)
        return True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._said(None)
        self.lost = True

    def mind(self) -> None:
        """Read on, unless the line is frozen: then what comes waits in the kernel."""
        if self.open and self._line.frozen:
            self.open.pause_reading()
        elif self.open:
            self.open.resume_reading()

    def say(self, data: bytes | None) -> None:
        if self.open and data is None:
            self.open.close()
        elif self.open and data is not None:
            self.open.write(data)


@dataclass(eq=False)
class _Scissors:
    """What cuts the connection on which a byte of its number passes, counted over all connections. It cuts once."""

    left: int
    """Bytes of clients that may pass before."""

    @property
    def used(self) -> bool:
        """Whether it has cut."""
        return self.left == 0

    def allow(self, data: bytes) -> bytes:
        """As much of it as may pass."""
        passes = data[: self.left]
        self.left -= len(passes)
        return passes


@dataclass(eq=False)
class _Connection:
    """A relayed connection."""

    scissors: _Scissors | None
    client: _End | None = None
    server: _End | None = None
    early: list[bytes | None] = field(default_factory=list)
    """What the client said before the server was reached."""
    sent: int = 0
    """Bytes passed on from the client."""
    stalled: bool = False
    """Nothing passes, either way."""
    holding: bool = False
    """What the client says after its next command is kept back: what that command reads."""
    commanded: bool = False
    """That command has passed."""
    held: list[bytes | None] = field(default_factory=list)

    def from_client(self, data: bytes | None) -> None:
        if self.server is None:
            self.early.append(data)
        elif self.stalled:
            pass
        elif self.commanded:
            self.held.append(data)
        elif data is None or self.scissors is None or self.scissors.used:
            self._pass(data)
        else:
            self._pass(self.scissors.allow(data))
            if self.scissors.used:
                self.cut()

    def _pass(self, data: bytes | None) -> None:
        self.commanded = self.holding and len(data or b"") > COMMAND_BYTES
        self._to_server(data)

    def from_server(self, data: bytes | None) -> None:
        if self.client and not self.stalled:
            self.client.say(data)

    def _to_server(self, data: bytes | None) -> None:
        self.sent += len(data or b"")
        if self.server:
            self.server.say(data)

    def is_open(self) -> bool:
        """Whether anything may still pass, or has still to be said."""
        return any(end and not end.lost for end in (self.client, self.server))

    def mind(self) -> None:
        """See how the line is now."""
        for end in (self.client, self.server):
            if end:
                end.mind()

    def deliver(self) -> None:
        """What was kept back arrives after all."""
        for data in self.held:
            self._to_server(data)

    def cut(self) -> None:
        """The client sees a reset; the server gets what is on the way, and then the end."""
        if self.client and (transport := self.client.open):
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        if self.server:
            self.server.say(None)


class Proxy:
    """Relays to one server, faithfully until told otherwise."""

    def __init__(self, server: tuple[str, int], *, port: int = 0) -> None:
        self._server = server
        self._scissors: _Scissors | None = None
        self._connections: list[_Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._line = _Line()
        self._meeting = Meeting.RELAYED
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = port

    @contextmanager
    def relaying(self) -> Iterator["Proxy"]:
        """Listen: on a free port, if none was given."""
        self._thread.start()
        self.accept()
        try:
            yield self
        finally:
            self.refuse()
            self._call(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def sent(self) -> int:
        """The bytes that came from the client on one connection, at most."""
        return max(connection.sent for connection in self._connections)

    @property
    def cut_on_the_way(self) -> bool:
        """Whether a connection was cut by the number of bytes."""
        return self._scissors is not None and self._scissors.used

    def cut(self, *, again_after: int | None = None) -> None:
        """Cut all connections; new ones can be made. Of these one is cut when so many bytes have come from the client."""
        self._scissors = None if again_after is None else _Scissors(again_after)
        self._each(_Connection.cut)

    def stall(self) -> None:
        """Let nothing pass on the connections there are, and tell nobody. New ones can be made."""
        self._each(lambda connection: setattr(connection, "stalled", True))

    def meet(self, meeting: Meeting) -> None:
        """Cut all connections; new ones are met like this."""
        self._meeting = meeting
        if meeting is Meeting.REFUSED:
            self.refuse()
        elif self._listener is None:
            self.accept()
        self.cut()

    def refuse(self) -> None:
        """Let nobody connect. Connections that there are go on."""
        listener, self._listener = self._listener, None

        async def closing() -> None:
            if listener:
                for listening in listener.sockets:
                    self._loop.remove_reader(listening)
                await asyncio.sleep(0)  # who was accepted gets his socket: closed first, asyncio leaves it to nobody
                listener.close()

        self._call(closing())

    def accept(self) -> None:
        """Listen, on the same port as before."""
        self._listener = self._call(self._loop.create_server(self._accept, "127.0.0.1", self.port))
        self.port = self._listener.sockets[0].getsockname()[1]

    def freeze(self) -> None:
        """Let nothing pass on any connection, nor on new ones; until `thaw` it waits on both sides."""
        self._line.frozen = True
        self._each(_Connection.mind)

    def thaw(self) -> None:
        """What waited passes."""
        self._line.frozen = False
        self._each(_Connection.mind)

    def throttle(self, bytes_per_second: int | None) -> None:
        """Let no more pass, on each connection and either way; None: as much as comes."""
        self._line.bytes_per_second = bytes_per_second

    def hold(self) -> None:
        """Let the next command on each connection pass, but not what it is to read."""
        self._each(lambda connection: setattr(connection, "holding", True))

    def await_held(self) -> None:
        """Return when a command waits for what it is to read. What else is said on the connections is lost."""
        deadline = time.monotonic() + 60
        while not any(connection.held for connection in self._connections):
            assert time.monotonic() < deadline, "there was nothing to hold"
            time.sleep(0.05)
        time.sleep(0.5)  # for the end of it
        self.stall()

    def deliver(self) -> None:
        """What was held arrives."""
        self._each(_Connection.deliver)

    def _each(self, act: Callable[[_Connection], None]) -> None:
        async def acting() -> None:
            for connection in self._connections:
                act(connection)

        self._call(acting())

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _accept(self) -> asyncio.Protocol:
        scissors = _Scissors(HANDSHAKE_BYTES) if self._meeting is Meeting.RESET else self._scissors
        connection = _Connection(scissors, stalled=self._meeting is Meeting.STALLED)
        self._connections = [*filter(_Connection.is_open, self._connections), connection]
        connection.client = _End(connection.from_client, self._line)
        task = self._loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return connection.client

    async def _connect(self, connection: _Connection) -> None:
        try:
            _, connection.server = await self._loop.create_connection(
                lambda: _End(connection.from_server, self._line), *self._server
            )
        except OSError:  # nobody listens there: the client is not let in either
            connection.cut()
            return
        for data in connection.early:
            connection.from_client(data)

    async def _end(self) -> None:
        await asyncio.sleep(0.1)  # who was let in last has his sockets by then
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in self._connections:
            for end in (connection.client, connection.server):
                if end and end.transport:
                    end.transport.abort()
        await asyncio.sleep(0.1)
