from typing import Any

import pytest

from slurmgate.kube.addresses import Target
from slurmgate.kube.errors import ConflictError, UnreachableError
from slurmgate.kube.finalizers import add_finalizer, remove_finalizer
from slurmgate.kube.patch import Gone, Written
from slurmgate.kube.session import ApiSession
from tests.unit.kube.fake import FakeApi, Trouble

OURS = "slurmgate.dev/slurm-job"


def submission(fake: FakeApi, **metadata: Any) -> Target:
    body = fake.put("jobsubmissions", "team", "run", spec={}, metadata=metadata)
    return Target("JobSubmission", "team", "run", body["metadata"]["uid"])


def finalizers(fake: FakeApi) -> Any:
    return fake.objects["jobsubmissions", "team", "run"]["metadata"].get("finalizers")


@pytest.mark.parametrize("there", [None, ["a/b"]])
async def test_it_is_added_in_one_request(fake: FakeApi, api: ApiSession, there: list[str] | None) -> None:
    target = submission(fake, **({"finalizers": there} if there else {}))
    assert isinstance(await add_finalizer(api, target, OURS, finalizers=there or []), Written)
    assert finalizers(fake) == [*(there or []), OURS]
    assert [seen.method for seen in fake.seen] == ["PATCH"]


async def test_one_that_is_there_is_looked_at_not_written(fake: FakeApi, api: ApiSession) -> None:
    target = submission(fake, finalizers=[OURS, "a/b"])
    assert isinstance(await add_finalizer(api, target, OURS, finalizers=[OURS, "a/b"]), Written)
    assert isinstance(await remove_finalizer(api, target, "x/y", finalizers=[OURS]), Written)
    assert [seen.method for seen in fake.seen] == ["GET", "GET"]
    assert finalizers(fake) == [OURS, "a/b"]


async def test_one_that_was_believed_to_be_there_is_added(fake: FakeApi, api: ApiSession) -> None:
    target = submission(fake)
    assert isinstance(await add_finalizer(api, target, OURS, finalizers=[OURS]), Written)
    assert finalizers(fake) == [OURS]


async def test_what_others_did_meanwhile_stays(fake: FakeApi, api: ApiSession) -> None:
    target = submission(fake, finalizers=["new/one"])
    await add_finalizer(api, target, OURS, finalizers=["old/one"])
    assert finalizers(fake) == ["new/one", OURS]
    await remove_finalizer(api, target, OURS, finalizers=[OURS])
    assert finalizers(fake) == ["new/one"]


async def test_an_object_that_is_being_deleted_takes_none(fake: FakeApi, api: ApiSession) -> None:
    target = submission(fake, finalizers=["a/b"], deletionTimestamp="2026-01-01T00:00:00Z")
    assert await add_finalizer(api, target, OURS, finalizers=["a/b"]) == Gone()
    assert finalizers(fake) == ["a/b"]


async def test_removing_the_last_one_lets_the_object_go(fake: FakeApi, api: ApiSession) -> None:
    target = submission(fake, finalizers=[OURS], deletionTimestamp="2026-01-01T00:00:00Z")
    assert isinstance(await remove_finalizer(api, target, OURS, finalizers=[OURS]), Written)
    assert fake.objects == {}
    assert await remove_finalizer(api, target, OURS, finalizers=[OURS]) == Gone()


async def test_another_object_of_that_name_keeps_its_finalizer(fake: FakeApi, api: ApiSession) -> None:
    old = submission(fake, finalizers=[OURS])
    fake.delete("jobsubmissions", "team", "run")
    submission(fake, finalizers=[OURS])
    assert await remove_finalizer(api, old, OURS, finalizers=[OURS]) == Gone()
    assert finalizers(fake) == [OURS]


async def test_a_lost_answer_is_raised_and_trying_again_is_harmless(fake: FakeApi, api: ApiSession) -> None:
    target = submission(fake)
    fake.troubles.append(Trouble(cut=True, after=True))
    with pytest.raises(UnreachableError):
        await add_finalizer(api, target, OURS, finalizers=[])
    assert isinstance(await add_finalizer(api, target, OURS, finalizers=[]), Written)
    assert finalizers(fake) == [OURS]


async def test_a_fight_over_the_list_is_given_up(fake: FakeApi, api: ApiSession, monkeypatch: pytest.MonkeyPatch) -> None:
    target = submission(fake)
    serve = fake._patch

    def quicker(*args: Any) -> Any:
        number = len(fake.seen)
        fake.put("jobsubmissions", "team", "run", metadata={"finalizers": [f"other/{number}"]})
        return serve(*args)

    monkeypatch.setattr(fake, "_patch", quicker)
    with pytest.raises(ConflictError, match="JobSubmission team/run were changed by others 10 times"):
        await add_finalizer(api, target, OURS, finalizers=[])
