"""Goes through all that has not ended in Jobbergate, for what no list of changes shows: submissions that were deleted.

That a submission is not there ends its job. So when many are gone at once, nothing is done but to say so: another Jobbergate
may have been named, or an older state of it brought back.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from slurmgate.core.reporting import Status
from slurmgate.engine.jobbergate.reporter import Reporter
from slurmgate.engine.jobbergate.roster import Roster
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.errors import NotFoundError
from slurmgate.jobbergate.wire import Row

MANY = 10
"""So many that are gone at once, if they are half of all, are not believed to have been deleted."""


@dataclass(eq=False)
class Survey:
    """Over one connection."""

    api: JobbergateApi
    reporter: Reporter
    roster: Roster
    saw: Callable[[Row, float], None]
    """Takes a row, and when it was asked for."""
    vanished: Callable[[int], None]
    """Is told of what was deleted."""
    doubt: str = ""
    """Why nothing is deleted now, in words."""

    async def go_through(self, statuses: Collection[Status]) -> None:
        """Look at all that is at one of these; of what is not listed, find out why."""
        listed: set[int] = set()
        for status in statuses:
            number, last = 1, False
            while not last:
                asked = time.monotonic()
                page = await self.api.rows(page=number, status=status)
                for row in page.items:
                    self.saw(row, asked)
                listed |= {row.id for row in page.items}
                last, number = page.last, number + 1
        gone = [number for number in self._concerned(listed) if not await self._is_there(number)]
        if len(gone) >= MANY and 2 * len(gone) >= len(self.roster):
            self.doubt = (
                f"{len(gone)} of {len(self.roster)} submissions are not in Jobbergate any more. Nothing is cancelled for that: "
                "if it is still the same Jobbergate, delete their JobSubmissions"
            )
            return
        self.doubt = ""
        for number in gone:
            self.vanished(number)

    def _concerned(self, listed: Collection[int]) -> list[int]:
        """Those that are not listed although we think that they have not ended there."""
        records = {number: self.roster.held(number) for number in self.roster if number not in listed}
        return [number for number, record in records.items() if record and record.unheard]

    async def _is_there(self, number: int) -> bool:
        asked = time.monotonic()
        try:
            row = await self.api.row(number)
        except NotFoundError:
            return False
        self.reporter.saw(row, asked)
        return True
