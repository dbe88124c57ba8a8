import asyncio
from contextlib import aclosing
from pathlib import Path

import kopf
import pytest

from slurmgate.kube.account import ServiceAccount
from slurmgate.kube.addresses import Address, Target
from slurmgate.kube.errors import (
    ApiError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnreachableError,
    api_error,
)
from slurmgate.kube.login import login_handler
from slurmgate.kube.session import ApiSession
from slurmgate.telemetry.metrics import Metrics
from tests.unit.kube.conftest import Clock
from tests.unit.kube.fake import FakeApi, Trouble, make_certificate

MAPPING = Address("configmaps", "slurmgate", "mapping")


def counted(metrics: Metrics, outcome: str) -> float:
    labels = {"resource": "events", "verb": "POST", "outcome": outcome}
    return metrics.registry.get_sample_value("slurmgate_api_writes_total", labels) or 0


@pytest.mark.parametrize(
    ("address", "path"),
    [
        (Address("namespaces", None, "team"), "/api/v1/namespaces/team"),
        (Address("configmaps", "team"), "/api/v1/namespaces/team/configmaps"),
        (Address("slurmclusters", None, "c"), "/apis/slurmgate.dev/v1alpha1/slurmclusters/c"),
        (
            Target("JobSubmission", "team", "run", "u").address("status"),
            "/apis/slurmgate.dev/v1alpha1/namespaces/team/jobsubmissions/run/status",
        ),
        (Address("secrets", "a/b", "../c"), "/api/v1/namespaces/a%2Fb/secrets/..%2Fc"),
    ],
)
def test_every_object_has_its_path(address: Address, path: str) -> None:
    assert address.path == path


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, ExpiredError),
        (422, InvalidError),
        (500, ApiError),
    ],
)
def test_every_status_has_its_error(status: int, error: type[ApiError]) -> None:
    raised = api_error(status, {"reason": "Because", "message": "of this"})
    assert type(raised) is error
    assert str(raised) == "of this (Because)"


def test_an_answer_that_is_no_json_is_cut_and_shown() -> None:
    assert api_error(502, "<html>" + "x" * 5000).message == "<html>" + "x" * 1018


@pytest.mark.parametrize(
    ("status", "again"), [(0, True), (401, True), (403, True), (429, True), (503, True), (404, False), (422, False)]
)
def test_errors_know_whether_to_try_again(status: int, *, again: bool) -> None:
    assert ApiError(status, "", "").retryable is again


async def test_an_object_is_read(fake: FakeApi, api: ApiSession) -> None:
    fake.put("configmaps", "slurmgate", "mapping", data={"a": "b"})
    assert (await api.get(MAPPING))["data"] == {"a": "b"}
    assert fake.seen[0].headers["User-Agent"] == "slurmgate"


async def test_a_429_is_waited_for_and_asked_again(fake: FakeApi, api: ApiSession) -> None:
    fake.put("configmaps", "slurmgate", "mapping")
    fake.troubles.append(Trouble(429, {"Retry-After": "0"}))
    fake.troubles.append(Trouble(503, {"Retry-After": "0"}))
    await api.get(MAPPING)
    assert len(fake.seen) == 3


async def test_a_503_that_names_no_time_is_an_error(fake: FakeApi, api: ApiSession) -> None:
    fake.troubles.append(Trouble(503))
    with pytest.raises(ApiError) as raised:
        await api.get(MAPPING)
    assert raised.value.status == 503


async def test_waiting_ends_with_the_deadline(fake: FakeApi, api: ApiSession) -> None:
    fake.troubles.append(Trouble(429, {"Retry-After": "60"}))
    with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
        await api.request("GET", MAPPING, deadline=0.2)
    fake.troubles.append(Trouble(delay=1))
    with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
        await api.request("GET", MAPPING, deadline=0.2)


async def test_a_cut_connection_is_no_answer(fake: FakeApi, api: ApiSession) -> None:
    fake.troubles.append(Trouble(cut=True))
    with pytest.raises(UnreachableError, match="cannot be reached"):
        await api.request("POST", Address("events", "team"), body=b"{}")


async def test_writes_are_counted_by_outcome(fake: FakeApi, api: ApiSession, metrics: Metrics) -> None:
    events = Address("events", "team")
    await api.request("POST", events, body=b"{}")
    fake.troubles.extend([Trouble(403), Trouble(cut=True)])
    for _ in range(2):
        with pytest.raises(ApiError):
            await api.request("POST", events, body=b"{}")
    assert [counted(metrics, outcome) for outcome in ("ok", "Trouble", "Unreachable")] == [1, 1, 1]


