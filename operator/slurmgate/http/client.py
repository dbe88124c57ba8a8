"""How Jobbergate, its issuer, InfluxDB and a Vault are asked: few connections, a deadline, no more of an answer than wanted."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from slurmgate.http.errors import TooLargeError, UnreachableError, UnusableError

DEADLINE = 15.0
"""Seconds for one request, from when a connection may be used for it."""

_AT_ONCE = 6
_KEPT_SECONDS = 3.0
"""uvicorn closes what is idle for 5 s; a POST that it meets there would have an uncertain outcome."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = ""


class Http:
    """A bounded pool of connections. Made inside the event loop, closed at the end."""

    def __init__(self, *, authority: str | None = None, deadline: float = DEADLINE) -> None:
        """`authority`: the certificates that are trusted, and no others, as PEM; None trusts those that the system does.

        Raises:
            UnusableError: `authority` holds no certificate.
        """
        self._deadline = deadline
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._session = ClientSession(
            connector=TCPConnector(limit=_AT_ONCE, keepalive_timeout=_KEPT_SECONDS, ssl=_tls(authority)),
            cookie_jar=DummyCookieJar(),
            headers={"User-Agent": "slurmgate", "Accept-Encoding": "identity"},
            auto_decompress=False,  # a bomb that comes all the same stays small
            timeout=ClientTimeout(total=None),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(
        self, method: str, url: URL, *, headers: Mapping[str, str], body: bytes | None = None, largest: int
    ) -> Answer:
        """Ask once. Any status is an answer, redirections too: nobody sends our credentials elsewhere.

        Raises:
            UnreachableError: no answer; what was asked may have been done.
            TooLargeError: an answer of more than `largest` bytes.
        """
        async with self._slots:
            if self._session.closed:
                raise UnreachableError(f"{url.origin()} is not asked any more: we are ending")
            try:
                async with (
                    asyncio.timeout(self._deadline),
                    self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response,
                ):
                    return Answer(response.status, await _read(response, largest), response.content_type)
            except TimeoutError:
                raise UnreachableError(f"{url.origin()} gave no answer within {self._deadline:g} s") from None
            except (ClientError, OSError, UnicodeError) as error:
                raise UnreachableError(f"{url.origin()} cannot be reached: {_words(error)}") from error


def address(text: str, *, what: str) -> URL:
    """The address of a server, without a slash at its end; `what` it is, for the error.

    Raises:
        UnusableError: it is none, or there is something in it that does not belong there.
    """
    try:
        url = URL(text.strip().rstrip("/"))
        port = url.port
    except ValueError:
        url, port = URL(), None
    if url.scheme not in {"http", "https"} or not url.host or port is None:
        raise UnusableError(f"the {what} is none that begins with https:// or http://")
    if url.user is not None or url.password is not None:
        raise UnusableError(f"the {what} has a user or a password in it; credentials belong into the Secret")
    if url.query_string or url.fragment:
        raise UnusableError(f"the {what} ends in a query or a fragment")
    return url


def _tls(authority: str | None) -> ssl.SSLContext:
    """As kube.account has it."""
    if authority is None:
        return ssl.create_default_context()
    certificates = authority.encode("ascii", "ignore").decode().strip()  # bundles have names in all languages around them
    if not certificates:
        raise UnusableError("the certificate authority is empty")
    try:
        context = ssl.create_default_context(cadata=certificates)
    except (ssl.SSLError, ValueError) as error:
        raise UnusableError(f"the certificate authority holds no certificate that can be read: {error}") from None
    # On by default since Python 3.13. Many private authorities have no key identifier (RFC 5280 4.2.1.1): refused.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


async def _read(response: ClientResponse, largest: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > largest:
            raise TooLargeError(response.status, f"{response.url.origin()} answers with more than {largest} bytes")
    return bytes(body)


def _words(error: Exception) -> str:
    """What happened, without the connector's inner life that aiohttp puts around it."""
    if isinstance(error, ClientConnectorCertificateError):
        return str(error.certificate_error)
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
