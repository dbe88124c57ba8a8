"""Somebody with kubectl, many times: creates, changes and watches JobSubmissions as fast as the API server takes it."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yaml

from bed import valhalla
from bed.life import Bed
from tests.api import OURS

Json = dict[str, Any]
AT_ONCE = 16
"""Requests under way; the operator has as many for statuses."""
_LONGEST_SECONDS = 900.0
_LINE_BYTES = 2**24
_HERE = f"{OURS}/namespaces/{valhalla.RESEARCH}/jobsubmissions"


@dataclass
class Client:
    """The API server as an administrator sees it, and since when every submission is as it is now."""

    session: aiohttp.ClientSession
    seen: dict[str, Json] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def create(self, manifests: Iterable[Json]) -> dict[str, float]:
        """Create all, as fast as can be; when each was sent, by name."""
        sent: dict[str, float] = {}

        async def one(manifest: Json) -> None:
            sent[manifest["metadata"]["name"]] = time.time()
            await self._ask("POST", _HERE, manifest)

        await _at_once(one, manifests)
        return sent

    async def change(self, names: Iterable[str], change: Json, *, subresource: str = "") -> None:
        """Merge the same into all of them."""
        await _at_once(lambda name: self._ask("PATCH", f"{_HERE}/{name}{subresource}", change), names)

    async def clear(self) -> None:
        """Delete all, and return when they are gone."""
        await self._ask("DELETE", _HERE)
        await self.until(lambda: not self.seen, "Deleting")

    async def moments(self, names: Iterable[str], good: Callable[[Json], bool], what: str) -> dict[str, float]:
        """When each of these was good for the first time, in seconds since 1970."""
        missing, found = set(names), dict[str, float]()

        def look() -> bool:
            for name in tuple(missing):
                now = self.seen.get(name, {})
                if good(now):
                    found[name] = time.time()
                    missing.discard(name)
                elif now.get("status", {}).get("phase") == "Rejected":
                    raise RuntimeError(f"{what}: {name} is rejected: {now['status']['conditions']}")
            return not missing

        await self.until(look, what)
        return found

    async def until(self, ready: Callable[[], bool], what: str) -> None:
        """Return when it is so; looks whenever something has changed."""
        async with asyncio.timeout(_LONGEST_SECONDS):
            while not ready():
                self._news.clear()
                try:
                    await self._news.wait()
                except asyncio.CancelledError as error:
                    error.add_note(what)
                    raise

    async def watch(self) -> None:
        """Keep `seen` up to date, until cancelled."""
        listing = await self._ask("GET", _HERE)
        self.seen.update({item["metadata"]["name"]: item for item in listing["items"]})
        version = listing["metadata"]["resourceVersion"]
        while True:
            where = f"{_HERE}?watch=1&resourceVersion={version}"
            async with self.session.get(where, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                async for line in answer.content:
                    event = json.loads(line)
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._take(event["type"], event["object"])

    def _take(self, kind: str, item: Json) -> None:
        name = item["metadata"]["name"]
        if kind == "DELETED":
            self.seen.pop(name, None)
        else:
            self.seen[name] = item
        self._news.set()

    async def _ask(self, method: str, where: str, body: Json | None = None) -> Json:
        headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
        async with self.session.request(method, where, json=body, headers=headers) as answer:
            found: Json = await answer.json()
            if answer.status >= 400:  # noqa: PLR2004 - HTTP
                raise RuntimeError(f"{method} {where}: {found.get('message')}")
            return found


@asynccontextmanager
async def client(bed: Bed) -> AsyncIterator[Client]:
    """Somebody who watches."""
    view = yaml.safe_load(bed.kubectl("config", "view", "--raw", "--minify").stdout)
    cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
    connector = aiohttp.TCPConnector(limit=AT_ONCE + 1, ssl=ssl.create_default_context(cafile=cluster["certificate-authority"]))
    async with aiohttp.ClientSession(
        cluster["server"],
        connector=connector,
        headers={"Authorization": f"Bearer {user['token']}"},
        read_bufsize=_LINE_BYTES,
        timeout=aiohttp.ClientTimeout(total=_LONGEST_SECONDS),
    ) as session:
        found = Client(session)
        watching = asyncio.create_task(found.watch())
        try:
            yield found
        finally:
            watching.cancel()


async def _at_once(do: Callable[[Any], Awaitable[Any]], items: Iterable[Any]) -> None:
    """Do it to all, so many at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: Any) -> None:
        async with places:
            await do(item)

    await asyncio.gather(*map(one, items))
