"""Follows one ConfigMap or Secret for as long as somebody is interested.

The user mapping and the host keys are changed by GitOps while jobs run; what is followed here is used within two seconds,
without a restart and without asking again and again.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from slurmgate.kube.addresses import Address
from slurmgate.kube.backoff import delays
from slurmgate.kube.content import Content, Kind, content
from slurmgate.kube.errors import ApiError, ExpiredError, ForbiddenError, api_error
from slurmgate.kube.session import ApiSession

# The API server is asked to end a watch after a minute, so that a longer silence means that the connection is dead. Bookmarks
# would not do: it sends none for a kind of which nothing has changed since it started.
_PERIOD = 60
_SILENCE = 70.0
_STEADY = 10.0  # a watch that lasted so long did not fail; a refusal that lasted so long is meant
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It cannot be read; what it contains is not known. It goes on being tried."""

    message: str


Followed = Content | Unreadable | None
"""`None`: there is no such object."""


def text_of(version: Followed, kind: Kind, name: str, key: str) -> str | Unreadable:
    """The text under a key of what is followed, or why there is none."""
    match version:
        case Content() if key in version.data:
            return version.data[key].decode(errors="replace")
        case Content():
            return Unreadable(f"{kind} {name} has no key {key!r}")
        case None:
            return Unreadable(f"{kind} {name} does not exist in the operator's namespace")
        case _:
            return version


async def follow(api: ApiSession, kind: Kind, namespace: str, name: str) -> AsyncGenerator[Followed]:
    """What the object contains: at once, and again whenever that changes. Never ends; close it with `aclosing`.

    Once the object was read, an API server that does not answer changes nothing and is only logged. That it refuses (RBAC) is
    told when it has done so for ten seconds: one that has just started refuses everybody for a moment.
    """
    clock = asyncio.get_running_loop().time
    told: list[Followed] = []  # the last one, if any
    refused_since: float | None = None
    async with aclosing(_for_ever(api, kind, Address(kind.plural, namespace), name)) as findings:
        async for finding in findings:
            now: Followed
            if isinstance(finding, ApiError):
                _log.warning("%s %s/%s cannot be followed: %s", kind, namespace, name, finding)
                refused_since = (refused_since or clock()) if isinstance(finding, ForbiddenError) else None
                refused = refused_since is not None and clock() - refused_since >= _STEADY
                if told and not isinstance(told[0], Unreadable) and not refused:
                    continue
                now = Unreadable(f"{kind} {namespace}/{name} cannot be read: {finding.message}")
            else:
                now, refused_since = finding, None
            if told != [now]:
                told = [now]
                yield now


async def _for_ever(api: ApiSession, kind: Kind, address: Address, name: str) -> AsyncGenerator[Content | ApiError | None]:
    """The object now and at each event, and what went wrong, with growing pauses after that."""
    clock = asyncio.get_running_loop().time
    pauses = delays(first=_FIRST_PAUSE, most=_LONGEST_PAUSE)
    while True:
        began = clock()
        try:
            async with aclosing(_read_and_watch(api, kind, address, name)) as versions:
                async for version in versions:
                    yield version
        except ExpiredError:
            pass
        except ApiError as error:
            yield error
        if clock() - began >= _STEADY:
            pauses = delays(first=_FIRST_PAUSE, most=_LONGEST_PAUSE)
        await asyncio.sleep(next(pauses))


async def _read_and_watch(api: ApiSession, kind: Kind, address: Address, name: str) -> AsyncGenerator[Content | None]:
    """The object now and at each event, until the watch ends."""
    selector = f"metadata.name={name}"
    listing = await api.get(address, fieldSelector=selector)
    yield content(kind, listing["items"][0]) if listing["items"] else None
    version = listing["metadata"]["resourceVersion"]
    query = {"fieldSelector": selector, "resourceVersion": version, "timeoutSeconds": str(_PERIOD)}
    async with aclosing(api.watch(address, query, silence=_SILENCE)) as events:
        async for event in events:
            if event["type"] == "ERROR":
                raise api_error(event["object"].get("code", 0), event["object"])
            yield None if event["type"] == "DELETED" else content(kind, event["object"])
