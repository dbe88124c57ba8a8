"""Keys that have to be worked on."""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from slurmgate.engine.workqueue import WorkQueue
from tests.unit.engine.fastloop import FastLoop


async def nothing_comes(queue: WorkQueue, *, seconds: float = 0.0) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await queue.get()
    except TimeoutError:
        return True
    return False


async def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    queue = WorkQueue()
    for key in "abc":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "c"]


async def test_a_key_that_waits_already_comes_once() -> None:
    queue = WorkQueue()
    for key in "aba":
        queue.add(key)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert await nothing_comes(queue)


async def test_a_key_that_is_being_worked_on_is_not_given_to_another_and_comes_again_after() -> None:
    queue = WorkQueue()
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
    queue = WorkQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(1)
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(1)
    assert {task.result() for task in waiting if task.done()} == {"a", "b"}
    queue.close()
    assert None in await asyncio.gather(*waiting)


async def test_a_key_comes_after_its_time() -> None:
    queue, loop = WorkQueue(), asyncio.get_running_loop()
    queue.add_after("a", 60)
    began = loop.time()
    assert await queue.get() == "a"
    assert 59 < loop.time() - began < 61


async def test_the_last_time_that_was_said_counts() -> None:
    queue, loop = WorkQueue(), asyncio.get_running_loop()
    queue.add_after("a", 10)
    queue.add_after("a", 60)
    began = loop.time()
    assert await queue.get() == "a"
    assert loop.time() - began > 59
    queue.done("a")
    assert await nothing_comes(queue, seconds=1000)


async def test_a_key_that_is_added_does_not_come_again_at_its_time() -> None:
    queue = WorkQueue()
    queue.add_after("a", 10)
    queue.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert await nothing_comes(queue, seconds=1000)


async def test_a_time_that_passes_while_the_key_is_being_worked_on_is_not_lost() -> None:
    queue = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add_after("a", 10)
    await asyncio.sleep(20)
    assert await nothing_comes(queue)
    queue.done("a")
    assert await queue.get() == "a"


async def test_nothing_comes_from_a_closed_queue() -> None:
    queue = WorkQueue()
    queue.add("a")
    queue.add_after("b", 1)
    queue.close()
    assert await queue.get() is None
    queue.add("c")
    await asyncio.sleep(10)
    assert await queue.get() is None


async def test_closing_ends_the_wait_of_everybody() -> None:
    queue = WorkQueue()
    waiting = [asyncio.create_task(queue.get()) for _ in range(5)]
    await asyncio.sleep(1)
    queue.close()
    assert await asyncio.gather(*waiting) == [None] * 5


async def test_a_waiter_that_gives_up_takes_nothing_with_it() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    waiting.cancel()
    queue.add("a")
    assert await queue.get() == "a"


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 20), st.booleans()), max_size=40), st.integers(1, 4))
def test_no_key_is_lost_and_none_is_worked_on_twice_at_once(adds: list[tuple[str, float, bool]], workers: int) -> None:
    """However keys are added: work on each begins once more after it was added for the last time.

    Not always as late as `add_after` asked for: an earlier `add` that waits for `done` brings it forward.
    """

    async def play() -> None:
        queue, loop = WorkQueue(), asyncio.get_running_loop()
        working: Counter[str] = Counter()
        last_looked_at: dict[str, float] = {}
        last_added: dict[str, float] = {}

        async def work() -> None:
            while (key := await queue.get()) is not None:
                working[key] += 1
                assert working[key] == 1
                last_looked_at[key] = loop.time()
                await asyncio.sleep(3)
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
        queue.close()
        await asyncio.gather(*tasks)
        assert last_looked_at.keys() == last_added.keys()
        assert all(last_looked_at[key] >= added for key, added in last_added.items())

    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(play())
