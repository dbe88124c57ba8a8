"""Hands our API session to kopf.

kopf keeps what a login handler gives it until a 401, then closes that session and asks for another one, which has to be
different from the refused one; at its end it closes the last. So it gets a thin session of its own each time, over our pool,
and may close it as often as it likes.
"""

import asyncio
from collections.abc import Awaitable, Callable

import kopf

from slurmgate.kube.session import ApiSession

_AGAIN_SECONDS = 5.0


def login_handler(api: ApiSession) -> Callable[..., Awaitable[kopf.AiohttpSession]]:
    """The handler for `kopf.on.login`."""
    logins = 0

    async def login(**_: object) -> kopf.AiohttpSession:
        nonlocal logins
        logins += 1
        if logins > 1:  # kopf asks again at once: a token that stays refused would become a busy loop
            await asyncio.sleep(_AGAIN_SECONDS)
        return kopf.AiohttpSession(server=api.server, aiohttp_session=api.lend())

    return login
