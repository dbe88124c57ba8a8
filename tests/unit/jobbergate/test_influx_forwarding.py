import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.http.errors import HttpError, UnreachableError
from slurmgate.jobbergate.errors import ForbiddenError, NotFoundError, UnauthorizedError
from slurmgate.jobbergate.forwarding import MetricsForwarder
from slurmgate.jobbergate.influx import InfluxError
from slurmgate.jobbergate.measurements import MOST_ROWS, Task
from tests.unit.jobbergate.fake_influx import FakeInflux, FakeMetrics, silent

BATCH = Task("node1", -5, 0)
FIRST = Task("node2", 0, 0)


@dataclass
class World:
    influx: FakeInflux = field(default_factory=FakeInflux)
    api: FakeMetrics = field(default_factory=FakeMetrics)
    misconfigured: str = ""
    forwarder: MetricsForwarder = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.forwarder = self.new(dict)

    def new(self, jobs: Callable[[], Mapping[int, int]]) -> MetricsForwarder:
        return MetricsForwarder(self.connect, self.api, jobs, cluster="valhalla", interval_seconds=0)

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[FakeInflux]:
        if self.misconfigured:
            raise InfluxError(self.misconfigured)
        yield self.influx

    async def tick(self, jobs: Mapping[int, int]) -> str:
        await self.forwarder.tick(jobs)
        return self.forwarder.problem

    def has(self, number: int, task: Task) -> list[int]:
        return sorted(time for time, of in self.api.rows[number] if of == task)


@pytest.fixture
def world() -> World:
    return World()


async def test_what_is_new_is_handed_over_once(world: World) -> None:
    world.influx.write(42, BATCH, range(100, 130))
    assert await world.tick({7: 42}) == ""
    assert world.has(7, BATCH) == list(range(100, 130))
    world.influx.write(42, BATCH, range(130, 160))
    await world.tick({7: 42})
    await world.tick({7: 42})
    assert world.has(7, BATCH) == list(range(100, 160))
    assert world.api.sizes == [30, 30]
    assert world.api.asked == [7], "what the API has is remembered"


async def test_a_step_or_a_node_that_is_written_late_is_handed_over_too(world: World) -> None:
    world.influx.write(42, BATCH, range(100, 200))
    await world.tick({7: 42})
    world.influx.write(42, FIRST, range(110, 150))
    await world.tick({7: 42})
    assert world.has(7, FIRST) == list(range(110, 150))


async def test_after_a_restart_the_api_says_what_it_has(world: World) -> None:
    world.influx.write(42, BATCH, range(100, 130))
    await world.tick({7: 42})
    world.influx.write(42, BATCH, range(130, 140))
    world.restart()
    await world.tick({7: 42})
    assert world.has(7, BATCH) == list(range(100, 140))
    assert world.api.refused == 0


async def test_a_job_that_has_ended_is_looked_at_once_more(world: World) -> None:
    world.influx.write(42, BATCH, range(100, 130))
    await world.tick({7: 42})
    world.influx.write(42, BATCH, range(130, 140))
    await world.tick({})
    assert world.has(7, BATCH) == list(range(100, 140))
    asked = len(world.influx.asked)
    await world.tick({})
    assert len(world.influx.asked) == asked


async def test_a_job_that_has_ended_is_looked_at_until_influxdb_answers(world: World) -> None:
    await world.tick({7: 42})
    world.influx.write(42, BATCH, [100])
    world.influx.troubles.extend([silent(), silent()])
    assert "gave no answer" in await world.tick({})
    assert "gave no answer" in await world.tick({})
    assert await world.tick({}) == ""
    assert world.has(7, BATCH) == [100]


async def test_of_very_many_jobs_that_have_ended_unheard_the_oldest_are_given_up(world: World) -> None:
    world.influx.troubles.extend([silent()] * 2)
    await world.tick({number: number for number in range(10_001)})
    await world.tick({})
    world.influx.write(0, BATCH, [100])
    world.influx.write(1, BATCH, [100])
    await world.tick({})
    assert world.api.asked == [1]


async def test_jobs_that_are_not_measured_cost_the_api_nothing(world: World) -> None:
    await world.tick({number: number for number in range(1000)})
    assert world.api.asked == world.api.sizes == []


async def test_influxdb_is_asked_for_many_jobs_at_once(world: World) -> None:
    for job in range(1000):
        world.influx.write(job, BATCH, [100, 101])
    await world.tick({number: number for number in range(1000)})
    assert len(world.influx.asked) == 20
    assert sum(world.api.sizes) == 2000
    world.influx.asked.clear()
    await world.tick({number: number for number in range(1000)})
    assert len(world.influx.asked) == 10, "nothing is new"


async def test_much_is_read_and_handed_over_in_parts(world: World) -> None:
    tasks = [Task(f"node{number}", 0, 0) for number in range(300)]
    for task in tasks:
        world.influx.write(42, task, range(100, 150))
    assert await world.tick({7: 42}) == ""
    assert len(world.api.rows[7]) == 15_000
    assert max(world.api.sizes) <= MOST_ROWS
    assert world.influx.most_values <= 2000


async def test_a_lost_answer_is_looked_up(world: World) -> None:
    world.influx.write(42, BATCH, range(100, 130))
    world.api.lose_answers = 1
    assert "gave no answer" in await world.tick({7: 42})
    assert await world.tick({7: 42}) == ""
    assert world.has(7, BATCH) == list(range(100, 130))
    assert world.api.refused == 0


