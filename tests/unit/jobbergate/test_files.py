import asyncio

import pytest

from slurmgate.http.errors import HttpError
from slurmgate.jobbergate.errors import NotFoundError
from slurmgate.jobbergate.files import Downloads
from tests.unit.far import Clock


class Scripts:
    """Gives each download another content, when it may."""

    def __init__(self, size: int = 1) -> None:
        self.asked: list[tuple[int, str]] = []
        self.failures: list[HttpError] = []
        self.may = asyncio.Event()
        self.may.set()
        self.size = size

    async def file(self, job_script_id: int, filename: str) -> bytes:
        self.asked.append((job_script_id, filename))
        content = bytes([len(self.asked)]) * self.size
        await self.may.wait()
        if self.failures:
            raise self.failures.pop()
        return content


async def test_a_batch_shares_one_download_of_each_file(clock: Clock) -> None:
    scripts = Scripts()
    downloads = Downloads(scripts, clock=clock)
    wanted = [(1, "a"), (1, "b"), (2, "a")] * 10
    known = clock.now
    contents = await asyncio.gather(*(downloads.file(*each, since=known) for each in wanted))
    assert contents == [b"\1", b"\2", b"\3"] * 10
    clock.now += 3
    assert await downloads.file(1, "a", since=known) == b"\1"
    assert scripts.asked == [(1, "a"), (1, "b"), (2, "a")]


async def test_a_submission_gets_no_file_that_is_older_than_itself(clock: Clock) -> None:
    scripts = Scripts()
    downloads = Downloads(scripts, clock=clock)
    assert await downloads.file(1, "a", since=clock.now) == b"\1"
    clock.now += 1
    assert await downloads.file(1, "a", since=clock.now) == b"\2"
    assert await downloads.file(1, "a", since=clock.now - 1) == b"\2"


async def test_a_download_that_began_too_early_is_not_joined(clock: Clock) -> None:
    scripts = Scripts()
    scripts.may.clear()
    downloads = Downloads(scripts, clock=clock)
    early = asyncio.create_task(downloads.file(1, "a", since=clock.now))
    await asyncio.sleep(0)
    clock.now += 1
    late = asyncio.create_task(downloads.file(1, "a", since=clock.now))
    await asyncio.sleep(0)
    scripts.may.set()
    assert (await early, await late) == (b"\1", b"\2")


async def test_nothing_is_kept_for_longer_than_seconds(clock: Clock) -> None:
    downloads = Downloads(Scripts(), clock=clock, kept_seconds=0)
    assert await downloads.file(1, "a", since=clock.now) == b"\1"
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0, over.set)
    await over.wait()
    assert await downloads.file(1, "a", since=clock.now) == b"\2"


async def test_the_end_of_an_older_download_is_not_that_of_a_newer(clock: Clock) -> None:
    scripts = Scripts()
    downloads = Downloads(scripts, clock=clock, kept_seconds=0.02)
    await downloads.file(1, "a", since=clock.now)
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0.03, over.set)
    clock.now += 1
    scripts.may.clear()
    newer = asyncio.create_task(downloads.file(1, "a", since=clock.now))
    await over.wait()
    joined = asyncio.create_task(downloads.file(1, "a", since=clock.now))
    await asyncio.sleep(0)
    scripts.may.set()
    assert (await newer, await joined) == (b"\2", b"\2")


async def test_what_is_kept_is_bounded_and_the_oldest_goes_first(clock: Clock) -> None:
    scripts = Scripts(size=10)
    downloads = Downloads(scripts, clock=clock, kept_bytes=25)
    for name in ("a", "b", "c"):
        await downloads.file(1, name, since=clock.now)
    await asyncio.sleep(0)
    assert [name for _, name in downloads._downloads] == ["b", "c"]
    await downloads.file(1, "c", since=clock.now)
    assert len(scripts.asked) == 3


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(clock: Clock) -> None:
    scripts = Scripts()
    scripts.failures.append(NotFoundError(404, "gone"))
    downloads = Downloads(scripts, clock=clock)
    told = await asyncio.gather(*(downloads.file(1, "a", since=clock.now) for _ in range(5)), return_exceptions=True)
    assert [str(each) for each in told] == ["gone"] * 5
    assert await downloads.file(1, "a", since=clock.now) == b"\2"


async def test_who_stops_waiting_takes_the_download_from_nobody(clock: Clock) -> None:
    scripts = Scripts()
    scripts.may.clear()
    downloads = Downloads(scripts, clock=clock)
    impatient, patient = (asyncio.create_task(downloads.file(1, "a", since=clock.now)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    scripts.may.set()
    assert await patient == b"\1"
    assert len(scripts.asked) == 1


async def test_a_failure_that_nobody_waits_for_any_more_makes_no_noise(clock: Clock) -> None:
    scripts = Scripts()
    scripts.may.clear()
    scripts.failures.append(NotFoundError(404, "gone"))
    downloads = Downloads(scripts, clock=clock)
    asking = asyncio.create_task(downloads.file(1, "a", since=clock.now))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    scripts.may.set()
    assert await downloads.file(1, "a", since=clock.now + 1) == b"\2"
