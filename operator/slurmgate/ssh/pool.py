"""The connections to one cluster: made when somebody needs one, shared among one user's commands, bounded, closed when idle."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from slurmgate.ssh.breaker import LOGIN_NODE, REFUSED, Breaker
from slurmgate.ssh.clock import chance, now
from slurmgate.ssh.connection import Connection, Hop
from slurmgate.ssh.credentials import Credential, KeySource, KeyUnavailable
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.known_hosts import HostKeys, KnownHosts
from slurmgate.ssh.lane import Lane, Observer, Opened
from slurmgate.ssh.outcome import Cause, DidNotRun

_WORST_FIRST = (Cause.HOST_KEY_MISMATCH, Cause.NO_HOST_KEYS, Cause.JUMP_REFUSED, Cause.NO_LOGIN, Cause.UNREACHABLE)
"""What another login node may do better at. If none does, the worst news is the outcome."""

_log = logging.getLogger(__name__)


class Pool:
    """Makes connections and keeps them by user."""

    def __init__(
        self, endpoint: Endpoint, keys: KeySource, *, observer: Observer | None, changed: Callable[[bool], None] | None
    ) -> None:
        self._endpoint = endpoint
        self._keys = keys
        self._observer = observer
        self._changed = changed
        known_hosts = KnownHosts(endpoint.known_hosts)
        self._way = [known_hosts.of(jump.host) for jump in endpoint.jump_hosts]
        self._trusted = {host: self._no_way or known_hosts.of(host) for host in endpoint.hosts}
        self._gates = {host: asyncio.Semaphore(endpoint.connects_per_host) for host in endpoint.hosts}
        self._nodes = {host: _breaker(trusted) for host, trusted in self._trusted.items()}
        self._cut_off = False
        self._lanes: dict[str, Lane] = {}
        self._closing: DidNotRun | None = None

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why the login nodes that are not used now are not, in words."""
        return tuple(node.failure.message for node in self._nodes.values() if node.failure)

    def lane(self, user: str) -> Lane:
        """The connections of this user."""
        if user not in self._lanes:
            self._lanes[user] = Lane(user, self._endpoint, self._open, self._observer)
        return self._lanes[user]

    async def close(self) -> None:
        """Close every connection and let nobody wait for one any more."""
        self._closing = DidNotRun(Cause.CLOSING, f"the connections to {self._endpoint.name} are being closed")
        await asyncio.gather(*(lane.close(self._closing) for lane in self._lanes.values()))

    async def _open(self, lane: Lane) -> Opened | None:
        if self._closing:
            return self._closing
        refusals = [node.refusal(now()) for node in self._nodes.values()]
        if all(refusals):
            return self._failure([refusal for refusal in refusals if refusal])
        try:
            async with asyncio.timeout(self._endpoint.connect_timeout):
                key = await self._keys.private_key(lane.user)
                way = [hop async for hop in self._hops(lane.user)]
        except (KeyUnavailable, TimeoutError) as error:
            words = str(error) or "it could not be read in time"
            return lane.learn(DidNotRun(Cause.KEY_UNAVAILABLE, f"private key of {lane.user}: {words}"))
        if refusal := lane.refusal(key):
            return refusal
        failures: list[DidNotRun] = []
        for host in self._endpoint.hosts:
            opened = await self._open_to(host, lane, key, way)
            if not isinstance(opened, DidNotRun) or opened.cause not in _WORST_FIRST:
                return opened
            failures.append(opened)
        return self._failure(failures)

    def _failure(self, failures: list[DidNotRun]) -> DidNotRun:
        """Why no login node would do."""
        causes = {failure.cause for failure in failures}
        self._cut_off = self._cut_off or Cause.NO_LOGIN not in causes
        return DidNotRun(min(causes, key=_WORST_FIRST.index), "; ".join(each.message for each in failures))

    @property
    def _no_way(self) -> DidNotRun | None:
        """Why a jump host could not be recognised; None if all could be."""
        return next((trusted for trusted in self._way if isinstance(trusted, DidNotRun)), None)

    async def _hops(self, user: str) -> AsyncIterator[Hop]:
        """The way of a user to the login nodes. Raises KeyUnavailable."""
        for jump, trusted in zip(self._endpoint.jump_hosts, self._way, strict=True):
            if isinstance(trusted, HostKeys):
                name = jump.user or user
                yield Hop(jump.host, name, jump.user is not None, await jump.key_of(name), trusted)

    async def _open_to(self, host: Host, lane: Lane, key: Credential, way: Sequence[Hop]) -> Opened | None:
        trusted = self._trusted[host]
        if isinstance(trusted, DidNotRun):
            return trusted
        if refusal := self._nodes[host].refusal(now()):
            return refusal
        async with self._gates[host]:
            if not lane.wants_connection or self._too_late(key, way):
                return None
            if refusal := self._nodes[host].refusal(now()):  # found out by those who were before us at the gate
                return refusal
            return lane.learn(await self._try(host, lane, key, trusted, way))

    def _too_late(self, key: Credential, way: Sequence[Hop]) -> bool:
        """What is to be shown may be over before it is: it waited too long at the gate."""
        return min(each.good_until for each in (key, *(hop.key for hop in way))) < now() + self._endpoint.login_timeout

    async def _try(self, host: Host, lane: Lane, key: Credential, trusted: HostKeys, way: Sequence[Hop]) -> Opened:
        connection = Connection(self._endpoint, host, lane.user, changed=lane.serve)
        node = self._nodes[host] = self._nodes[host].tried()
        try:
            opened = await connection.open(key, trusted, way) or connection
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
            case DidNotRun(Cause.UNREACHABLE | Cause.HOST_KEY_MISMATCH):
                after = replace(before, pace=LOGIN_NODE).failed(opened, now(), chance())
            case DidNotRun(Cause.JUMP_REFUSED):
                after = replace(before, pace=REFUSED).failed(opened, now(), chance())
            case DidNotRun(Cause.NO_LOGIN):  # in the same words each time: they are part of a status
                words = f"{host}: the log-ins of several users do not come to their end"
                after = before.hung(user, DidNotRun(Cause.UNREACHABLE, words), now(), chance())
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


def _breaker(trusted: HostKeys | DidNotRun) -> Breaker:
    """Of a login node; one that could not be recognised is never tried."""
    return Breaker(LOGIN_NODE, trusted, retry_at=math.inf) if isinstance(trusted, DidNotRun) else Breaker(LOGIN_NODE)
