"""One command on one session of a connection: what it is told, what it answers, and how it ended.

Why not `SSHClientConnection.run`: its time-out and its cancellation leave the remote process running and the session
occupied, and its exceptions do not tell whether the command was started. Here asyncssh calls in and nothing is awaited,
so an exchange can be let go of at any moment.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncssh
from typing_extensions import override

from slurmgate.ssh.outcome import Ran, Unknown

_LAST_OUTPUT: Final = 5.0
"""Seconds for output after the exit status. A process that a login file left behind may hold stdout open for ever."""


class Exchange(asyncssh.SSHClientSession[bytes]):
    """The session object that asyncssh reports to."""

    def __init__(self, stdin: bytes, output_limit: int) -> None:
        self.sent = False
        """The request to run the command has left: from here on it may have run."""
        self.started = False
        """The host has taken the request."""
        self.over = asyncio.Event()
        """Nothing more is expected, or wanted, from the command."""
        self._stdin = stdin
        self._limit = output_limit
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._output = {None: bytearray(), asyncssh.EXTENDED_DATA_STDERR: bytearray()}
        self._status: int | None = None
        self._signal: str | None = None
        self._eof = False
        self._closed = False
        self._loss: Exception | None = None
        self._last_output: asyncio.TimerHandle | None = None
        self._when_closed: Callable[[], None] | None = None

    @property
    def holds_session(self) -> bool:
        """The server counts this session as one of the connection's."""
        return self.sent and not self._closed

    def abandon(self, when_closed: Callable[[], None] | None) -> None:
        """End the command as far as the server lets us, and call back once it has freed the session.

        sshd frees it when the remote process is gone. It passes the signal on only for ordinary users without a forced command.
        """
        self._when_closed = when_closed
        if self._channel is not None and self.holds_session:
            self._channel.terminate()
            self._channel.abort()  # close() would first wait until all of stdin is taken

    def verdict(self, *, connected: bool) -> Ran | Unknown:
        """The outcome. `connected`: the connection outlived the exchange."""
        if self._too_much:
            words = f"stopped after {self._limit} bytes of output"
            return Unknown(words, connected=connected, stdout=self.stdout, too_much=True)
        if self._status is None:
            words = f"the connection ended while the command ran: {self._loss or 'closed without an exit status'}"
            return Unknown(words, stdout=self.stdout)
        if not (self._eof or connected):
            return Unknown("the connection ended before all output had arrived", stdout=self.stdout)
        stdout, stderr = (bytes(stream) for stream in self._output.values())
        return Ran(self._status, stdout, stderr, self._signal)

    @property
    def stdout(self) -> bytes:
        """What has arrived of it."""
        return bytes(self._output[None])

    @property
    def _too_much(self) -> bool:
        return sum(map(len, self._output.values())) > self._limit

    @override
    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan
        self.sent = True  # asyncssh sends the request in this same step of the event loop

    @override
    def session_started(self) -> None:
        self.started = True
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(self._stdin)
            self._channel.write_eof()

    @override
    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if not self._too_much:
            self._output[datatype] += data
        if self._too_much:
            self.over.set()

    @override
    def eof_received(self) -> bool:
        self._eof = True
        return True

    @override
    def exit_status_received(self, status: int) -> None:
        self._status = status
        self._last_output = asyncio.get_running_loop().call_later(_LAST_OUTPUT, self.over.set)

    @override
    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._signal = signal
        self.exit_status_received(-1)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._loss = exc
        if self._last_output is not None:
            self._last_output.cancel()
        self.over.set()
        if self._when_closed is not None:
            self._when_closed()