async def test_rows_that_somebody_else_handed_over_are_found_out(world: World) -> None:
    await world.tick({7: 42})
    world.influx.write(42, BATCH, range(100, 130))
    await world.tick({7: 42})
    world.influx.write(42, BATCH, range(130, 140))
    world.api.rows[7].add((130, BATCH))
    assert await world.tick({7: 42}) == "submission 7: Failed to insert metrics (HTTP 400)"
    assert await world.tick({7: 42}) == ""
    assert world.has(7, BATCH) == list(range(100, 140))


async def test_a_deleted_submission_is_left_alone(world: World) -> None:
    world.influx.write(42, BATCH, [100])
    world.influx.write(43, BATCH, [100])
    world.api.refuses[7] = NotFoundError(404, "there is no such submission (HTTP 404)")
    assert await world.tick({7: 42, 8: 43}) == ""
    assert world.has(8, BATCH) == [100]
    await world.tick({7: 42, 8: 43})
    assert world.api.asked == [7, 8]


async def test_what_influxdb_refuses_for_some_jobs_it_may_answer_for_others(world: World) -> None:
    for job in range(101):
        world.influx.write(job, BATCH, [100])
    world.influx.troubles.append(InfluxError("InfluxDB at http://influx:8086: too much"))
    assert await world.tick({number: number for number in range(101)}) == "InfluxDB at http://influx:8086: too much"
    assert set(world.api.rows) == {100}


async def test_where_nobody_answers_only_one_waits(world: World) -> None:
    world.influx.troubles.extend([silent()] * 10)
    assert "gave no answer" in await world.tick({number: number for number in range(1000)})
    assert len(world.influx.asked) == 1


async def test_what_is_configured_is_looked_at_each_time(world: World) -> None:
    world.influx.write(42, BATCH, [100])
    world.misconfigured = "Secret slurmgate-system/influx does not exist"
    assert await world.tick({7: 42}) == "Secret slurmgate-system/influx does not exist"
    world.misconfigured = ""
    assert await world.tick({}) == ""
    assert world.has(7, BATCH) == [100]


@pytest.mark.parametrize(
    "down", [UnreachableError("http://api gave no answer within 15 s"), UnauthorizedError(401, "no token for client valhalla")]
)
async def test_where_the_api_answers_nobody_only_one_asks(world: World, down: HttpError) -> None:
    for job in range(50):
        world.influx.write(job, BATCH, [100])
    world.api.down = down
    assert await world.tick({number: number for number in range(50)}) == str(down)
    assert len(world.api.asked) == 1


async def test_where_the_api_refuses_one_the_others_go_on(world: World) -> None:
    for job in range(3):
        world.influx.write(job, BATCH, [100])
    world.api.refuses[1] = ForbiddenError(403, "Not authorized (HTTP 403)")
    assert await world.tick({number: number for number in range(3)}) == "submission 1: Not authorized (HTTP 403)"
    del world.api.refuses[1]
    assert await world.tick({}) == "", "one that has ended is tried again"
    assert world.has(0, BATCH) == world.has(1, BATCH) == world.has(2, BATCH) == [100]


async def test_a_problem_is_logged_when_it_begins_and_when_it_is_over(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world.influx.troubles.extend([silent()] * 3)
    for _ in range(5):
        await world.tick({7: 42})
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_it_goes_on_after_a_mistake_of_ours(world: World, caplog: pytest.LogCaptureFixture) -> None:
    mistakes: Iterator[Mapping[int, int]] = iter([{7: 42}])

    def jobs() -> Mapping[int, int]:
        try:
            return next(mistakes)
        except StopIteration:
            raise ZeroDivisionError from None

    world.influx.write(42, BATCH, [100])
    with suppress(TimeoutError):
        await asyncio.wait_for(world.new(jobs).run(), 0.1)
    assert world.has(7, BATCH) == [100]
    assert len([record for record in caplog.records if record.exc_info]) > 1


actions = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 3), st.sampled_from([BATCH, FIRST]), st.integers(1, 2500)),
        st.tuples(st.just("tick"), st.sets(st.integers(1, 3))),
        st.tuples(st.sampled_from(["lose", "silent", "heard", "influx away", "restart"])),
    ),
    max_size=12,
)


@pytest.mark.slow
@given(actions)
async def test_whatever_happens_the_api_gets_everything_and_never_the_same_twice(history: list[tuple[object, ...]]) -> None:
    world = World()
    for action in history:
        match action:
            case ("write", int(job), Task() as task, int(number)):
                begin = max(world.influx.points[job, task], default=99 + job) + 1
                world.influx.write(job, task, range(begin, begin + number))
            case ("tick", set(numbers)):
                await world.tick({number: number for number in numbers})
            case ("lose",):
                world.api.lose_answers += 1
            case ("silent",):
                world.api.down = UnreachableError("http://api gave no answer within 15 s")
            case ("heard",):
                world.api.down = None
            case ("influx away",):
                world.influx.troubles.append(silent())
            case ("restart",):
                world.restart()
    world.api.down, world.api.lose_answers = None, 0
    world.influx.troubles.clear()
    assert await world.tick({1: 1, 2: 2, 3: 3}) == ""
    for job in (1, 2, 3):
        expected = {(time, task) for (of, task), times in world.influx.points.items() if of == job for time in times}
        assert world.api.rows[job] == expected
    assert world.api.refused == 0
    assert all(0 < size <= MOST_ROWS for size in world.api.sizes)