async def test_no_more_than_24_connections_are_open(fake: FakeApi, api: ApiSession) -> None:
    fake.troubles.extend(Trouble(404, delay=0.2) for _ in range(60))
    await asyncio.gather(*(api.get(MAPPING) for _ in range(60)), return_exceptions=True)
    assert fake.busiest == 24


async def test_a_server_of_another_authority_is_not_trusted(
    fake: FakeApi, api: ApiSession, tmp_path: Path, metrics: Metrics
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_certificate(other)
    (other / "token").write_text("good")
    port = int(api.server.rpartition(":")[2])
    async with ApiSession(host="127.0.0.1", port=port, account=ServiceAccount(other), metrics=metrics) as stranger:
        with pytest.raises(UnreachableError):
            await stranger.get(MAPPING)
    assert fake.seen == []


async def test_an_ipv6_address_is_put_in_brackets(tmp_path: Path, metrics: Metrics) -> None:
    make_certificate(tmp_path)
    async with ApiSession(host="fd00::1", port=443, account=ServiceAccount(tmp_path), metrics=metrics) as session:
        assert session.server == "https://[fd00::1]:443"


async def test_outside_a_pod_the_missing_file_is_named(tmp_path: Path, metrics: Metrics) -> None:
    with pytest.raises(UnreachableError, match=r"ca\.crt"):
        ApiSession(host="127.0.0.1", port=1, account=ServiceAccount(tmp_path), metrics=metrics)
    make_certificate(tmp_path)
    async with ApiSession(host="127.0.0.1", port=1, account=ServiceAccount(tmp_path), metrics=metrics) as session:
        with pytest.raises(UnreachableError, match="token"):
            await session.get(MAPPING)


async def test_the_token_is_read_again_every_minute(fake: FakeApi, api: ApiSession, tmp_path: Path, clock: Clock) -> None:
    fake.put("configmaps", "slurmgate", "mapping")
    fake.tokens.add("newer")
    await api.get(MAPPING)
    (tmp_path / "token").write_text("newer")
    clock.now += 59
    await api.get(MAPPING)
    clock.now += 1
    await api.get(MAPPING)
    assert [seen.headers["Authorization"] for seen in fake.seen] == ["Bearer good", "Bearer good", "Bearer newer"]


async def test_a_refused_token_is_read_again_at_once_and_the_request_sent_whole(
    fake: FakeApi, api: ApiSession, tmp_path: Path
) -> None:
    fake.tokens = {"newer"}
    events = Address("events", "team")
    with pytest.raises(ApiError) as refused:
        await api.request("POST", events, body=b'{"message": "hello"}')
    assert refused.value.status == 401
    (tmp_path / "token").write_text("newer")
    assert await api.request("POST", events, body=b'{"message": "hello"}') == {"message": "hello"}


async def test_kopf_waits_while_the_token_is_refused_and_may_close_its_session(
    fake: FakeApi, api: ApiSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurmgate.kube.login._AGAIN_SECONDS", 0.05)
    fake.put("configmaps", "slurmgate", "mapping")
    fake.tokens = {"newer"}
    lent = await login_handler(api)()
    assert isinstance(lent, kopf.AiohttpSession)
    url = f"{lent.server}{MAPPING.path}"
    waiting = asyncio.create_task(lent.aiohttp_session.get(url))
    while len(fake.seen) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    (tmp_path / "token").write_text("newer")
    async with await waiting as answer:
        assert answer.status == 200
    await lent.aiohttp_session.close()
    await lent.aiohttp_session.close()
    assert (await api.get(MAPPING))["metadata"]["name"] == "mapping"
    again = await login_handler(api)()
    assert again != lent  # kopf takes nothing twice
    async with again.aiohttp_session.get(url) as answer:
        assert answer.status == 200
    await again.aiohttp_session.close()


async def test_a_silent_watch_is_given_up(fake: FakeApi, api: ApiSession) -> None:
    with pytest.raises(UnreachableError, match=r"silent for 0\.2 s"):
        async with aclosing(api.watch(Address("configmaps", "team"), {}, silence=0.2)) as events:
            await anext(events)
    assert fake.seen[0].query == {"watch": "true"}
