"""One SSH connection of one user: logging in, and a bounded number of commands at a time on it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import asyncssh
from typing_extensions import override

from slurmgate.ssh.credentials import Credential
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.exchange import Exchange
from slurmgate.ssh.known_hosts import HostKeys
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Unknown
from slurmgate.ssh.visit import Visit

_PATIENCE: Final = 7.0
"""Seconds for sshd to free the session of an abandoned command: `timeout -k 5` kills what ignores the signal after five."""


class State(StrEnum):
    """The life of a connection, in this order."""

    CONNECTING = "connecting"
    READY = "ready"
    DRAINING = "draining"
    """Takes no new commands and closes after its last one."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Hop:
    """A jump host as one user gets into it."""

    host: Host
    user: str
    named: bool
    """It is not the user of the cluster: if it is refused, so is everybody."""
    key: Credential
    trusted: HostKeys

    def blame(self, failure: DidNotRun) -> DidNotRun:
        """Why nobody, or not this user, gets any further."""
        cause = failure.cause
        if self.named and cause.of_the_user:
            cause = Cause.JUMP_REFUSED if cause is Cause.AUTHENTICATION_FAILED else Cause.UNREACHABLE
        return DidNotRun(cause, f"jump host {failure.message}")


class Connection(Visit):
    """A connection. Whoever takes a session of it calls `converse` once, which gives the session back."""

    def __init__(self, endpoint: Endpoint, host: Host, user: str, *, changed: Callable[[], None]) -> None:
        super().__init__(endpoint, host, user)
        self.state = State.CONNECTING
        self._changed = changed
        self._sessions = 0
        self._proven = False
        self._capacity = endpoint.sessions_per_connection
        self._ssh: asyncssh.SSHClientConnection
        self._old: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def open(self, key: Credential, trusted: HostKeys, way: Sequence[Hop] = ()) -> DidNotRun | None:
        """Connect, over the hosts on the way, and log in; None when that is done, or why it could not be."""
        through: asyncssh.SSHClientConnection | None = None
        with ExitStack() as way_back:
            for hop in way:
                entered = await Visit(self._endpoint, hop.host, hop.user).enter(hop.key, hop.trusted, through)
                if isinstance(entered, DidNotRun):
                    return hop.blame(entered)
                way_back.callback(entered.abort)
                through = entered
            entered = await self.enter(key, trusted, through)
            if isinstance(entered, DidNotRun):
                return entered
            way_back.pop_all()  # from now on, the way ends with the connection
        self._ssh = entered
        self.state = State.READY
        self._old = asyncio.get_running_loop().call_later(self._endpoint.max_age, self.drain)
        self._rest()
        return None

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.state = State.BROKEN
        for timer in (self._old, self._idle):
            if timer is not None:
                timer.cancel()
        self._changed()

    @property
    def has_room(self) -> bool:
        """One more session can be taken."""
        return self.state is State.READY and self._sessions < self._capacity

    def take(self) -> None:
        """Take a session."""
        self._sessions += 1
        if self._idle is not None:
            self._idle.cancel()

    def give_back(self) -> None:
        """Give a session back that was taken."""
        self._sessions -= 1
        self._rest()
        self._changed()

    def _rest(self) -> None:
        if self._sessions:
            return
        if self.state is State.DRAINING:
            self._ssh.close()
        elif self.state is State.READY:
            self._idle = asyncio.get_running_loop().call_later(self._endpoint.idle_close, self.drain)

    def drain(self) -> None:
        """Let the commands on it come to their end, and close."""
        if self.state is State.READY:
            self.state = State.DRAINING
            self._rest()

    async def close(self) -> None:
        """Close it now. What still runs on it has an unknown outcome."""
        self._ssh.close()
        await self._ssh.wait_closed()

    async def converse(self, exchange: Exchange, command: str) -> Outcome:
        """Run a command in a session that was taken, and give the session back, whatever happens.

        DidNotRun with Cause.BUSY: no session could be opened or the server did not start the command; another connection may
        do better.
        """
        try:
            await self._ssh.create_session(lambda: exchange, command, encoding=None)
            self._proven = True
            await exchange.over.wait()
        except asyncio.CancelledError:
            if not exchange.sent:
                self.drain()  # the server may open the session yet, and nobody would close it
            raise
        except Exception as error:  # noqa: BLE001 - as in open
            # ChannelOpenError alone is no proof: it is also raised when the connection ends after the request has left.
            refused = isinstance(error, asyncssh.ChannelOpenError) and not self._ssh.is_closed()
            if exchange.sent and not refused:
                return Unknown(f"{self._host}: the connection ended while the command was being started: {error}")
            if self._ssh.is_closed() and not self._proven:  # so may the next one be: not to be tried again at once
                return DidNotRun(Cause.NO_LOGIN, f"{self._user}@{self._host}: the connection ended after the log-in: {error}")
            self._refused()
            return DidNotRun(Cause.BUSY, f"{self._host} opened no session for {self._user}: {error}")
        finally:
            self._settle(exchange)
        return exchange.verdict(connected=not self._ssh.is_closed())

    def _refused(self) -> None:
        """Ask less of a server that allows fewer sessions, and nothing more where even one is too many."""
        self._capacity = self._sessions - 1
        if not self._capacity:
            self.drain()

    def _settle(self, exchange: Exchange) -> None:
        if not exchange.holds_session:
            self.give_back()
            return

        def lost() -> None:
            exchange.abandon(None)
            self.drain()
            self.give_back()

        def freed() -> None:
            timer.cancel()
            self.give_back()

        timer = asyncio.get_running_loop().call_later(_PATIENCE, lost)
        exchange.abandon(freed)
