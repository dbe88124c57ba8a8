"""Whether the process is alive, and whether it is ready to do its work.

Neither asks Slurm: a login node that is down is no reason to restart the operator.
"""

import asyncio

from slurmgate.telemetry.metrics import Metrics

_EVERY = 1.0
_DEAD_AFTER = 30.0


class Heartbeat:
    """A task that does nothing but wake up once a second; it notices when the event loop has no time for it."""

    def __init__(self, metrics: Metrics) -> None:
        self._clock = asyncio.get_running_loop().time
        self._metrics = metrics
        self._last = self._clock()
        self._task = asyncio.create_task(self._beat(), name="heartbeat")

    @property
    def alive(self) -> bool:
        """Whether it was heard within the last 30 seconds."""
        return self._clock() - self._last < _DEAD_AFTER

    async def stop(self) -> None:
        """End it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            now = self._clock()
            self._metrics.event_loop_lag.observe(max(0.0, now - self._last - _EVERY))
            self._last = now


class Readiness:
    """The things that have to be so before the operator does its work, by name: each is ready or says what is missing."""

    def __init__(self, *conditions: str) -> None:
        self._missing = dict.fromkeys(conditions, "not yet")

    def ready(self, condition: str) -> None:
        """This one is."""
        self._missing.pop(condition, None)

    def not_ready(self, condition: str, why: str) -> None:
        """This one is not (any more)."""
        self._missing[condition] = why

    @property
    def missing(self) -> dict[str, str]:
        """What is not ready, and why."""
        return dict(self._missing)
