"""How far back in Jobbergate's list of changes, newest first, has to be read again."""

from collections.abc import Sequence
from datetime import datetime, timedelta

OVERLAP = timedelta(seconds=10)
"""A change may be seen so long after the time that it carries, which is from before its commit."""


class Cursor:
    """Where the list was read to. Its times are the API's, `clock` is our own monotonic one: the two are never compared."""

    def __init__(self) -> None:
        self._newest: datetime | None = None
        self._since = 0.0
        """When the newest change was seen first."""
        self._settled = False
        """Nothing that carries such a time, or an earlier one, can still come to be seen."""

    def reached(self, times: Sequence[datetime]) -> bool:
        """Whether a page with changes of these times is the last that has to be read; with none, it is."""
        if self._newest is None or not times:
            return True
        oldest = min(times)
        return oldest <= self._newest if self._settled else oldest < self._newest - OVERLAP

    def advance(self, newest: datetime | None, clock: float) -> None:
        """The list was read as far as it had to be, from `clock` on."""
        if newest is not None and (self._newest is None or newest > self._newest):
            self._newest, self._since, self._settled = newest, clock, False
        elif clock >= self._since + OVERLAP.total_seconds():
            self._settled = True
