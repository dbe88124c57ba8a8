"""Keys that have to be worked on."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.engine.workqueue import WorkQueue
from tests.unit.engine.fastloop import FastLoop


def queue_of_one() -> WorkQueue:
    """All keys are the same person's, and as many are worked on as anybody likes."""
    return WorkQueue(lambda _: "kirby", per_owner=1000, in_all=1000)


def owner(key: str) -> str:
    """The keys `a1`, `a2`, ... are a's."""
    return key[0]


async def nothing_comes(queue: WorkQueue, *, seconds: float = 0.0) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await queue.get()
    except TimeoutError:
        return True
    return False


async def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    queue = queue_of_one()
    for key in "abc":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]


async def test_a_key_that_waits_already_comes_once() -> None:
    queue = queue_of_one()
    for key in "aba":
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert await nothing_comes(queue)


async def test_a_key_that_is_being_worked_on_is_not_given_to_another_and_comes_again_after() -> None:
    queue = queue_of_one()
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert await nothing_comes(queue)
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert await nothing_comes(queue)


async def test_somebody_who_waits_gets_what_comes() -> None:
    queue = queue_of_one()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(1)
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(1)
    assert {task.result() for task in waiting if task.done()} == {"a", "b"}
    queue.close()
    assert None in await asyncio.gather(*waiting)


async def test_a_key_comes_after_its_time() -> None:
    queue, loop = queue_of_one(), asyncio.get_running_loop()
    queue.add_after("a", 60)
    began = loop.time()
    assert await queue.get() == "a"
    assert 59 < loop.time() - began < 61


async def test_the_last_time_that_was_said_counts() -> None:
    queue, loop = queue_of_one(), asyncio.get_running_loop()
    queue.add_after("a", 10)
    queue.add_after("a", 60)
    began = loop.time()
    assert await queue.get() == "a"
    assert loop.time() - began > 59
    queue.done("a")
    assert await nothing_comes(queue, seconds=1000)


async def test_a_key_that_is_added_does_not_come_again_at_its_time() -> None:
    queue = queue_of_one()
    queue.add_after("a", 10)
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert await nothing_comes(queue, seconds=1000)


async def test_a_time_that_passes_while_the_key_is_being_worked_on_is_not_lost() -> None:
    queue = queue_of_one()
    queue.add("a")
    await queue.get()
    queue.add_after("a", 10)
    await asyncio.sleep(20)
    assert await nothing_comes(queue)
    queue.done("a")
    assert await queue.get() == "a"


async def test_nothing_comes_from_a_closed_queue() -> None:
    queue = queue_of_one()
    queue.add("a")
    queue.add_after("b", 1)
    queue.close()
    assert await queue.get() is None
    queue.add("c")
    await asyncio.sleep(10)
    assert await queue.get() is None


async def test_closing_ends_the_wait_of_everybody() -> None:
    queue = queue_of_one()
    waiting = [asyncio.create_task(queue.get()) for _ in range(5)]
    await asyncio.sleep(1)
    queue.close()
    assert await asyncio.gather(*waiting) == [None] * 5


async def test_a_waiter_that_gives_up_takes_nothing_with_it() -> None:
    queue = queue_of_one()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    waiting.cancel()
    queue.add("a")
    assert await queue.get() == "a"


# Fairness ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fair:
    """What comes of keys that wait, two at once for each owner, one worker."""

    added: str
    news: dict[str, str]
    """Keys that are added while another one is worked on."""
    order: str


FAIR = {
    "who comes with one does not wait for who came with many": Fair("a1 a2 a3 a4 b1", {}, "a1 b1 a2 a3 a4"),
    "everybody in turn": Fair("a1 a2 a3 b1 b2 b3 c1", {}, "a1 b1 c1 a2 b2 a3 b3"),
    "who comes later waits for one turn of everybody": Fair("a1 a2 a3 b1 b2", {"a1": "c1"}, "a1 b1 a2 c1 b2 a3"),
    "who comes back takes a turn like others": Fair("a1 b1", {"a1": "a1"}, "a1 b1 a1"),
}


@pytest.mark.parametrize("fair", FAIR.values(), ids=FAIR.keys())
async def test_owners_take_turns(fair: Fair) -> None:
    queue, news = WorkQueue(owner, per_owner=2, in_all=1000), dict(fair.news)
    for key in fair.added.split():
        queue.add(key)
    for expected in fair.order.split():
        key = str(await queue.get())
        assert key == expected
        if another := news.pop(key, None):
            queue.add(another)
        queue.done(key)
    assert await nothing_comes(queue)


