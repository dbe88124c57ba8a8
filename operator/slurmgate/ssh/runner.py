"""Running a command on a cluster as some user: the only door of this room."""

import asyncio
import random
import shlex
from collections.abc import Callable, Sequence
from typing import Final

from slurmgate.ssh.connection import Connection
from slurmgate.ssh.credentials import KeySource
from slurmgate.ssh.endpoint import Endpoint
from slurmgate.ssh.exchange import Exchange
from slurmgate.ssh.lane import Observer
from slurmgate.ssh.outcome import Cause, DidNotRun, Outcome, Unknown
from slurmgate.ssh.pool import Pool

OUTPUT_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of stdout and stderr together. 100,000 jobs in squeue's text format are 3 MB."""


class Runner:
    """Runs commands on one cluster."""

    def __init__(
        self,
        endpoint: Endpoint,
        keys: KeySource,
        *,
        observer: Observer | None = None,
        changed: Callable[[bool], None] | None = None,
    ) -> None:
        """`changed` is called when `troubles` has; with True when a login node can be used again after none could."""
        self._endpoint = endpoint
        self._pool = Pool(endpoint, keys, observer=observer, changed=changed)

    @property
    def troubles(self) -> tuple[str, ...]:
        """Why the login nodes that are not used now are not, in words."""
        return self._pool.troubles

    async def run(
        self,
        user: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: float,
        output_limit: int = OUTPUT_LIMIT,
    ) -> Outcome:
        """Run `argv` as `user` and wait for its end. Raises nothing for what the far side does; safe to cancel.

        The words reach the user's login shell quoted for a POSIX shell, so they should be free of what other shells read
        differently. The remote command should limit itself (`timeout -k`): sshd need not pass on our signal when
        the deadline is over or the caller is gone.

        Args:
            user: Account on the cluster; its key comes from the key source whenever a connection is made.
            argv: The command, one word each.
            stdin: Sent as it is, then the end of file.
            deadline: Seconds for the whole of it, including connecting and waiting for a free session.
            output_limit: Bytes of stdout and stderr together; beyond them the command is stopped and its outcome Unknown.
        """
        lane = self._pool.lane(user)
        command = shlex.join(argv)
        exchange: Exchange | None = None
        refusal: DidNotRun | None = None
        pause = 0.05
        try:
            async with asyncio.timeout(deadline):
                while True:
                    connection = await lane.take()
                    if not isinstance(connection, Connection):
                        return connection
                    exchange = Exchange(stdin, output_limit)
                    outcome = await connection.converse(exchange, command)
                    if isinstance(outcome, DidNotRun) and outcome.cause is Cause.NO_LOGIN:
                        lane.learn(outcome)
                    if not isinstance(outcome, DidNotRun) or outcome.cause is not Cause.BUSY:
                        return outcome
                    refusal, exchange = outcome, None
                    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret
                    pause = min(1.0, 2 * pause)
        except TimeoutError:
            if exchange is not None and exchange.sent:
                words = f"{self._endpoint.name}: the command did not end within {deadline:g} s"
                return Unknown(words, connected=exchange.started, stdout=exchange.stdout)
            if refusal is not None:
                return refusal
            if lane.connected:
                return DidNotRun(Cause.BUSY, f"{self._endpoint.name}: no session for {user} within {deadline:g} s")
            return DidNotRun(Cause.UNREACHABLE, f"{self._endpoint.name}: no connection for {user} within {deadline:g} s")

    async def forget(self, user: str) -> None:
        """Use no connection of this user made until now: his key is gone or has changed. Running commands may end."""
        self._pool.lane(user).renew()

    async def close(self) -> None:
        """Close everything. Commands that still run end as Unknown; later ones do not run."""
        await self._pool.close()
