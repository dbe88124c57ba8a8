import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest

from slurmgate.kube.content import Content, Kind
from slurmgate.kube.session import ApiSession
from slurmgate.kube.watch import Followed, Unreadable, follow
from tests.unit.kube.fake import FakeApi, Trouble

Told = Callable[..., Awaitable[Followed]]


@pytest.fixture(autouse=True)
def _short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmgate.kube.watch._FIRST_PAUSE", 0.02)
    monkeypatch.setattr("slurmgate.kube.watch._LONGEST_PAUSE", 0.05)
    monkeypatch.setattr("slurmgate.kube.watch._STEADY", 0.3)


@pytest.fixture
async def told(api: ApiSession) -> AsyncIterator[Told]:
    """What `follow` says next; nothing within the given seconds is a TimeoutError."""
    queue: asyncio.Queue[Followed] = asyncio.Queue()

    async def listen() -> None:
        async with aclosing(follow(api, Kind.CONFIG_MAP, "slurmgate", "mapping")) as following:
            async for one in following:
                queue.put_nowait(one)

    async def next_one(seconds: float = 20) -> Followed:
        async with asyncio.timeout(seconds):
            return await queue.get()

    listening = asyncio.create_task(listen())
    yield next_one
    listening.cancel()
    await asyncio.wait({listening})


def mapping(fake: FakeApi, text: str) -> None:
    fake.put("configmaps", "slurmgate", "mapping", data={"key": text})


def text(followed: Followed) -> bytes:
    assert isinstance(followed, Content)
    return followed.data["key"]


async def test_an_object_is_followed_through_its_lives(fake: FakeApi, told: Told) -> None:
    assert await told() is None
    mapping(fake, "a")
    assert text(await told()) == b"a"
    mapping(fake, "b")
    assert text(await told()) == b"b"
    fake.delete("configmaps", "slurmgate", "mapping")
    assert await told() is None
    mapping(fake, "b")
    assert text(await told()) == b"b"


async def test_only_the_named_object_is_asked_for(fake: FakeApi, told: Told) -> None:
    await told()
    await fake.watched()
    listing, watch = fake.seen
    assert listing.path == watch.path == "/api/v1/namespaces/slurmgate/configmaps"
    assert listing.query == {"fieldSelector": "metadata.name=mapping"}
    assert watch.query == {
        "fieldSelector": "metadata.name=mapping",
        "resourceVersion": "100",
        "timeoutSeconds": "60",
        "watch": "true",
    }


async def test_the_same_content_is_told_once(fake: FakeApi, told: Told) -> None:
    mapping(fake, "a")
    assert text(await told()) == b"a"
    await fake.watched()
    mapping(fake, "a")
    with pytest.raises(TimeoutError):
        await told(0.2)
    mapping(fake, "b")
    assert text(await told()) == b"b"


@pytest.mark.parametrize("how", ["end", "410", "error"])
async def test_a_change_that_a_broken_watch_missed_is_found(fake: FakeApi, told: Told, how: str) -> None:
    mapping(fake, "a")
    assert text(await told()) == b"a"
    await fake.watched()
    fake.objects["configmaps", "slurmgate", "mapping"]["data"] = {"key": "b"}
    match how:
        case "end":
            fake.end_watches()
        case "410":
            fake.tell("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old", "metadata": {}})
        case _:
            fake.tell("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError", "message": "oops", "metadata": {}})
    assert text(await told()) == b"b"


async def test_a_watch_that_says_nothing_is_replaced(fake: FakeApi, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmgate.kube.watch._SILENCE", 0.2)
    mapping(fake, "a")
    assert text(await told()) == b"a"
    await fake.watched()
    fake.objects["configmaps", "slurmgate", "mapping"]["data"] = {"key": "b"}  # and the event got lost on the way
    assert text(await told()) == b"b"


async def test_lines_of_any_length_arrive(fake: FakeApi, told: Told) -> None:
    mapping(fake, "a")
    await told()
    await fake.watched()
    mapping(fake, "x" * 3_000_000)
    assert text(await told()) == b"x" * 3_000_000


async def test_before_it_was_read_every_failure_is_told(fake: FakeApi, told: Told) -> None:
    fake.troubles.extend([Trouble(500)] * 3 + [Trouble(403)])
    mapping(fake, "a")
    assert await told() == Unreadable("ConfigMap slurmgate/mapping cannot be read: trouble")
    assert text(await told()) == b"a"


async def test_once_it_was_read_failures_are_only_logged(
    fake: FakeApi, told: Told, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurmgate.kube.watch._STEADY", 60.0)
    mapping(fake, "a")
    await told()
    await fake.watched()
    fake.troubles.extend([Trouble(500)] * 5 + [Trouble(cut=True)] * 5 + [Trouble(403)] * 2)
    fake.end_watches()
    await fake.watched()
    assert not fake.troubles
    with pytest.raises(TimeoutError):
        await told(0.2)
    assert "ConfigMap slurmgate/mapping cannot be followed" in caplog.text
    mapping(fake, "b")
    assert text(await told()) == b"b"


async def test_a_refusal_that_lasts_is_told(fake: FakeApi, told: Told) -> None:
    mapping(fake, "a")
    await told()
    await fake.watched()
    fake.troubles.extend([Trouble(403)] * 30)
    fake.end_watches()
    assert isinstance(await told(), Unreadable)
    fake.troubles.clear()
    assert text(await told()) == b"a"


def test_content_does_not_show_itself() -> None:
    content = Content(data={"key": b"s3cret"}, labels={}, resource_version="1")
    assert "s3cret" not in repr(content)
    assert content == Content(data={"key": b"s3cret"}, labels={}, resource_version="2")
