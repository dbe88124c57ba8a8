"""The connections to one cluster: made when somebody needs one, shared among one user's commands, bounded, closed when idle."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from slurmgate.ssh.breaker import LOGIN_NODE, USER, Breaker
from slurmgate.ssh.connection import Connection, State
from slurmgate.ssh.credentials import KeySource, KeyUnavailable, PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.known_hosts import HostKeys, KnownHosts
from slurmgate.ssh.outcome import Cause, DidNotRun

_log = logging.getLogger(__name__)

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

    def __init__(
        self, endpoint: Endpoint, keys: KeySource, *, observer: Observer | None, changed: Callable[[bool], None] | None
    ) -> None:
        self._endpoint = endpoint
        self._keys = keys
        self._observer = observer
        self._changed = changed
        self._known_hosts = KnownHosts(endpoint.known_hosts)
        self._gates = {host: asyncio.Semaphore(endpoint.connects_per_host) for host in endpoint.hosts}
        self._nodes = {host: Breaker(LOGIN_NODE) for host in endpoint.hosts}
        self._cut_off = False
        self._lanes: dict[str, Lane] = {}
        self._closing: DidNotRun | None = None

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why the login nodes that are not used now are not, in words."""
        return tuple(node.failure.message for node in self._nodes.values() if node.failure)

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
        refusals = [node.refusal(_now()) for node in self._nodes.values()]
        if all(refusals):
            return self._failure([refusal for refusal in refusals if refusal])
        try:
            async with asyncio.timeout(self._endpoint.connect_timeout):
                key = await self._keys.private_key(lane.user)
        except (KeyUnavailable, TimeoutError) as error:
            words = str(error) or "it could not be read in time"
            return lane.learn(DidNotRun(Cause.KEY_UNAVAILABLE, f"private key of {lane.user}: {words}"))
        if refusal := lane.refusal(key):
            return refusal
        failures: list[DidNotRun] = []
        for host in self._endpoint.hosts:
            opened = await self._open_to(host, lane, key)
            if not isinstance(opened, DidNotRun) or opened.cause not in {Cause.UNREACHABLE, Cause.NO_LOGIN}:
                return opened
            failures.append(opened)
        return self._failure(failures)

    def _failure(self, failures: list[DidNotRun]) -> DidNotRun:
        """Why no login node would do."""
        stuck = any(failure.cause is Cause.NO_LOGIN for failure in failures)
        self._cut_off = self._cut_off or not stuck
        return DidNotRun(Cause.NO_LOGIN if stuck else Cause.UNREACHABLE, "; ".join(each.message for each in failures))

    async def _open_to(self, host: Host, lane: "Lane", key: PrivateKey) -> Opened | None:
        trusted = self._known_hosts.of(host)
        if isinstance(trusted, DidNotRun):
            return trusted
        if refusal := self._nodes[host].refusal(_now()):
            return refusal
        async with self._gates[host]:
            if not lane.wants_connection:
                return None
            if refusal := self._nodes[host].refusal(_now()):  # found out by those who were before us at the gate
                return refusal
            return lane.learn(await self._try(host, lane, key, trusted))

    async def _try(self, host: Host, lane: "Lane", key: PrivateKey, trusted: HostKeys) -> Opened:
        connection = Connection(self._endpoint, host, lane.user, changed=lane.serve)
        node = self._nodes[host] = self._nodes[host].tried()
        try:
            opened = await connection.open(key, trusted) or connection
        except asyncio.CancelledError:
            if node.probing:
                self._nodes[host] = self._nodes[host].stopped()
            raise
        self._learn(host, lane.user, opened)
        return opened

    def _learn(self, host: Host, user: str, opened: Opened) -> None:
        """What a try says about the login node."""
        before = self._nodes[host]
        match opened:
            case DidNotRun(Cause.UNREACHABLE):
                after = before.failed(opened, _now(), _chance())
            case DidNotRun(Cause.NO_LOGIN, message):
                words = f"{host}: log-ins do not come to their end, the last one was {message}"
                after = before.hung(user, DidNotRun(Cause.UNREACHABLE, words), _now(), _chance())
            case _:
                after = before.reached()
        self._nodes[host] = after
        if after.failure == before.failure:
            return
        if after.failure:
            _log.warning("Login node %s is not used: %s", host, after.failure.message, extra={"cluster": self._endpoint.name})
        else:
            _log.info("Login node %s is used again", host, extra={"cluster": self._endpoint.name})
        recovered, self._cut_off = self._cut_off and not after.failure, self._cut_off and bool(after.failure)
        if self._changed is not None:
            self._changed(recovered)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _chance() -> float:
    return random.random()  # noqa: S311 - not a secret


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
        self._access = Breaker(USER)
        self._shown: PrivateKey | None = None

    @property
    def connected(self) -> bool:
        """There is a connection to work with."""
        return any(connection.state is State.READY for connection in self._connections)

    @property
    def wants_connection(self) -> bool:
        """Somebody waits who could use another one."""
        return not all(waiter.done() for waiter in self._waiting)

    def refusal(self, key: PrivateKey) -> DidNotRun | None:
        """Why the user should not log in now; None if he may, for which this key is then used."""
        if key != self._shown:
            self._shown, self._access = key, Breaker(USER)
        return self._access.refusal(_now())

    def learn(self, opened: Opened) -> Opened:
        """What a try says about the user; hands it on."""
        if isinstance(opened, Connection):
            self._access = self._access.reached()
        elif opened.cause.of_the_user:
            self._access = self._access.failed(opened, _now(), _chance())
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
        self._access = Breaker(USER)
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
        if self.connected and self._access.refusal(_now()):
            return
        ready = sum(connection.state is State.READY for connection in self._connections)
        wanted = -(-len(self._waiting) // self._endpoint.sessions_per_connection)
        # Before one has shown that the user gets in at all, only one is tried: sshd counts refusals, others need the gate.
        allowed = self._endpoint.connections_per_user - ready if ready else 1
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
