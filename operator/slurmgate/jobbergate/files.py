"""Files of job scripts: many submissions of one script at a time need one download.

The API does not tell when a file was replaced: no date of it changes. So a download serves only those who knew their submission
before it began (what they get is never older than the submission), and only for seconds.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

KEPT_SECONDS: Final = 5.0
KEPT_BYTES: Final = 64 * 1024 * 1024
"""At most, together. Those that came first go first."""

_Key = tuple[int, str]


class Source(Protocol):
    """Where the files are (a JobbergateApi)."""

    async def file(self, job_script_id: int, filename: str) -> bytes:
        """A file of a job script; raises HttpError."""


@dataclass(frozen=True, slots=True, eq=False)
class _Download:
    began: float
    task: "asyncio.Task[bytes]"

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.task.result()) if self.task.done() and not self.failed else 0

    @property
    def failed(self) -> bool:
        """Whether it is over and there is nothing."""
        return self.task.cancelled() or (self.task.done() and self.task.exception() is not None)


class Downloads:
    """Downloads under way, and those that have just come."""

    def __init__(
        self,
        source: Source,
        *,
        kept_seconds: float = KEPT_SECONDS,
        kept_bytes: int = KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._kept_seconds = kept_seconds
        self._kept_bytes = kept_bytes
        self._clock = clock
        self._downloads: dict[_Key, _Download] = {}

    async def file(self, job_script_id: int, filename: str, *, since: float) -> bytes:
        """A file as it was at `since` or later: when the submission that needs it was known already, by `time.monotonic`.

        Raises:
            HttpError: it cannot be had.
        """
        key = (job_script_id, filename)
        download = self._downloads.get(key)
        if download is None or download.began < since:
            download = self._downloads[key] = self._begin(key)
        await asyncio.wait([download.task])  # whoever stops waiting does not stop it for the others
        return download.task.result()

    def _begin(self, key: _Key) -> _Download:
        task = asyncio.create_task(self._source.file(*key), name=f"download of {key[1]}")
        download = _Download(self._clock(), task)
        task.add_done_callback(lambda _: self._came(key, download))
        return download

    def _came(self, key: _Key, download: _Download) -> None:
        if download.failed:
            self._drop(key, download)
            return
        asyncio.get_running_loop().call_later(self._kept_seconds, self._drop, key, download)
        while sum(each.size for each in self._downloads.values()) > self._kept_bytes:
            self._drop(*next((key, each) for key, each in self._downloads.items() if each.size))

    def _drop(self, key: _Key, download: _Download) -> None:
        if self._downloads.get(key) is download:
            del self._downloads[key]
