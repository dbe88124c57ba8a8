"""The far side in this process: an issuer that hands out tokens, and an API that says what the test wants."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer


class Clock:
    """Time that only moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def jwt(**claims: Any) -> str:
    """A JSON Web Token that says so, signed by nobody."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({"alg": "none"}, claims)]
    return ".".join([*parts, "signature"])


@dataclass
class Seen:
    """A request as it came in."""

    method: str
    raw_path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Canned:
    """An answer."""

    body: bytes | str | dict[str, Any] | list[Any] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: asyncio.Event | None = None
    """Given when this has happened."""

    @property
    def content(self) -> bytes:
        match self.body:
            case bytes(content):
                return content
            case str(text):
                return text.encode()
            case value:
                return json.dumps(value).encode()


class FarSide:
    """Answers what is in `answers`, in that order; then tokens to who asks for one, and {} to everybody else."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: deque[Canned] = deque()
        self.life: dict[str, Any] = {"expires_in": 300}
        self.arrived = asyncio.Event()
        self.url = ""

    @property
    def forms(self) -> list[str]:
        """What the issuer was asked."""
        return [seen.body.decode() for seen in self.seen if seen.raw_path.endswith("/token")]

    @property
    def asked(self) -> list[Seen]:
        """What the API was asked."""
        return [seen for seen in self.seen if not seen.raw_path.endswith("/token")]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{rest:.*}", self._serve)
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self.url

    async def _serve(self, request: web.Request) -> web.Response:
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), await request.read()))
        self.arrived.set()
        canned = self.answers.popleft() if self.answers else self._usual(request)
        if canned.wait:
            await canned.wait.wait()
        return web.Response(body=canned.content, status=canned.status, headers=canned.headers)

    def _usual(self, request: web.Request) -> Canned:
        if request.path.endswith("/token"):
            return Canned({"access_token": f"token-{len(self.forms)}", **self.life})
        return Canned({})
