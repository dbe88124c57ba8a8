"""Finalizers: what keeps an object in the API until we have cleaned up behind it.

The list is changed only if it still is what we believe it to be, so that nobody else's finalizer is lost or comes back.
"""

from collections.abc import Callable, Sequence

from slurmgate.kube.addresses import Target
from slurmgate.kube.errors import ConflictError
from slurmgate.kube.patch import Conflict, Gone, Written, encode, read, replace
from slurmgate.kube.session import ApiSession, Json

_TRIES = 10

_Edit = Callable[[Sequence[str]], list[str]]


async def add_finalizer(api: ApiSession, target: Target, finalizer: str, *, finalizers: Sequence[str]) -> Written | Gone:
    """Make sure that an object has a finalizer. `finalizers` are those it was last seen with.

    `Gone` also if it is being deleted already: the API server takes no new finalizers then.

    Raises:
        ApiError: it was refused, or others changed the list ten times in a row.
        UnreachableError: no answer; it may have been written.
    """
    return await _edit(api, target, lambda names: _with(names, finalizer), finalizers, adds=True)


async def remove_finalizer(api: ApiSession, target: Target, finalizer: str, *, finalizers: Sequence[str]) -> Written | Gone:
    """Make sure that an object does not have a finalizer. Raises what `add_finalizer` does."""
    return await _edit(api, target, lambda names: _without(names, finalizer), finalizers, adds=False)


def _with(names: Sequence[str], finalizer: str) -> list[str]:
    return [*names] if finalizer in names else [*names, finalizer]


def _without(names: Sequence[str], finalizer: str) -> list[str]:
    return [name for name in names if name != finalizer]


async def _edit(api: ApiSession, target: Target, edit: _Edit, seen: Sequence[str], *, adds: bool) -> Written | Gone:
    names = list(seen)
    for _ in range(_TRIES):
        wanted = edit(names)
        if wanted != names:
            expected = {"finalizers": names or None} | ({"deletionTimestamp": None} if adds else {})
            outcome = await replace(api, target, "/metadata/finalizers", encode(wanted), expected=expected)
            if not isinstance(outcome, Conflict):
                return outcome
            current: Json | Gone = outcome.current
        else:
            current = await read(api, target)
        if isinstance(current, Gone):
            return current
        metadata = current["metadata"]
        names = metadata.get("finalizers", [])
        if edit(names) == names:
            return Written(metadata["resourceVersion"])
        if adds and "deletionTimestamp" in metadata:
            return Gone()
    raise ConflictError(409, "Conflict", f"the finalizers of {target.title} were changed by others {_TRIES} times in a row")
