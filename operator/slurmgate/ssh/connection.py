"""One SSH connection of one user: logging in, and a bounded number of commands at a time on it."""

import asyncio
import os
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import asyncssh
from typing_extensions import override

from slurmgate.ssh.credentials import PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.exchange import Exchange
from slurmgate.ssh.known_hosts import HostKeys
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Unknown

_PATIENCE: Final = 7.0
"""Seconds for sshd to free the session of an abandoned command: `timeout -k 5` kills what ignores the signal after five."""

_ANY_HOST_KEY: Final = "+ssh-ed25519,ecdsa-sha2-nistp*,rsa-sha2-*"
"""Besides the kinds that are trusted, so that a host with a new kind of key shows it, and the message can name it."""

# asyncssh wants the local user's name and home, of no use here, and fails where the uid has none (as in a small container).
os.environ.setdefault("LOGNAME", "slurmgate")
os.environ.setdefault("HOME", "/nonexistent")


class State(StrEnum):
    """The life of a connection, in this order."""

    CONNECTING = "connecting"
    READY = "ready"
    DRAINING = "draining"
    """Takes no new commands and closes after its last one."""
    BROKEN = "broken"


class Connection(asyncssh.SSHClient):
    """A connection. Whoever takes a session of it calls `converse` once, which gives the session back."""

    def __init__(self, endpoint: Endpoint, host: Host, user: str, *, changed: Callable[[], None]) -> None:
        self.state = State.CONNECTING
        self._endpoint = endpoint
        self._host = host
        self._user = user
        self._changed = changed
        self._sessions = 0
        self._proven = False
        self._capacity = endpoint.sessions_per_connection
        self._ssh: asyncssh.SSHClientConnection
        self._greeted: asyncssh.SSHClientConnection | None = None
        self._limit = asyncio.timeout(endpoint.connect_timeout)
        self._presented = "a host key"
        self._old: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def open(self, key: PrivateKey, trusted: HostKeys) -> DidNotRun | None:
        """Connect and log in; None when that is done, or why it could not be."""
        try:
            async with self._limit:
                self._ssh = await asyncssh.connect(
                    self._host.name,
                    self._host.port,
                    client_factory=lambda: self,
                    config=None,
                    agent_path=None,
                    known_hosts=trusted.for_asyncssh(),
                    server_host_key_algs=_ANY_HOST_KEY,
                    x509_trusted_certs=None,
                    username=self._user,
                    client_keys=[key.use()],
                    preferred_auth="publickey",
                    gss_host=None,
                    keepalive_interval=self._endpoint.keepalive,
                    connect_timeout=None,
                    login_timeout=0,
                )
        except Exception as error:  # noqa: BLE001 - asyncssh passes on whatever the server's bytes made it raise
            return self._explain(error, key, trusted)
        self.state = State.READY
        self._old = asyncio.get_running_loop().call_later(self._endpoint.max_age, self.drain)
        self._rest()
        return None

    def _explain(self, error: Exception, key: PrivateKey, trusted: HostKeys) -> DidNotRun:
        match error:
            case asyncssh.HostKeyNotVerifiable():
                message = f"{self._host} presented {self._presented}, expected {trusted} ({error.reason})"
                return DidNotRun(Cause.HOST_KEY_MISMATCH, message)
            case asyncssh.PermissionDenied():
                message = (
                    f"{self._user}@{self._host} refused the {key.algorithm} key {key.fingerprint}: "
                    "its public half belongs into authorized_keys, and the account must exist and be open"
                )
                return DidNotRun(Cause.AUTHENTICATION_FAILED, message)
            case TimeoutError() if self._limit.expired():
                if self._greeted:
                    words = f"no log-in within {self._endpoint.login_timeout:g} s"
                else:
                    words = f"no answer within {self._endpoint.connect_timeout:g} s"
            case OSError(errno=int(number)) if number > 0:
                words = f"{os.strerror(number)} ({error})"
            case _:
                words = str(error) or type(error).__name__
        if self._greeted and self._greeted.get_server_host_key():  # what comes after the host key is about this user
            return DidNotRun(Cause.NO_LOGIN, f"{self._user}@{self._host}: {words}")
        return DidNotRun(Cause.UNREACHABLE, f"{self._host}: {words}")

    @override
    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._greeted = conn
        self._limit.reschedule(asyncio.get_running_loop().time() + self._endpoint.login_timeout)

    @override
    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._presented = key.get_fingerprint()  # only asked about keys that are not trusted
        return False

    @override
    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._presented = f"a certificate signed by {key.get_fingerprint()}"
        return False

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
