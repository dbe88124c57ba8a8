"""The one way to the API server: few connections, a deadline on every request, errors that say what they mean.

kopf, the status writer, the event recorder and the reads share one bounded pool of connections: without the bound, kopf
opens one for each object that changes (2,000 objects: 1,900 connections and 800 MB). Watches of single objects have a pool of
their own, because they hold a connection for as long as they live and would starve the others.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import (
    ClientError,
    ClientMiddlewareType,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    SocketTimeoutError,
    StreamReader,
    TCPConnector,
)
from yarl import URL

from slurmgate.kube.account import ServiceAccount
from slurmgate.kube.addresses import Address
from slurmgate.kube.errors import ApiError, UnreachableError, api_error
from slurmgate.telemetry.metrics import Metrics

DEADLINE = 30.0
"""Seconds for one request, waiting for a connection and retries after 429 included."""

_CONNECTIONS = 24
_CONNECT_SECONDS = 10.0
_THROTTLED = (429, 503)
_NO_SUCCESS = 300  # nobody redirects us: our token is for this server only

Json = dict[str, Any]
_log = logging.getLogger(__name__)


class ApiSession:
    """Requests to the API server as the operator's ServiceAccount. Made inside the event loop, closed at the end."""

    def __init__(self, *, host: str, port: int, account: ServiceAccount, metrics: Metrics) -> None:
        """Prepare; nothing is connected yet.

        Raises:
            UnreachableError: the ServiceAccount's files cannot be read.
        """
        self.server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._account = account
        self._metrics = metrics
        tls = account.tls()
        self._pool = TCPConnector(limit=_CONNECTIONS, ssl=tls)
        self._watch_pool = TCPConnector(limit=0, ssl=tls)
        self._requests = self._client(self._pool)
        self._watches = self._client(self._watch_pool)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, those lent to kopf too."""
        await self._requests.close()
        await self._watches.close()
        await self._pool.close()
        await self._watch_pool.close()

    def lend(self, *middlewares: ClientMiddlewareType) -> ClientSession:
        """A client for somebody else (kopf) over the same pool: closing it leaves the pool open."""
        return self._client(self._pool, *middlewares)

    def _client(self, pool: TCPConnector, *middlewares: ClientMiddlewareType) -> ClientSession:
        return ClientSession(
            connector=pool,
            connector_owner=False,
            headers={"User-Agent": "slurmgate"},  # also the name in managedFields
            middlewares=(*middlewares, self._account.authorize),
            timeout=ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        )

    async def request(
        self,
        method: str,
        address: Address,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        query: Mapping[str, str] | None = None,
        deadline: float = DEADLINE,
    ) -> Json:
        """Ask once; wait and ask again only where the server says that it did nothing and when to come back (429, 503).

        Raises:
            ApiError: the server said no.
            UnreachableError: no answer within `deadline` seconds; what was asked may have been done.
        """
        headers = {"Accept": accept} | ({"Content-Type": content_type} if body is not None else {})
        try:
            async with asyncio.timeout(deadline):
                answer = await self._exchange(method, self._url(address, query), body, headers)
        except TimeoutError:
            self._count(method, address, "Unreachable")
            raise UnreachableError(f"the API server gave no answer within {deadline:g} s") from None
        except ApiError as error:
            self._count(method, address, error.reason)
            raise
        self._count(method, address, "ok")
        return answer

    async def _exchange(self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str]) -> Json:
        while True:
            try:
                async with self._requests.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
                    if (pause := _pause(response)) is None:
                        return await _read(response)
            except (ClientError, OSError) as error:
                raise UnreachableError(f"the API server cannot be reached: {_words(error)}") from error
            _log.warning("the API server asks to come back in %g s", pause, extra={"path": url.path})
            await asyncio.sleep(pause)

    async def get(self, address: Address, **query: str) -> Json:
        """Read an object or a list. Raises what `request` does."""
        return await self.request("GET", address, query=query)

    async def watch(self, address: Address, query: Mapping[str, str], *, silence: float) -> AsyncGenerator[Json]:
        """The events of a watch until the server ends it; close the iterator (`aclosing`) to end it earlier.

        Raises:
            ApiError: the server said no.
            UnreachableError: the connection broke, or nothing was heard for `silence` seconds.
        """
        limits = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        url = self._url(address, {**query, "watch": "true"})
        try:
            async with self._watches.get(url, timeout=limits, allow_redirects=False) as response:
                if response.status >= _NO_SUCCESS:
                    await _read(response)
                async for line in _lines(response.content):
                    yield json.loads(line)
        except SocketTimeoutError:
            raise UnreachableError(f"the API server was silent for {silence:g} s") from None
        except (ClientError, OSError, json.JSONDecodeError) as error:
            raise UnreachableError(f"the watch broke: {_words(error)}") from error

    def _url(self, address: Address, query: Mapping[str, str] | None) -> URL:
        url = URL(f"{self.server}{address.path}", encoded=True)
        return url.with_query(query) if query else url

    def _count(self, method: str, address: Address, outcome: str) -> None:
        if method != "GET":
            self._metrics.api_writes.labels(address.resource, method, outcome).inc()


def _words(error: Exception) -> str:
    """What happened, without the connector's inner life that aiohttp puts around it."""
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


def _pause(response: ClientResponse) -> float | None:
    """Seconds after which the server wants the request again; None: this is its answer."""
    after = response.headers.get("Retry-After", "")
    return max(float(after), 0.1) if response.status in _THROTTLED and after.isdecimal() else None


async def _read(response: ClientResponse) -> Json:
    """The object answered. Raises ApiError for anything but success."""
    content = await response.read()
    try:
        answer = json.loads(content)
    except ValueError:
        answer = content.decode(errors="replace")
    if response.status >= _NO_SUCCESS or not isinstance(answer, dict):
        raise api_error(response.status, answer)
    return answer


async def _lines(content: StreamReader) -> AsyncGenerator[bytes]:
    """Lines of any length: aiohttp's own limit is far below the size of a Secret."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
