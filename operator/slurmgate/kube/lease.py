"""The Lease that the one holds who works; all others stand by. What is decided about it is in `core.lease`.

Losing it ends the process at once (`kube.deadman`): a new one knows nothing that is not true any more.
"""

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import Any

from slurmgate.core.lease import Lease, Sighting, Terms, claim, held_until, release, see
from slurmgate.kube.addresses import Address
from slurmgate.kube.deadman import Deadman, end
from slurmgate.kube.errors import ApiError, ConflictError, NotFoundError
from slurmgate.kube.patch import encode
from slurmgate.kube.session import ApiSession, Json

_JITTER = 1.2  # client-go's JitterFactor
_LEASES = "leases"
_MICRO_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"

_log = logging.getLogger(__name__)


class Leadership:
    """First `acquire`, then `hold` for as long as it is to last, then `release`. Made in the main thread."""

    def __init__(self, api: ApiSession, *, namespace: str, name: str, identity: str, terms: Terms) -> None:
        """`api` serves nobody else, so that a crowd of other requests cannot keep a renewal waiting.

        `identity` is this process's alone: one that takes the place of another in its Pod is somebody else.
        """
        self._api = api
        self._address = Address(_LEASES, namespace, name)
        self._me = identity
        self._terms = terms
        self._deadman = Deadman(self._unrenewed)
        self._seen: Sighting | None = None
        self._version: str | None = None
        """The resourceVersion of what was seen; None: there is no Lease."""
        self._trouble = "this process was stopped or had no time"

    @property
    def title(self) -> str:
        """How it is called in messages."""
        return f"the Lease {self._address.namespace}/{self._address.name}"

    async def acquire(self) -> str:
        """Stand by until it is ours. Answers as whom."""
        known = ""
        while True:
            try:
                await self._look()
                if await self._claim():
                    _log.info("Leading: %s has %s", self._me, self.title)
                    return self._me
                if self._holder != known:
                    known = self._holder
                    _log.info("Standing by: %s has %s", known, self.title)
            except ConflictError:
                pass  # somebody was quicker
            except ApiError as error:
                _log.warning("Standing by: %s cannot be asked for: %s", self.title, error)
            await asyncio.sleep(self._terms.retry_period * random.uniform(1, 1 + _JITTER))  # noqa: S311  # not for secrets

    async def hold(self) -> None:
        """Renew it until cancelled; ends the process when somebody else has it, or when the time is up."""
        while True:
            await asyncio.sleep(self._terms.retry_period)
            try:
                await self._renew()
            except ApiError as error:
                self._trouble = str(error)
                _log.warning("%s was not renewed: %s", self.title, error)

    async def release(self, seconds: float) -> None:
        """Let the next one take over at once, if it is ours. Nothing that we began may be under way any more."""
        try:
            async with asyncio.timeout(seconds):
                await self._look()
                if self._seen and self._seen.lease.holder == self._me:
                    await self._write(release(self._seen.lease, datetime.now(UTC)))
        except (ApiError, TimeoutError) as error:
            _log.warning("%s was not released, the next one waits until it runs out: %r", self.title, error)
        self._deadman.retire()

    @property
    def _holder(self) -> str:
        return self._seen.lease.holder if self._seen else ""

    async def _renew(self) -> None:
        try:
            await self._claim()  # it is as we wrote it, usually
        except (ConflictError, NotFoundError):
            await self._look()
            if not await self._claim():
                end(f"{self.title} was lost: {self._holder} has it. Somebody else leads; this process ends")

    async def _claim(self) -> bool:
        """Write that it is ours, if we may."""
        asked = time.monotonic()
        wanted = claim(self._me, self._terms, self._seen, clock=asked, now=datetime.now(UTC))
        if wanted is None:
            return False
        await self._write(wanted)
        self._deadman.put_off(held_until(asked, self._terms))
        return True

    async def _look(self) -> None:
        try:
            body = await self._api.request("GET", self._address, deadline=self._deadline)
        except NotFoundError:
            self._seen = self._version = None
        else:
            self._saw(body)

    async def _write(self, lease: Lease) -> None:
        metadata = {"name": self._address.name, "namespace": self._address.namespace}
        if self._version:
            method, address = "PUT", self._address
            metadata["resourceVersion"] = self._version
        else:
            method, address = "POST", Address(_LEASES, self._address.namespace)
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": _spec(lease)}
        self._saw(await self._api.request(method, address, body=encode(body), deadline=self._deadline))

    def _saw(self, body: Json) -> None:
        self._seen = see(self._seen, _lease(body.get("spec") or {}), time.monotonic())
        self._version = body["metadata"]["resourceVersion"]

    @property
    def _deadline(self) -> float:
        """For one request: one that hangs must leave time for another."""
        return self._terms.renew_deadline / 2

    def _unrenewed(self) -> str:
        return (
            f"{self.title} could not be renewed for {self._terms.renew_deadline:g} s: {self._trouble}. "
            "Somebody else may lead; this process ends"
        )


def _spec(lease: Lease) -> dict[str, Any]:
    return {
        "holderIdentity": lease.holder or None,
        "leaseDurationSeconds": lease.duration,
        "acquireTime": lease.acquired and lease.acquired.strftime(_MICRO_TIME),
        "renewTime": lease.renewed and lease.renewed.strftime(_MICRO_TIME),
        "leaseTransitions": lease.transitions,
    }


def _lease(spec: Json) -> Lease:
    """Every field of it may be absent."""
    acquired, renewed = spec.get("acquireTime"), spec.get("renewTime")
    return Lease(
        holder=spec.get("holderIdentity") or "",
        duration=spec.get("leaseDurationSeconds") or 0,
        acquired=datetime.fromisoformat(acquired) if acquired else None,
        renewed=datetime.fromisoformat(renewed) if renewed else None,
        transitions=spec.get("leaseTransitions") or 0,
    )
