"""One user's connections to a cluster, and who waits for a session on one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from slurmgate.ssh.breaker import REFUSED, STUCK, Breaker
from slurmgate.ssh.clock import chance, now
from slurmgate.ssh.connection import Connection, State
from slurmgate.ssh.credentials import Credential
from slurmgate.ssh.endpoint import Endpoint
from slurmgate.ssh.outcome import Cause, DidNotRun

Opened = Connection | DidNotRun


class Observer(Protocol):
    """Who counts (telemetry). `cluster` is the endpoint's name."""

    def connected(self, cluster: str) -> None:
        """A connection is ready."""

    def disconnected(self, cluster: str) -> None:
        """A connection that was ready is gone."""

    def connect_failed(self, cluster: str, cause: Cause) -> None:
        """No connection could be made."""


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
        self._access = Breaker(STUCK)
        self._shown: Credential | None = None

    @property
    def connected(self) -> bool:
        """There is a connection to work with."""
        return any(connection.state is State.READY for connection in self._connections)

    @property
    def wants_connection(self) -> bool:
        """Somebody waits who could use another one."""
        return not all(waiter.done() for waiter in self._waiting)

    def refusal(self, key: Credential) -> DidNotRun | None:
        """Why the user should not log in now; None if he may, for which this key is then used."""
        if key != self._shown:
            self._shown, self._access = key, Breaker(STUCK)
        return self._access.refusal(now())

    def learn(self, opened: Opened) -> Opened:
        """What a try says about the user; hands it on."""
        if isinstance(opened, Connection):
            self._access = self._access.reached()
        elif opened.cause.of_the_user:
            pace = REFUSED if opened.cause is Cause.AUTHENTICATION_FAILED else STUCK
            self._access = replace(self._access, pace=pace).failed(opened, now(), chance())
        return opened

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
        self._access = Breaker(STUCK)
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
        if self.connected and self._access.refusal(now()):
            return
        ready = sum(connection.state is State.READY for connection in self._connections)
        wanted = -(-len(self._waiting) // self._endpoint.sessions_per_connection)
        # Before one has shown that the user gets in (again), only one is tried: sshd counts refusals, others need the gate.
        allowed = self._endpoint.connections_per_user - ready
        if not ready or self._access.failure:
            allowed = min(1, allowed)
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
        failure = None if task.cancelled() else task.exception() or task.result()
        if failure is None:
            self.serve()
            return
        if self._observer is not None and isinstance(failure, DidNotRun):
            self._observer.connect_failed(self._endpoint.name, failure.cause)
        if isinstance(failure, BaseException) or not (self._connecting or self.connected):
            self._answer(failure)

    def _answer(self, failure: DidNotRun | BaseException) -> None:
        for waiter in self._waiting:
            if waiter.done():
                continue
            if isinstance(failure, DidNotRun):
                waiter.set_result(failure)
            else:
                waiter.set_exception(failure)
