"""Hands our API session to kopf.

kopf closes the session that a login handler gave it after a 401 (with other requests under way, which then fail in odd ways
and end the operator), and at its end. So it gets a session of its own over our pool, and never sees a 401: while the token is
refused, its requests wait.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import kopf
from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

from slurmgate.kube.session import ApiSession

_AGAIN_SECONDS = 5.0
_UNAUTHORIZED = 401

_log = logging.getLogger(__name__)


def login_handler(api: ApiSession, *middlewares: ClientMiddlewareType) -> Callable[..., Awaitable[kopf.AiohttpSession]]:
    """The handler for `kopf.on.login`. Whatever kopf asks passes the middlewares."""

    async def login(**_: object) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=api.server, aiohttp_session=api.lend(*middlewares, _wait_while_refused))

    return login


async def _wait_while_refused(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    while (response := await handler(request)).status == _UNAUTHORIZED:
        response.release()
        _log.warning("the API server refuses our token; kopf waits", extra={"path": request.url.path})
        await asyncio.sleep(_AGAIN_SECONDS)
    return response
