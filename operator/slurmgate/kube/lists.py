"""Reads along in the lists that somebody else (kopf) asks for through our session.

When the API server has forgotten how far a watch had come (410), kopf lists anew and says of each object that it is there, but
of one that went meanwhile it says nothing: only the whole list tells.
"""

import json
from collections.abc import Callable, Mapping

from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from slurmgate.kube.addresses import Address

_OK = 200

Told = Callable[[frozenset[str]], None]
"""Takes the uids of all objects that there are."""


class Lists:
    """A client middleware that tells of each whole list, before whoever asked for it sees its last page."""

    def __init__(self, told: Mapping[Address, Told]) -> None:
        """`told`: whom to tell of the lists of these collections."""
        self._told = {address.path: tell for address, tell in told.items()}
        self._uids: dict[str, frozenset[str]] = {}

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Pass the request on, and read its answer if that is (a page of) a list."""
        response = await handler(request)
        path, query = request.url.path, request.url.query
        if path in self._told and "watch" not in query and response.status == _OK:
            page = json.loads(await response.read())  # aiohttp keeps what was read
            before = self._uids.pop(path, frozenset()) if "continue" in query else frozenset()
            uids = before.union(item["metadata"]["uid"] for item in page["items"])
            if page["metadata"].get("continue"):
                self._uids[path] = uids
            else:
                self._told[path](uids)
        return response
