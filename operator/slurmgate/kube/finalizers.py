"""Finalizers: what keeps an object in the API until we have cleaned up behind it.

The whole list is written at once under the resourceVersion it was read with, so that nobody else's finalizer is lost or
comes back.
"""

from collections.abc import Callable, Sequence

from slurmgate.kube.addresses import Target
from slurmgate.kube.errors import ConflictError
from slurmgate.kube.patch import Conflict, Gone, Written, encode, replace
from slurmgate.kube.session import ApiSession

_TRIES = 10


async def add_finalizer(
    api: ApiSession, target: Target, finalizer: str, *, finalizers: Sequence[str], resource_version: str
) -> Written | Gone:
    """Put a finalizer on an object whose metadata was last seen as given. `Gone` too if it is being deleted already.

    Raises:
        ApiError: it was refused, or changed by others ten times in a row.
        UnreachableError: no answer; it may have been written.
    """
    return await _edit(api, target, lambda names: _with(names, finalizer), finalizers, resource_version)


async def remove_finalizer(
    api: ApiSession, target: Target, finalizer: str, *, finalizers: Sequence[str], resource_version: str
) -> Written | Gone:
    """Take a finalizer off an object whose metadata was last seen as given. Raises what `add_finalizer` does."""
    return await _edit(api, target, lambda names: _without(names, finalizer), finalizers, resource_version)


def _with(names: Sequence[str], finalizer: str) -> list[str]:
    return [*_without(names, finalizer), finalizer]


def _without(names: Sequence[str], finalizer: str) -> list[str]:
    return [name for name in names if name != finalizer]


async def _edit(
    api: ApiSession,
    target: Target,
    edit: Callable[[Sequence[str]], list[str]],
    finalizers: Sequence[str],
    resource_version: str,
) -> Written | Gone:
    for _ in range(_TRIES):
        wanted = edit(finalizers)
        if sorted(wanted) == sorted(finalizers):
            return Written(resource_version)
        outcome = await replace(api, target, "/metadata/finalizers", encode(wanted), resource_version=resource_version)
        if not isinstance(outcome, Conflict):
            return outcome
        metadata = outcome.current["metadata"]
        finalizers, resource_version = metadata.get("finalizers", []), metadata["resourceVersion"]
        if "deletionTimestamp" in metadata and len(edit(finalizers)) > len(finalizers):
            return Gone()  # the API server takes no new finalizers now, and the object may vanish any moment
    raise ConflictError(409, "Conflict", f"{target.title} was changed by others {_TRIES} times in a row")