async def test_a_turn_can_be_several_keys_but_not_more_than_may_be_at_work() -> None:
    queue = WorkQueue(owner, per_owner=5, in_all=1000, per_turn=2)
    for key in ("a1", "a2", "a3", "b1", "c1", "c2", "c3", "a4", "a5", "a6"):
        queue.add(key)
    order = [await queue.get() for _ in range(9)]
    assert order == ["a1", "a2", "b1", "c1", "c2", "a3", "a4", "c3", "a5"]
    assert await nothing_comes(queue)
    queue.done("a1")
    assert await queue.get() == "a6"
    assert not queue._turns


async def test_no_owner_has_more_at_work_than_he_may() -> None:
    queue = WorkQueue(owner, per_owner=2, in_all=1000)
    for key in ("a1", "a2", "a3", "b1"):
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["a1", "b1", "a2"]
    assert await nothing_comes(queue)
    queue.done("b1")
    assert await nothing_comes(queue)
    queue.done("a1")
    assert await queue.get() == "a3"


async def test_a_place_that_becomes_free_goes_to_who_waits_for_it() -> None:
    queue = WorkQueue(owner, per_owner=1, in_all=1000)
    queue.add("a1")
    assert await queue.get() == "a1"
    queue.add("a2")
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not waiting.done()
    queue.done("a1")
    assert await waiting == "a2"


async def test_what_is_heavy_leaves_room_for_fewer_others() -> None:
    queue = WorkQueue(owner, per_owner=3, in_all=5, weigh=lambda key: int(key[1]))
    for key in ("a2", "a1", "a3", "b9", "c1"):
        queue.add(key)
    assert [await queue.get() for _ in range(2)] == ["a2", "b9"]
    assert await nothing_comes(queue), "b's weighs more than there is room for, but nothing would make it lighter"
    queue.done("b9")
    assert [await queue.get() for _ in range(2)] == ["c1", "a1"]
    assert await nothing_comes(queue), "a has what may be his"
    queue.done("a1")
    assert await queue.get() == "a3"


async def test_nothing_stays_of_owners_whose_keys_are_done() -> None:
    queue = WorkQueue(lambda key: key, per_owner=2, in_all=1000)
    for number in range(1000):
        queue.add(str(number))
        queue.add(str(number))
    while queue._turns:
        queue.done(str(await queue.get()))
    assert not any((queue._waiting, queue._turns, queue._working, queue._busy, queue._pending, queue._timers))


KEYS = st.sampled_from([f"{who}{number}" for who in "abc" for number in range(4)])


@given(
    st.lists(st.tuples(KEYS, st.floats(0, 20), st.booleans()), max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["", "a", "ab"]),
)
def test_no_key_is_lost_none_is_worked_on_twice_at_once_and_nobody_has_more_than_his_places(
    adds: list[tuple[str, float, bool]], workers: int, at_once: int, per_turn: int, slow: str
) -> None:
    """However keys are added: work on each begins once more after it was added for the last time.

    Not always as late as `add_after` asked for: an earlier `add` that waits for `done` brings it forward. While the keys of
    some owners take an hour, those of the others are done as long as there is a place that the slow ones may not have.
    """

    async def play() -> None:
        queue, loop = WorkQueue(owner, per_owner=at_once, in_all=1000, per_turn=per_turn), asyncio.get_running_loop()
        working: Counter[str] = Counter()
        last_looked_at: dict[str, float] = {}
        last_added: dict[str, float] = {}

        async def work() -> None:
            while (key := await queue.get()) is not None:
                working[key] += 1
                assert working[key] == 1
                assert sum(count for each, count in working.items() if owner(each) == owner(key)) <= at_once
                last_looked_at[key] = loop.time()
                await asyncio.sleep(3600 if owner(key) in slow else 3)
                working[key] -= 1
                queue.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for key, pause, later in adds:
            await asyncio.sleep(pause)
            if later:
                queue.add_after(key, pause)
            else:
                queue.add(key)
            last_added[key] = loop.time()
        await asyncio.sleep(1000)
        if workers > at_once * len(slow):
            quick = [key for key in last_added if owner(key) not in slow]
            assert all(last_looked_at[key] >= last_added[key] for key in quick)
        await asyncio.sleep(100 * 3600)
        queue.close()
        await asyncio.gather(*tasks)
        assert last_looked_at.keys() == last_added.keys()
        assert all(last_looked_at[key] >= added for key, added in last_added.items())

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())
