"""A plugin's thread: whatever the plugin does there, whoever asks it has an answer in time."""

import asyncio
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from slurmgate.plugins.thread import MOST_CALLS, PluginFailed, PluginThread
from slurmgate.telemetry.metrics import Metrics

SOON = 0.2
"""Seconds of a deadline that is meant to run out."""
AMPLY = 30.0

Start = Callable[..., PluginThread[Any]]


class Plugin:
    """Does what it is asked to."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.cancelled = 0

    async def thread(self) -> str:
        return threading.current_thread().name

    async def blocked_signals(self) -> set[signal.Signals | int]:
        return set(signal.pthread_sigmask(signal.SIG_BLOCK, []))

    async def say(self, word: str) -> str:
        return word

    async def hang(self) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1
        return "never"

    async def block(self) -> str:
        self.released.wait()
        return "late"

    async def fail(self, error: BaseException) -> str:
        raise error


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[PluginThread[Any]] = []
    released: list[Plugin] = []

    def starting(make: Callable[[], object] | None = None) -> PluginThread[Any]:
        plugin = Plugin()
        released.append(plugin)
        started.append(PluginThread("staff", make or (lambda: plugin), Metrics(version="0").plugin_calls))
        return started[-1]

    yield starting
    for plugin in released:
        plugin.released.set()
    for thread in started:
        thread.close()
    for alive in threading.enumerate():
        if alive.name.startswith("plugin-"):
            alive.join(10)
            assert not alive.is_alive()


async def test_it_runs_in_a_thread_of_its_own_which_begins_with_the_first_call(start: Start) -> None:
    plugin = start()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("plugin-")]
    assert await plugin.call(lambda it: it.thread(), seconds=AMPLY) == "plugin-staff"


async def test_the_alarm_of_the_lease_never_rings_there(start: Start) -> None:
    assert await start().call(lambda it: it.blocked_signals(), seconds=AMPLY) == {signal.SIGALRM}


async def test_many_are_answered_at_once(start: Start) -> None:
    plugin = start()
    words = [str(number) for number in range(MOST_CALLS)]
    assert await asyncio.gather(*(plugin.call(partial(Plugin.say, word=word), seconds=AMPLY) for word in words)) == words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such\nattribute"), "plugin staff failed: ValueError: no such attribute"),
        (KeyError(), "plugin staff failed: KeyError"),
        (TimeoutError(), "plugin staff failed: TimeoutError"),
        (SystemExit(3), "plugin staff failed: SystemExit: 3"),
        (ValueError("x" * 5000), f"plugin staff failed: ValueError: {'x' * 288}..."),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_it_raises_is_said_in_one_line_and_it_is_asked_on(start: Start, error: BaseException, words: str) -> None:
    plugin = start()
    with pytest.raises(PluginFailed) as caught:
        await plugin.call(lambda it: it.fail(error), seconds=AMPLY)
    assert str(caught.value) == words
    assert await plugin.call(lambda it: it.say("on"), seconds=AMPLY) == "on"


async def test_one_that_cannot_be_made_is_tried_again_by_the_next_call(start: Start) -> None:
    made = []

    def make() -> Plugin:
        made.append(threading.current_thread().name)
        if len(made) == 1:
            raise ImportError("no module named ldap3")
        return Plugin()

    plugin = start(make)
    with pytest.raises(PluginFailed, match="plugin staff failed: ImportError: no module named ldap3"):
        await plugin.call(lambda it: it.say("a"), seconds=AMPLY)
    assert await plugin.call(lambda it: it.say("b"), seconds=AMPLY) == "b"
    assert await plugin.call(lambda it: it.say("c"), seconds=AMPLY) == "c"
    assert made == ["plugin-staff"] * 2


async def test_what_is_no_coroutine_function_is_a_failure_like_others(start: Start) -> None:
    with pytest.raises(PluginFailed, match="TypeError"):
        await start().call(lambda it: it.released.is_set(), seconds=AMPLY)


async def test_one_that_hangs_is_cancelled_and_asked_again(start: Start) -> None:
    it = Plugin()
    plugin = start(lambda: it)
    with pytest.raises(PluginFailed, match=r"plugin staff did not answer within 0\.2 s"):
        await plugin.call(lambda it: it.hang(), seconds=SOON)
    assert await answered(plugin) == "on"
    assert it.cancelled == 1


async def test_one_that_blocks_its_thread_blocks_nobody_else_and_is_not_waited_for_twice(start: Start) -> None:
    it = Plugin()
    plugin, other = start(lambda: it), start()
    with pytest.raises(PluginFailed, match="did not answer"):
        await plugin.call(lambda it: it.block(), seconds=SOON)
    began = time.monotonic()
    for _ in range(10 * MOST_CALLS):
        with pytest.raises(PluginFailed, match=r"did not answer within 0\.2 s"):
            await plugin.call(lambda it: it.say("on"), seconds=AMPLY)
    assert await other.call(lambda it: it.say("on"), seconds=AMPLY) == "on"
    assert time.monotonic() - began < AMPLY
    it.released.set()
    assert await answered(plugin) == "on"


async def test_no_more_than_so_many_calls_are_under_way(start: Start) -> None:
    plugin = start()
    hanging = [asyncio.create_task(plugin.call(lambda it: it.hang(), seconds=math.inf)) for _ in range(MOST_CALLS)]
    await asyncio.sleep(0)
    with pytest.raises(PluginFailed, match="plugin staff has 64 calls under way already"):
        await plugin.call(lambda it: it.say("on"), seconds=AMPLY)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert await answered(plugin) == "on"


async def test_one_that_is_closed_answers_nobody(start: Start) -> None:
    plugin = start()
    hanging = asyncio.create_task(plugin.call(lambda it: it.hang(), seconds=AMPLY))
    assert await plugin.call(lambda it: it.say("on"), seconds=AMPLY) == "on"
    plugin.close()
    with pytest.raises(PluginFailed, match="plugin staff was stopped"):
        await hanging
    with pytest.raises(PluginFailed, match="plugin staff is being stopped"):
        await plugin.call(lambda it: it.say("on"), seconds=AMPLY)
    plugin.close()


async def test_a_task_of_its_own_that_exits_ends_nothing(start: Start) -> None:
    async def exit_later(it: Plugin) -> object:
        return asyncio.create_task(it.fail(SystemExit(1)))

    plugin = start()
    left = await plugin.call(exit_later, seconds=AMPLY)
    assert await plugin.call(lambda it: it.say("on"), seconds=AMPLY) == "on"
    assert isinstance(left, asyncio.Task)
    assert isinstance(left.exception(), SystemExit)


async def answered(plugin: PluginThread[Any]) -> str:
    """What it says once it has come back from what it was asked before."""
    async with asyncio.timeout(AMPLY):
        while True:
            try:
                return str(await plugin.call(lambda it: it.say("on"), seconds=AMPLY))
            except PluginFailed:
                await asyncio.sleep(0.01)
