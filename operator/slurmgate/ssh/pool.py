"""The connections to one cluster: made when somebody needs one, shared among one user's commands, bounded, closed when idle."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from slurmgate.ssh.connection import Connection, State
from slurmgate.ssh.credentials import KeySource, KeyUnavailable, PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.known_hosts import KnownHosts
from slurmgate.ssh.outcome import Cause, DidNotRun

_PAUSE: Final = 5.0
"""Seconds until a further connection is tried for again while there is one to work with."""

Opened = Connection | DidNotRun


class Observer(Protocol):
    """Who counts (telemetry). `cluster` is the endpoint's name."""

    def connected(self, cluster: str) -> None:
        """A connection is ready."""

    def disconnected(self, cluster: str) -> None:
        """A connection that was ready is gone."""

    def connect_failed(self, cluster: str, cause: Cause) -> None:
        """No connection could be made."""


class Pool:
    """Makes connections and keeps them by user."""

    def __init__(self, endpoint: Endpoint, keys: KeySource, observer: Observer | None) -> None:
        self._endpoint = endpoint
        self._keys = keys
        self._observer = observer
        self._known_hosts = KnownHosts(endpoint.known_hosts)
        self._hosts = list(endpoint.hosts)
        self._gates = {host: asyncio.Semaphore(endpoint.connects_per_host) for host in endpoint.hosts}
        self._lanes: dict[str, Lane] = {}
        self._closing: DidNotRun | None = None

    def lane(self, user: str) -> "Lane":
        """The connections of this user."""
        if user not in self._lanes:
            self._lanes[user] = Lane(user, self._endpoint, self._open, self._observer)
        return self._lanes[user]

    async def close(self) -> None:
        """Close every connection and let nobody wait for one any more."""
        self._closing = DidNotRun(Cause.CLOSING, f"the connections to {self._endpoint.name} are being closed")
        await asyncio.gather(*(lane.close(self._closing) for lane in self._lanes.values()))

    async def _open(self, lane: "Lane") -> Opened | None:
        if self._closing:
            return self._closing
        try:
            async with asyncio.timeout(self._endpoint.connect_timeout):
                key = await self._keys.private_key(lane.user)
        except (KeyUnavailable, TimeoutError) as error:
            words = str(error) or "it could not be read in time"
            return DidNotRun(Cause.KEY_UNAVAILABLE, f"private key of {lane.user}: {words}")
        unreachable = []
        for host in tuple(self._hosts):
            opened = await self._open_to(host, lane, key)
            if not isinstance(opened, DidNotRun) or opened.cause is not Cause.UNREACHABLE:
                return opened
            unreachable.append(opened.message)
            self._hosts.remove(host)
            self._hosts.append(host)
        return DidNotRun(Cause.UNREACHABLE, "; ".join(unreachable))

    async def _open_to(self, host: Host, lane: "Lane", key: PrivateKey) -> Opened | None:
        trusted = self._known_hosts.of(host)
        if isinstance(trusted, DidNotRun):
            return trusted
        async with self._gates[host]:
            if not lane.wants_connection:
                return None
            connection = Connection(self._endpoint, host, lane.user, changed=lane.serve)
            return await connection.open(key, trusted) or connection


class Lane:
    """One user's connections, and those who wait for a session on one, first come first served."""

    def __init__(
        self,
        user: str,
        endpoint: Endpoint,
        open_connection: Callable[["Lane"], Awaitable[Opened | None]],
        observer: Observer | None,
    ) -> None:
        self.user = user
        self._endpoint = endpoint
        self._open = open_connection
        self._observer = observer
        self._connections: list[Connection] = []
        self._connecting: set[asyncio.Task[DidNotRun | None]] = set()
        self._waiting: list[asyncio.Future[Opened]] = []
        self._not_before = 0.0

    @property
    def connected(self) -> bool:
        """There is a connection to work with."""
        return any(connection.state is State.READY for connection in self._connections)

    @property
    def wants_connection(self) -> bool:
        """Somebody waits who could use another one."""
        return not all(waiter.done() for waiter in self._waiting)

    async def take(self) -> Opened:
        """A session on some connection, to `converse` on; or why there is no connection. Waits without a limit."""
        waiter: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self.serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and not waiter.exception() and isinstance(given := waiter.result(), Connection):
                given.give_back()
            raise

    def renew(self) -> None:
        """Use no connection made until now for anything new."""
        self._not_before = 0.0
        for connection in tuple(self._connections):
            connection.drain()
        for task in self._connecting:
            task.cancel()
        self.serve()

    async def close(self, why: DidNotRun) -> None:
        """Close every connection; commands on them end as Unknown, and whoever waits is told."""
        self._answer(why)
        connecting = tuple(self._connecting)
        for task in connecting:
            task.cancel()
        closing = (connection.close() for connection in self._connections)
        await asyncio.gather(*closing, *connecting, return_exceptions=True)

    def serve(self) -> None:
        """Hand out free sessions in the order of arrival, and make another connection for those left over."""
        for connection in [gone for gone in self._connections if gone.state is State.BROKEN]:
            self._connections.remove(connection)
            if self._observer is not None:
                self._observer.disconnected(self._endpoint.name)
        self._waiting = [waiter for waiter in self._waiting if not waiter.done()]
        while self._waiting and (free := next((one for one in self._connections if one.has_room), None)):
            free.take()
            self._waiting.pop(0).set_result(free)
        self._connect()

    def _connect(self) -> None:
        if self.connected and asyncio.get_running_loop().time() < self._not_before:
            return
        ready = sum(connection.state is State.READY for connection in self._connections)
        wanted = -(-len(self._waiting) // self._endpoint.sessions_per_connection)
        allowed = self._endpoint.connections_per_user - ready
        for _ in range(min(wanted, allowed) - len(self._connecting)):
            task = asyncio.create_task(self._grow(), name=f"ssh {self._endpoint.name} {self.user}")
            self._connecting.add(task)
            task.add_done_callback(self._grown)

    async def _grow(self) -> DidNotRun | None:
        opened = await self._open(self)
        if not isinstance(opened, Connection):
            return opened
        self._connections.append(opened)
        if self._observer is not None:
            self._observer.connected(self._endpoint.name)
        self.serve()
        return None

    def _grown(self, task: asyncio.Task[DidNotRun | None]) -> None:
        self._connecting.discard(task)
        if not task.cancelled() and (failure := task.exception() or task.result()):
            self._not_before = asyncio.get_running_loop().time() + _PAUSE
            if self._observer is not None and isinstance(failure, DidNotRun):
                self._observer.connect_failed(self._endpoint.name, failure.cause)
            if isinstance(failure, BaseException) or not (self._connecting or self.connected):
                self._answer(failure)
        self.serve()

    def _answer(self, failure: DidNotRun | BaseException) -> None:
        for waiter in self._waiting:
            if waiter.done():
                continue
            if isinstance(failure, DidNotRun):
                waiter.set_result(failure)
            else:
                waiter.set_exception(failure)
