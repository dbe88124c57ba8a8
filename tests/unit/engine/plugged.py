"""A plugin without its thread: time flies where it is asked."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from slurmgate.plugins.thread import PluginFailed, PluginThread


class FakeThread:
    """A PluginThread that asks its plugin where it stands. `failing`: why it gives no answer."""

    def __init__(self, plugin: object, name: str = "staff") -> None:
        self.name = name
        self.what = f"plugin {name}"
        self.failing = ""
        self.calls = 0
        self.closed = False
        self._plugin = plugin

    async def call(self, ask: Callable[[Any], Awaitable[Any]], *, seconds: float) -> Any:
        self.calls += 1
        if self.failing:
            raise PluginFailed(f"plugin {self.name} {self.failing}")
        return await ask(self._plugin)

    def close(self) -> None:
        self.closed = True

    @property
    def thread(self) -> PluginThread[Any]:
        return cast("PluginThread[Any]", self)
