import asyncio
from typing import Any

import pytest

from slurmgate.kube.addresses import Target
from slurmgate.kube.patch import Conflict, Gone, Written
from slurmgate.kube.session import ApiSession
from slurmgate.kube.writer import StatusWriter, Superseded, Unconfirmed
from tests.unit.kube.fake import FakeApi, Trouble


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slurmgate.kube.writer._FIRST_PAUSE", 0.02)


def submission(fake: FakeApi, name: str = "run") -> Target:
    body = fake.put("jobsubmissions", "team", name, spec={})
    return Target("JobSubmission", "team", name, body["metadata"]["uid"])


def status(fake: FakeApi, name: str = "run") -> Any:
    return fake.objects["jobsubmissions", "team", name].get("status")


async def test_one_change_is_one_json_patch_of_the_whole_status(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    outcome = await writer.confirm(target, {"phase": "Created"}, deadline=5)
    assert outcome == Written(fake.objects["jobsubmissions", "team", "run"]["metadata"]["resourceVersion"])
    (seen,) = fake.seen
    assert (seen.method, seen.path.rpartition("/")[2]) == ("PATCH", "status")
    assert seen.headers["Content-Type"] == "application/json-patch+json"
    assert "PartialObjectMetadata" in seen.headers["Accept"]
    assert seen.body == [
        {"op": "test", "path": "/metadata/uid", "value": target.uid},
        {"op": "add", "path": "/status", "value": {"phase": "Created"}},
    ]


async def test_nothing_of_an_older_status_stays(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    for wanted in ({"phase": "Created", "slurm": {"jobId": "1", "reason": "x"}}, {"slurm": {"jobId": "1"}}):
        await writer.confirm(target, wanted, deadline=5)
    assert status(fake) == {"slurm": {"jobId": "1"}}


async def test_the_latest_of_many_is_written(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    fake.troubles.append(Trouble(500, delay=0.1))
    for number in range(50):
        writer.put(target, {"user": str(number)})
        await asyncio.sleep(0)
    await writer.confirm(target, {"user": "end"}, deadline=5)
    assert status(fake) == {"user": "end"}
    assert len(fake.seen) == 2


async def test_what_the_api_has_is_not_written(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    first = await writer.confirm(target, {"phase": "Created"}, deadline=5)
    writer.put(target, {"phase": "Created"})
    assert await writer.confirm(target, {"phase": "Created"}, deadline=5) == first
    assert len(fake.seen) == 1


async def test_back_and_forth_before_it_was_sent_is_no_write(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    fake.troubles.append(Trouble(500, delay=0.1, after=True))
    writer.put(target, {"user": "a"})
    await asyncio.sleep(0.05)
    writer.put(target, {"user": "b"})
    writer.put(target, {"user": "a"})
    assert isinstance(await writer.confirm(target, {"user": "a"}, deadline=5), Written)
    assert status(fake) == {"user": "a"}


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(Trouble(500), id="the server fails"),
        pytest.param(Trouble(403), id="RBAC refuses for a moment"),
        pytest.param(Trouble(409), id="the server gave up on a race"),
        pytest.param(Trouble(cut=True), id="the request is lost"),
        pytest.param(Trouble(cut=True, after=True), id="the answer is lost"),
    ],
)
async def test_what_fails_is_tried_until_it_is_accepted(fake: FakeApi, writer: StatusWriter, trouble: Trouble) -> None:
    target = submission(fake)
    fake.troubles.extend([trouble] * 3)
    assert isinstance(await writer.confirm(target, {"phase": "Created"}, deadline=5), Written)
    assert status(fake) == {"phase": "Created"}
    assert not fake.troubles


async def test_an_object_that_is_gone_ends_it(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    fake.delete("jobsubmissions", "team", "run")
    assert await writer.confirm(target, {"phase": "Created"}, deadline=5) == Gone()
    writer.put(target, {"phase": "Submitted"})
    await writer.stop(grace=5)
    assert len(fake.made("PATCH")) == 2
    assert writer._entries == {}


async def test_another_object_of_that_name_is_left_alone(fake: FakeApi, writer: StatusWriter) -> None:
    old = submission(fake)
    fake.delete("jobsubmissions", "team", "run")
    submission(fake)
    assert await writer.confirm(old, {"phase": "Done"}, deadline=5) == Gone()
    assert status(fake) is None


async def test_a_forgotten_object_is_dropped_while_it_waits(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    fake.troubles.append(Trouble(500, delay=0.1))
    waiting = asyncio.create_task(writer.confirm(target, {"phase": "Created"}, deadline=5))
    await asyncio.sleep(0.05)
    writer.forget(target.uid)
    assert await waiting == Gone()
    await asyncio.sleep(0.1)
    assert len(fake.seen) == 1


async def test_a_changed_object_is_a_conflict_and_the_caller_decides(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    seen = fake.objects["jobsubmissions", "team", "run"]["metadata"]["resourceVersion"]
    fake.put("jobsubmissions", "team", "run", spec={"cancel": True})
    outcome = await writer.confirm(target, {"phase": "Created"}, resource_version=seen, deadline=5)
    assert isinstance(outcome, Conflict)
    assert outcome.current["spec"] == {"cancel": True}
    assert status(fake) is None


async def test_a_conflict_with_ourselves_is_none(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    seen = fake.objects["jobsubmissions", "team", "run"]["metadata"]["resourceVersion"]
    fake.troubles.append(Trouble(cut=True, after=True))
    outcome = await writer.confirm(target, {"phase": "Created"}, resource_version=seen, deadline=5)
    assert outcome == Written(fake.objects["jobsubmissions", "team", "run"]["metadata"]["resourceVersion"])


async def test_a_later_status_supersedes_one_that_waits(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    fake.troubles.append(Trouble(500, delay=0.1))
    early = asyncio.create_task(writer.confirm(target, {"user": "early"}, deadline=5))
    await asyncio.sleep(0.05)
    late = asyncio.create_task(writer.confirm(target, {"user": "late"}, deadline=5))
    assert await early == Superseded()
    assert isinstance(await late, Written)
    assert status(fake) == {"user": "late"}


async def test_what_is_refused_is_said_and_does_not_hold_up_the_next_status(
    fake: FakeApi, writer: StatusWriter, caplog: pytest.LogCaptureFixture
) -> None:
    target = submission(fake)
    outcome = await writer.confirm(target, {"phase": "Nonsense"}, deadline=5)
    assert outcome == Unconfirmed("status.phase: Unsupported value (Invalid)")
    assert len(fake.made("PATCH")) == 1
    assert "JobSubmission team/run is written again in 60.0 s" in caplog.text
    assert isinstance(await writer.confirm(target, {"phase": "Created"}, deadline=5), Written)


async def test_what_is_refused_is_tried_again_for_the_policy_may_change(
    fake: FakeApi, writer: StatusWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurmgate.kube.writer._REFUSED_PAUSE", 0.05)
    fake.troubles.append(Trouble(403))
    writer.put(submission(fake), {"phase": "Created"})
    await writer.stop(grace=5)
    assert status(fake) == {"phase": "Created"}


@pytest.mark.parametrize("wait", [pytest.param(0, id="before its pause ends"), pytest.param(0.15, id="after its pause ended")])
async def test_what_was_refused_never_has_two_writes_of_one_object_under_way(
    fake: FakeApi, writer: StatusWriter, monkeypatch: pytest.MonkeyPatch, wait: float
) -> None:
    monkeypatch.setattr("slurmgate.kube.writer._REFUSED_PAUSE", 0.1)
    target = submission(fake)
    assert isinstance(await writer.confirm(target, {"phase": "Nonsense"}, deadline=5), Unconfirmed)
    fake.troubles.append(Trouble(500, delay=0.3))
    await asyncio.sleep(wait)
    writer.put(target, {"phase": "Running"})
    await asyncio.sleep(0.05)
    writer.put(target, {"phase": "Done"})
    await writer.stop(grace=5)
    assert fake.busiest == 1
    assert status(fake) == {"phase": "Done"}


async def test_an_object_that_is_forgotten_and_known_again_is_written(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    fake.troubles.extend([Trouble(500, delay=0.1), Trouble(500, delay=0.2)])
    writer.put(target, {"phase": "Running"})
    await asyncio.sleep(0.05)
    writer.forget(target.uid)
    assert isinstance(await writer.confirm(target, {"phase": "Done"}, deadline=5), Written)
    assert status(fake) == {"phase": "Done"}


async def test_unconfirmed_is_not_given_up(fake: FakeApi, writer: StatusWriter) -> None:
    target = submission(fake)
    fake.troubles.append(Trouble(500, delay=0.2))
    assert isinstance(await writer.confirm(target, {"phase": "Created"}, deadline=0.05), Unconfirmed)
    await writer.stop(grace=5)
    assert status(fake) == {"phase": "Created"}


async def test_a_bug_that_one_object_meets_does_not_stop_the_others(
    fake: FakeApi, writer: StatusWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Written:
        raise KeyError("a bug")

    for number in range(20):
        target = submission(fake, f"bad-{number}")
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_write", broken)
            assert isinstance(await writer.confirm(target, {"phase": "Created"}, deadline=5), Unconfirmed)
    assert isinstance(await writer.confirm(submission(fake), {"phase": "Created"}, deadline=5), Written)


async def test_many_objects_are_written_sixteen_at_a_time(fake: FakeApi, writer: StatusWriter) -> None:
    targets = [submission(fake, f"run-{number}") for number in range(300)]
    for target in targets:
        writer.put(target, {"user": target.name})
    await writer.stop(grace=30)
    assert len(fake.seen) == 300
    assert fake.busiest <= 16
    assert all(status(fake, target.name) == {"user": target.name} for target in targets)


async def test_stopping_says_what_was_not_written(fake: FakeApi, api: ApiSession, caplog: pytest.LogCaptureFixture) -> None:
    writer = StatusWriter(api)
    writer.start()
    fake.troubles.extend([Trouble(delay=5), Trouble(delay=5)])
    writer.put(submission(fake, "a"), {"phase": "Created"})
    waiting = asyncio.create_task(writer.confirm(submission(fake, "b"), {"phase": "Created"}, deadline=5))
    await asyncio.sleep(0.1)
    await writer.stop(grace=0.1)
    assert "2 statuses could not be written" in caplog.text
    assert await waiting == Unconfirmed("the operator is stopping")
