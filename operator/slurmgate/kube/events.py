"""Posts Kubernetes events: what `kubectl describe` shows at the end.

They are news, not state: posted once in the background, and dropped where the API server does not take them. As in client-go
(`EventSourceObjectSpamFilter`), each object may have 25 at once and then one every five minutes.
"""

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from slurmgate.kube.addresses import API_VERSION, Address, Target
from slurmgate.kube.errors import ApiError, ForbiddenError
from slurmgate.kube.session import ApiSession
from slurmgate.telemetry.metrics import Metrics

COMPONENT = "slurmgate"

_BURST = 25
_REFILL_SECONDS = 300.0
_OBJECTS = 4096
_QUEUE = 1000
_MESSAGE_BYTES = 1024
_NAME_LENGTH = 253

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class EventRecorder:
    """Posts events about our resources. `start` it before kopf, which cancels every task that is younger than itself."""

    def __init__(
        self, api: ApiSession, *, instance: str, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`instance` is the name of this Pod."""
        self._api = api
        self._instance = instance
        self._metrics = metrics
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._queue: asyncio.Queue[tuple[Address, bytes]] = asyncio.Queue(_QUEUE)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to post."""
        self._task = asyncio.create_task(self._work(), name="event-recorder")

    async def stop(self, grace: float) -> None:
        """Post what is left, for at most `grace` seconds, and end."""
        try:
            async with asyncio.timeout(grace):
                await self._queue.join()
        except TimeoutError:
            _log.warning("%d events were not posted before the end", self._queue.qsize())
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def post(self, target: Target, *, type: Literal["Normal", "Warning"], reason: str, message: str) -> None:  # noqa: A002
        """Post an event, unless there were too many of this object. Never waits and never fails."""
        if not self._allowed(target.uid):
            self._drop("too many of one object")
            return
        address = Address("events", target.namespace or "default")
        try:
            self._queue.put_nowait((address, json.dumps(self._event(target, address, type, reason, message)).encode()))
        except asyncio.QueueFull:
            self._drop("queue full")

    def _allowed(self, uid: str) -> bool:
        now = self._clock()
        bucket = self._buckets.pop(uid, None) or _Bucket(_BURST, now)
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.filled_at) / _REFILL_SECONDS)
        bucket.filled_at = now
        self._buckets[uid] = bucket
        if len(self._buckets) > _OBJECTS:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _event(self, target: Target, address: Address, kind: str, reason: str, message: str) -> dict[str, object]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        suffix = f".{time.time_ns():x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"namespace": address.namespace, "name": target.name[: _NAME_LENGTH - len(suffix)] + suffix},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": target.kind,
                "name": target.name,
                "uid": target.uid,
            }
            | ({"namespace": target.namespace} if target.namespace else {}),
            "type": kind,
            "reason": reason,
            "message": _cut(message),
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }

    async def _work(self) -> None:
        while True:
            address, body = await self._queue.get()
            try:
                await self._api.request("POST", address, body=body)
            except ApiError as error:
                self._drop("not accepted")
                ending = isinstance(error, ForbiddenError) and "is being terminated" in error.message
                _log.log(logging.DEBUG if ending else logging.WARNING, "an event was not posted: %s", error)
            finally:
                self._queue.task_done()

    def _drop(self, why: str) -> None:
        self._metrics.events_dropped.labels(why).inc()


def _cut(message: str) -> str:
    """At most 1024 bytes, never half a character."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= _MESSAGE_BYTES:
        return message
    return encoded[: _MESSAGE_BYTES - 3].decode(errors="ignore") + "..."
