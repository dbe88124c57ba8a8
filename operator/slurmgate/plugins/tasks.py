"""Keeps a plugin's task running."""

import asyncio
import logging
import math
from typing import Final

from slurmgate.core.backoff import delay
from slurmgate.plugins.api import Task
from slurmgate.plugins.thread import PluginFailed, PluginThread

_STEADY_SECONDS: Final = 300.0
"""Whatever ran for so long is started again after the shortest pause."""

_log = logging.getLogger(__name__)


async def keep_running(task: PluginThread[Task]) -> None:
    """Start it, and again after growing pauses whenever it ends, until cancelled."""
    clock = asyncio.get_running_loop().time
    tries = 0
    try:
        while True:
            began = clock()
            try:
                await task.call(lambda run: run(), seconds=math.inf)
                why = "it ended"
            except PluginFailed as failure:
                why = str(failure)
            tries = 0 if clock() - began >= _STEADY_SECONDS else tries
            pause = delay(tries, seed=task.name).total_seconds()
            tries += 1
            _log.warning("Task %s is started again in %.0f s: %s", task.name, pause, why)
            await asyncio.sleep(pause)
    finally:
        task.close()
