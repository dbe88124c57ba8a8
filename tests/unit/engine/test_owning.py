"""Which jobs are still those that we submitted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from slurmgate.core.outcomes import Observation, Seen, Source, Task, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.engine.owning import in_queue
from tests.unit.core.build import JOB, TOKEN, pending, record_of, row
from tests.unit.core.life import Life

DOWN = Unavailable(Reason.ACCOUNTING_UNAVAILABLE, "slurmdbd")


@dataclass
class Slurm:
    """A gateway, and a site around it."""

    queue: Sequence[Task]
    accounting: Sequence[Task] | Unavailable = ()
    keeps_accounting: bool = True

    @property
    def gateway(self) -> "Slurm":
        return self

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        assert [user] == list(users or ())
        return Seen(Source.QUEUE, {JOB: tuple(self.queue)} if self.queue else {})

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        assert (user, job_ids) == ("kirby", [JOB])
        return (
            self.accounting if isinstance(self.accounting, Unavailable) else Seen(Source.ACCOUNTING, {JOB: (*self.accounting,)})
        )


def nameless() -> Task:
    """Its comment was overwritten, and it was requeued: nothing in the queue shows whose it is."""
    return row("RUNNING", token=None, submit_time=None)


IN_QUEUE: dict[str, tuple[Slurm, set[str] | Unavailable]] = {
    "it waits": (Slurm([pending()]), {TOKEN}),
    "it is not there": (Slurm([]), set()),
    "another submission's": (Slurm([row("RUNNING", token="another")]), set()),
    "nobody's by its looks, ours by the accounting": (Slurm([nameless()], [row("RUNNING")]), {TOKEN}),
    "nobody's by its looks, and ours has ended": (Slurm([nameless()], [record_of("COMPLETED")]), set()),
    "nobody's by its looks, another's by the accounting": (Slurm([nameless()], [row("RUNNING", token="another")]), set()),
    "nobody's by its looks, and nobody can say": (Slurm([nameless()], DOWN), DOWN),
    "nobody's by its looks, and there is no accounting": (Slurm([nameless()], keeps_accounting=False), set()),
}


@pytest.mark.parametrize(("slurm", "found"), IN_QUEUE.values(), ids=IN_QUEUE.keys())
async def test_the_very_jobs(slurm: Any, found: set[str] | Unavailable) -> None:
    record = Life().known().queue(pending()).record
    assert await in_queue(slurm, "kirby", [record]) == found
