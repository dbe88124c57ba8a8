"""Submissions that are not in Jobbergate any more: deleted, unless there are too many of them to believe it."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from slurmgate.core.record import Record
from slurmgate.core.reporting import Status
from slurmgate.engine.jobbergate.reporter import Reporter
from slurmgate.engine.jobbergate.roster import Roster
from slurmgate.engine.jobbergate.survey import MANY, Survey
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.errors import NotFoundError
from slurmgate.jobbergate.wire import Page, Row
from slurmgate.resources.jobbergate import JobbergateStatus
from tests.unit.core.build import Draft
from tests.unit.core.life import Life

WAITING = [Status.CREATED, Status.SUBMITTED]


class FakeApi:
    """Has these rows, all of them submitted."""

    def __init__(self, numbers: range) -> None:
        self.numbers = numbers

    async def rows(self, *, page: int, status: str) -> Page[Row]:
        rows = [row(number) for number in self.numbers] if status == Status.SUBMITTED else []
        return Page(tuple(rows), (), len(rows), page, 1)

    async def row(self, number: int) -> Row:
        if number not in self.numbers:
            raise NotFoundError(404, f"JobSubmission with id={number} not found")
        return row(number)


class Told:
    def __init__(self) -> None:
        self.vanished: list[int] = []

    def saw(self, *_: Any) -> None:
        pass


def row(number: int) -> Row:
    when = datetime(2026, 12, 1, tzinfo=UTC)
    return Row(id=number, name="n", owner_email="a@b", client_id="c", status="SUBMITTED", slurm_job_id=1, updated_at=when)


def record(number: int) -> Record:
    life = Life(Draft().from_jobbergate(number).finalized(), jobbergate=True).known()
    status = life.record.status.model_copy(update={"jobbergate": JobbergateStatus(id=number)})
    return Life(life.draft.with_status(status), jobbergate=True).record


def survey(*, held: int, there: int) -> tuple[Survey, Told]:
    told = Told()
    records = {str(number): record(number) for number in range(1, held + 1)}
    roster = Roster(records.get)
    for number in range(1, held + 1):
        roster.recognise(number, str(number))
    return (
        Survey(
            cast("JobbergateApi", FakeApi(range(1, there + 1))),
            cast("Reporter", told),
            roster,
            told.saw,
            told.vanished.append,
        ),
        told,
    )


async def test_what_was_deleted_is_told() -> None:
    found, told = survey(held=5, there=3)
    await found.go_through(WAITING)
    assert (told.vanished, found.doubt) == ([4, 5], "")


@pytest.mark.parametrize("there", [0, MANY])
async def test_another_jobbergate_ends_nothing(there: int) -> None:
    found, told = survey(held=2 * MANY, there=there)
    await found.go_through(WAITING)
    assert told.vanished == []
    assert f"{2 * MANY - there} of {2 * MANY} submissions are not in Jobbergate any more" in found.doubt


async def test_it_goes_on_when_they_are_back() -> None:
    found, told = survey(held=2 * MANY, there=0)
    await found.go_through(WAITING)
    found.api = cast("JobbergateApi", FakeApi(range(1, 2 * MANY)))
    await found.go_through(WAITING)
    assert (told.vanished, found.doubt) == ([2 * MANY], "")
