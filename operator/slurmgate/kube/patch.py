"""A patch that changes one life of an object, or nothing.

Patches are JSON patches (RFC 6902) that begin with `test` on the uid and, where asked for, on more. A merge patch would not do
for status: the API server ignores `metadata.uid` in it there and writes into whatever has the name now.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slurmgate.kube.addresses import Target
from slurmgate.kube.errors import ConflictError, InvalidError, NotFoundError
from slurmgate.kube.session import ApiSession, Json

_JSON_PATCH = "application/json-patch+json"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


@dataclass(frozen=True, slots=True)
class Written:
    """It stands in the API."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Not written: the object is not as it was expected to be."""

    current: Json = field(repr=False)
    """The object as it is now."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Not written: this life of the object is over."""


def encode(value: object) -> bytes:
    """JSON, the same bytes for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


async def replace(
    api: ApiSession,
    target: Target,
    path: str,
    value: bytes,
    *,
    subresource: str | None = None,
    expected: Mapping[str, Any] | None = None,
) -> Written | Conflict | Gone:
    """Set the field at `path` (a JSON pointer) of the object to `value` (JSON), whatever stood there before.

    `expected`: fields of metadata that must be as given (None: absent), or nothing is written.

    Raises:
        ApiError: the server refused for another reason, for example the schema.
        UnreachableError: no answer; it may have been written.
    """
    expected = expected or {}
    tests = [_test(name, wanted) for name, wanted in {"uid": target.uid, **expected}.items()]
    body = b'%s,{"op":"add","path":"%s","value":%s}]' % (encode(tests)[:-1], path.encode(), value)
    try:
        answer = await api.request(
            "PATCH", target.address(subresource), body=body, content_type=_JSON_PATCH, accept=_METADATA_ONLY
        )
    except NotFoundError:
        return Gone()
    except (ConflictError, InvalidError):
        # A test that fails is answered 422, like an object that the schema refuses. Looking tells them apart.
        current = await read(api, target)
        if isinstance(current, Gone):
            return current
        if any(current["metadata"].get(name) != wanted for name, wanted in expected.items()):
            return Conflict(current)
        raise
    return Written(answer["metadata"]["resourceVersion"])


async def read(api: ApiSession, target: Target) -> Json | Gone:
    """The object as it is now. Raises what `ApiSession.request` does."""
    try:
        current = await api.get(target.address())
    except NotFoundError:
        return Gone()
    return current if current["metadata"]["uid"] == target.uid else Gone()


def _test(name: str, wanted: object) -> dict[str, object]:
    return {"op": "test", "path": f"/metadata/{name}", "value": wanted}
