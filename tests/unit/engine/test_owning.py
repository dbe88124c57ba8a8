"""Which jobs are still those that we submitted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from slurmgate.core.outcomes import NotNow, Observation, Seen, Source, Task, Unavailable
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.engine.owning import still_ours
from slurmgate.resources.submission import JobSubmissionStatus
from tests.unit.core.build import JOB, TOKEN, at, pending, record_of, row
from tests.unit.core.life import Life

DOWN = Unavailable(Reason.ACCOUNTING_UNAVAILABLE, "slurmdbd")
LOCKED_OUT = Unavailable(Reason.AUTHENTICATION_FAILED, "his key was refused")


@dataclass
class Slurm:
    """A gateway, and a site around it."""

    queue: Sequence[Task]
    accounting: Sequence[Task] | Unavailable = ()
    keeps_accounting: bool = True
    controller_down: NotNow | None = None

    @property
    def gateway(self) -> "Slurm":
        return self

    locked_out: Collection[str] = ()
    service_user: str = ""

    def agents(self, user: str) -> tuple[str, ...]:
        return (user, self.service_user) if self.service_user else (user,)

    async def observe(self, user: str, users: Collection[str] | None) -> Observation:
        assert list(users or ()) == ["kirby"]
        if user in self.locked_out:
            return LOCKED_OUT
        return Seen(Source.QUEUE, {JOB: tuple(self.queue)} if self.queue else {})

    async def account(self, user: str, job_ids: Sequence[str]) -> Observation:
        assert user not in self.locked_out
        assert job_ids == [JOB]
        return (
            self.accounting if isinstance(self.accounting, Unavailable) else Seen(Source.ACCOUNTING, {JOB: (*self.accounting,)})
        )


AGAIN = at(500)
"""When it was requeued: Slurm takes that for submitted anew."""


def nameless() -> Task:
    """Its comment was overwritten, and it was requeued: nothing in the queue shows whose it is."""
    return row("RUNNING", token=None, submit_time=AGAIN)


STILL_OURS: dict[str, tuple[Slurm, bool | Unavailable]] = {
    "it waits": (Slurm([pending()]), True),
    "it is not there": (Slurm([]), False),
    "another submission's": (Slurm([row("RUNNING", token="another")]), False),
    "nobody's by its looks, ours by the accounting": (Slurm([nameless()], [row("RUNNING", submit_time=AGAIN)]), True),
    "nobody's by its looks, and ours was forgotten": (Slurm([nameless()], [row("RUNNING")]), False),
    "nobody's by its looks, and ours has ended": (Slurm([nameless()], [record_of("COMPLETED")]), False),
    "nobody's by its looks, another's by the accounting": (
        Slurm([nameless()], [row("RUNNING", token="another", submit_time=AGAIN)]),
        False,
    ),
    "nobody's by its looks, and nobody can say": (Slurm([nameless()], DOWN), DOWN),
    "nobody's by its looks, and there is no accounting": (Slurm([nameless()], keeps_accounting=False), False),
    "slurmctld is known not to answer": (Slurm([pending()], controller_down=NotNow(DOWN.reason, DOWN.message)), DOWN),
}


@pytest.mark.parametrize(("slurm", "answer"), STILL_OURS.values(), ids=STILL_OURS.keys())
async def test_the_very_job(slurm: Any, answer: bool | Unavailable) -> None:
    record = Life().known().queue(pending()).record
    assert await still_ours(slurm, "kirby", [record]) == ("kirby", {TOKEN: answer})


AGENTS: dict[str, tuple[Slurm, str, bool | Unavailable]] = {
    "the user": (Slurm([pending()], service_user="jarvice"), "kirby", True),
    "the service user, where the user cannot log in": (
        Slurm([pending()], service_user="jarvice", locked_out={"kirby"}),
        "jarvice",
        True,
    ),
    "the service user, who asks the accounting as well": (
        Slurm([nameless()], [row("RUNNING", submit_time=AGAIN)], service_user="jarvice", locked_out={"kirby"}),
        "jarvice",
        True,
    ),
    "nobody, where neither can log in": (
        Slurm([pending()], service_user="jarvice", locked_out={"kirby", "jarvice"}),
        "jarvice",
        LOCKED_OUT,
    ),
    "nobody, where there is no service user": (Slurm([pending()], locked_out={"kirby"}), "kirby", LOCKED_OUT),
    "the user, whose trouble is not his alone": (Slurm([nameless()], DOWN, service_user="jarvice"), "kirby", DOWN),
}


@pytest.mark.parametrize(("slurm", "agent", "answer"), AGENTS.values(), ids=AGENTS.keys())
async def test_who_may_do_something_to_it(slurm: Any, agent: str, answer: bool | Unavailable) -> None:
    record = Life().known().queue(pending()).record
    assert await still_ours(slurm, "kirby", [record]) == (agent, {TOKEN: answer})


async def test_one_that_cannot_be_told_keeps_no_other_one_back() -> None:
    doubtful = Life().known().queue(pending()).record
    certain = replace(doubtful, token="another")
    slurm: Any = Slurm([nameless()], DOWN)
    _, answers = await still_ours(slurm, "kirby", [doubtful, replace(certain, status=_with_job(certain, "8"))])
    assert answers == {TOKEN: DOWN, "another": False}


def _with_job(record: Record, job_id: str) -> JobSubmissionStatus:
    assert record.status.slurm
    return record.status.model_copy(update={"slurm": record.status.slurm.model_copy(update={"job_id": job_id})})
