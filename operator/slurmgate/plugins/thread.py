"""A plugin in a thread and an event loop of its own: whatever it does there, ours goes on. So is a directory asked."""

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from prometheus_client import Counter

MOST_CALLS: Final = 64
"""Under way at once."""
_MOST_WORDS: Final = 300

P = TypeVar("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class PluginFailed(Exception):  # noqa: N818 - a state of affairs, read as a sentence where it is caught
    """A plugin gave no answer. The message names it and says why."""


class PluginThread(Generic[P]):
    """One plugin. The first call starts its thread, and makes it there; so does the next one if that fails."""

    def __init__(self, name: str, make: Callable[[], P], calls: Counter, *, kind: str = "plugin") -> None:
        """A thread to come.

        Args:
            name: Of the plugin.
            make: Makes it, in the thread.
            calls: Counts calls by name and outcome.
            kind: What it is, for messages.
        """
        self.name = name
        self.what = f"{kind} {name}"
        self._make = make
        self._calls = calls
        self._plugin: P | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = threading.Event()
        self._under_way = 0
        self._silence = ""
        """How it left the last call that it did not answer; empty once it has answered again."""

    async def call(self, ask: Callable[[P], Awaitable[T]], *, seconds: float) -> T:
        """What the plugin answers within so many seconds.

        After a call that it left unanswered it is asked one thing at a time, and nothing while it has not come back from it.

        Raises:
            PluginFailed: it cannot be made, raised something, or did not answer.
        """
        try:
            answer = await self._call(ask, seconds)
        except PluginFailed:
            self._calls.labels(self.name, "failed").inc()
            raise
        self._calls.labels(self.name, "answered").inc()
        return answer

    def close(self) -> None:
        """Cancel what is under way, and end the thread; if the plugin does not let go, it is left to the end of the process."""
        self._closed.set()
        if self._loop:
            with suppress(RuntimeError):  # closed already
                self._loop.call_soon_threadsafe(self._loop.stop)

    async def _call(self, ask: Callable[[P], Awaitable[T]], seconds: float) -> T:
        if self._closed.is_set():
            raise PluginFailed(f"{self.what} is being stopped")
        if self._silence and self._under_way:
            raise PluginFailed(self._silence)
        if self._under_way >= MOST_CALLS:
            raise PluginFailed(f"{self.what} has {MOST_CALLS} calls under way already")
        here, there = asyncio.get_running_loop(), self._started()
        answer: asyncio.Future[T] = here.create_future()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(there.create_task(self._ask(ask)))
            tasks[0].add_done_callback(come_back)

        def come_back(task: asyncio.Task[T]) -> None:
            with suppress(RuntimeError):  # our loop is closed: nobody is there any more
                here.call_soon_threadsafe(self._came_back, task, answer)

        def give_up() -> None:
            tasks[0].cancel()

        self._under_way += 1
        there.call_soon_threadsafe(begin)
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            self._silence = f"{self.what} did not answer within {seconds:g} s"
            raise PluginFailed(self._silence) from None
        finally:
            if answer.cancelled():
                with suppress(RuntimeError):  # its loop is closed
                    there.call_soon_threadsafe(give_up)

    def _came_back(self, task: asyncio.Task[T], answer: asyncio.Future[T]) -> None:
        self._under_way -= 1
        failure = PluginFailed(f"{self.what} was stopped") if task.cancelled() else task.exception()
        if answer.done():
            return  # given up
        self._silence = ""
        if failure:
            answer.set_exception(failure)
        else:
            answer.set_result(task.result())

    # In the plugin's thread --------------------------------------------------------------------------------------

    async def _ask(self, ask: Callable[[P], Awaitable[T]]) -> T:
        try:
            if self._plugin is None:
                self._plugin = self._make()
            return await ask(self._plugin)
        except (PluginFailed, asyncio.CancelledError):
            raise
        except BaseException as error:  # noqa: BLE001 - SystemExit, too, is its own affair
            _log.warning("A call failed: %s", self.what, exc_info=True)
            raise PluginFailed(f"{self.what} failed: {_words(error)}") from None

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._live, args=(self._loop,), name=self.what.replace(" ", "-"), daemon=True).start()
        return self._loop

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        # The alarm that ends one who does not lead any more must stop the thread that works, and no other (decision 9).
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        asyncio.set_event_loop(loop)
        while not self._closed.is_set():
            try:
                loop.run_forever()
            except BaseException:  # noqa: BLE001 - a task that the plugin began by itself raised SystemExit
                _log.warning("Plugin %s failed", self.name, exc_info=True)
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


def _words(error: BaseException) -> str:
    """The exception in one line."""
    words = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}..."
