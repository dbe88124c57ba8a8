"""How kopf watches: the settings that were measured (docs/decisions/0002-kopf-events-only.md)."""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import kopf
from typing_extensions import override

_FIRST_PAUSES = (1.0, 2.0, 4.0, 8.0)
_STEADY_PAUSE = 15.0


def kopf_settings() -> kopf.OperatorSettings:
    """Few connections, nothing written to the objects, and patience with the API server."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.5
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = _Pauses()
    settings.posting.enabled = False
    settings.persistence.finalizer = "slurmgate.dev/kopf"
    settings.persistence.diffbase_storage = _NoEssence()
    settings.persistence.progress_storage = _NoProgress()
    return settings


class _Pauses(Iterable[float]):
    """Endless: kopf would end the operator when the list is used up, and an API server may be away for an hour."""

    @override
    def __iter__(self) -> Iterator[float]:
        return chain(_FIRST_PAUSES, repeat(_STEADY_PAUSE))


class _NoEssence(kopf.DiffBaseStorage):
    """Keeps no copy of the spec: nothing here depends on what changed in between."""

    @override
    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    @override
    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    @override
    def store(self, **_: Any) -> None:
        pass


class _NoProgress(kopf.ProgressStorage):
    """Keeps no progress of handlers: there are none that could be repeated."""

    @override
    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence

    @override
    def fetch(self, **_: Any) -> None:
        return None

    @override
    def store(self, **_: Any) -> None:
        pass

    @override
    def purge(self, **_: Any) -> None:
        pass

    @override
    def touch(self, **_: Any) -> None:
        pass
