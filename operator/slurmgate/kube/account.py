"""The ServiceAccount that the operator is: its token and the certificate authority it trusts.

kubelet replaces the token long before it expires (at 80 % of its life, an hour by default), so the file is read again
every minute, and at once when the API server refuses what we have. Nothing needs a restart or a new login.
"""

import ssl
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from aiohttp.hdrs import AUTHORIZATION

from slurmgate.kube.errors import UnreachableError

_REREAD_SECONDS = 60.0
_UNAUTHORIZED = 401


class ServiceAccount:
    """The files `token` and `ca.crt` of a directory, as kubelet mounts them."""

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._token = ""
        self._read_at = float("-inf")

    def tls(self) -> ssl.SSLContext:
        """TLS that trusts the cluster's authority and nothing else.

        Raises:
            UnreachableError: there is no such file, or it is no certificate.
        """
        authority = self._directory / "ca.crt"
        try:
            context = ssl.create_default_context(cafile=authority)
        except (OSError, ssl.SSLError) as error:
            raise UnreachableError(f"the API server's authority {authority} cannot be read: {error}") from error
        # On by default since Python 3.13. Many clusters' authorities have no key identifier (RFC 5280 4.2.1.1): refused.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    async def authorize(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Client middleware of aiohttp: the token on every request, the newest one after a 401."""
        used = request.headers[AUTHORIZATION] = f"Bearer {self._current()}"
        response = await handler(request)
        if response.status != _UNAUTHORIZED:
            return response
        self._read_at = float("-inf")
        newest = f"Bearer {self._current()}"
        if newest == used:
            return response
        response.release()
        request.headers[AUTHORIZATION] = newest
        return await handler(request)

    def _current(self) -> str:
        if self._clock() - self._read_at >= _REREAD_SECONDS:
            path = self._directory / "token"
            try:
                self._token = path.read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UnreachableError(f"the ServiceAccount token {path} cannot be read: {error}") from None
            self._read_at = self._clock()
        return self._token
