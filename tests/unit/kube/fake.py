"""An API server in this process: objects with uid and resourceVersion, JSON patches, watches, and troubles on demand.

It behaves as the real one does where our code depends on it (tests/integration/test_kube.py runs against that one):
a failed `test` is 422, a status subresource changes nothing but status, an unchanged object keeps its resourceVersion.
"""

import asyncio
import copy
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = tuple[str, str, str]  # plural, namespace, name


@dataclass
class Seen:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Trouble:
    """How the next request is answered instead of being served; `after` serves it first."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    after: bool = False
    cut: bool = False
    """Close the connection without an answer."""


class FakeApi:
    def __init__(self) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.seen: list[Seen] = []
        self.troubles: deque[Trouble] = deque()
        self.tokens = {"good"}
        self.busy = 0
        self.busiest = 0
        self._version = 100
        self._history: list[tuple[int, dict[str, Any]]] = []
        self._watchers: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self._watching = asyncio.Event()

    # --- what tests do to it

    def put(self, plural: str, namespace: str, name: str, **fields: Any) -> dict[str, Any]:
        """Make an object, or change one."""
        old = self.objects.get((plural, namespace, name))
        metadata = old["metadata"] if old else {"namespace": namespace, "name": name, "uid": f"uid-{self._next()}"}
        metadata = metadata | fields.pop("metadata", {}) | {"resourceVersion": self._next()}
        body = {"metadata": metadata, **fields}
        self.objects[plural, namespace, name] = body
        self.tell("MODIFIED" if old else "ADDED", body)
        return body

    def delete(self, plural: str, namespace: str, name: str) -> None:
        body = self.objects.pop((plural, namespace, name))
        self.tell("DELETED", body | {"metadata": body["metadata"] | {"resourceVersion": self._next()}})

    def tell(self, kind: str, body: dict[str, Any]) -> None:
        """Send an event to all watches, and keep it for those that begin earlier in history."""
        self._history.append((int(body["metadata"].get("resourceVersion", 0)), {"type": kind, "object": body}))
        for watcher in self._watchers:
            watcher.put_nowait({"type": kind, "object": body})

    async def watched(self) -> None:
        """Return when somebody watches."""
        await self._watching.wait()

    def end_watches(self) -> None:
        while self._watchers:
            self._watchers.pop().put_nowait(None)
        self._watching.clear()

    def made(self, method: str) -> list[Seen]:
        """Requests of this method."""
        return [seen for seen in self.seen if seen.method == method]

    # --- what it does

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext) -> AsyncIterator[int]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        server = TestServer(app)
        await server.start_server(ssl=tls, shutdown_timeout=0.1)
        try:
            assert server.port
            yield server.port
        finally:
            self.end_watches()
            await server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw) if raw else None
        self.seen.append(Seen(request.method, request.path, dict(request.query), dict(request.headers), body))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            return await self._trouble(request, body) if self.troubles else await self._serve(request, body)
        finally:
            self.busy -= 1

    async def _trouble(self, request: web.Request, body: Any) -> web.StreamResponse:
        trouble = self.troubles.popleft()
        await asyncio.sleep(trouble.delay)
        if trouble.after:
            await self._serve(request, body)
        if trouble.cut:
            assert request.transport
            request.transport.abort()
        return _failure(trouble.status, "Trouble", headers=trouble.headers)

    async def _serve(self, request: web.Request, body: Any) -> web.StreamResponse:
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _failure(401, "Unauthorized")
        key, subresource = _parse(request.path)
        if request.method == "POST":
            return web.json_response(body, status=201)
        if not key[2]:
            return await self._watch(request) if "watch" in request.query else self._list(request, key)
        if key not in self.objects:
            return _failure(404, "NotFound")
        if request.method == "PATCH":
            return self._patch(key, subresource, body)
        return web.json_response(self.objects[key])

    def _patch(self, key: Key, subresource: str, operations: list[dict[str, Any]]) -> web.Response:
        old = self.objects[key]
        new = copy.deepcopy(old)
        for operation in operations:
            *parents, last = operation["path"].strip("/").split("/")
            place = new
            for parent in parents:
                place = place[parent]
            if operation["op"] == "add":
                place[last] = operation["value"]
            elif place.get(last) != operation["value"]:
                return _failure(422, "Invalid")
        new = {**old, "status": new["status"]} if subresource else {**new, "status": old.get("status")}
        if new.get("status") == {"phase": "Nonsense"}:
            return _failure(422, "Invalid", message="status.phase: Unsupported value")
        if new != old:
            new["metadata"]["resourceVersion"] = self._next()
        if "deletionTimestamp" in new["metadata"] and not new["metadata"].get("finalizers"):
            del self.objects[key]
        else:
            self.objects[key] = new
        return web.json_response({"kind": "PartialObjectMetadata", "metadata": new["metadata"]})

    def _list(self, request: web.Request, key: Key) -> web.Response:
        name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        items = [self.objects[found] for found in self.objects if found[:2] == key[:2] and name in {"", found[2]}]
        first = int(request.query.get("continue", 0))
        after = first + int(request.query.get("limit", len(items)))
        metadata = {"resourceVersion": str(self._version), "continue": str(after) if after < len(items) else ""}
        return web.json_response({"kind": "List", "metadata": metadata, "items": items[first:after]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        for version, past in self._history:
            if version > int(request.query.get("resourceVersion", 0)):
                queue.put_nowait(past)
        self._watchers.add(queue)
        self._watching.set()
        try:
            while event := await queue.get():
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self._watchers.discard(queue)
        return response

    def _next(self) -> str:
        self._version += 1
        return str(self._version)


def _parse(path: str) -> tuple[Key, str]:
    parts = path.split("/namespaces/", 1)[1].split("/")
    namespace, plural, name, subresource = [*parts, "", ""][:4]
    return (plural, namespace, name), subresource


def _failure(status: int, reason: str, *, message: str = "", headers: dict[str, str] | None = None) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message or reason.lower()}
    return web.json_response(body, status=status, headers=headers)


def make_certificate(folder: Path) -> ssl.SSLContext:
    """A server context for 127.0.0.1; what clients have to trust is in `folder/ca.crt`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority, private = folder / "ca.crt", folder / "tls.key"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, private)
    return context
