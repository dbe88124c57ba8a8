"""A plugin's task: kept running, with growing pauses after it ends."""

import asyncio

from slurmgate.plugins.tasks import keep_running
from tests.unit.engine.plugged import FakeThread


class Task:
    """Ends after so many seconds."""

    def __init__(self, lasts: float) -> None:
        self.lasts = lasts
        self.starts: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.lasts)

    async def kept(self, seconds: float) -> FakeThread:
        """Have it run for so long, then stop it."""
        fake = FakeThread(self, "tick")
        running = asyncio.create_task(keep_running(fake.thread))
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.wait([running])
        return fake

    @property
    def pauses(self) -> list[float]:
        """Between an end and the next start."""
        return [after - before - self.lasts for before, after in zip(self.starts, self.starts[1:], strict=False)]


async def test_what_ends_at_once_is_started_after_growing_pauses() -> None:
    task = Task(lasts=1)
    fake = await task.kept(2000)
    assert task.pauses[:6] == sorted(task.pauses[:6])
    assert 2 <= task.pauses[0] < 3
    assert 120 <= task.pauses[-1] <= 150
    assert fake.closed


async def test_what_ran_for_long_is_started_soon() -> None:
    task = Task(lasts=1000)
    await task.kept(10_000)
    assert all(2 <= pause < 3 for pause in task.pauses)
    assert len(task.starts) == 10
