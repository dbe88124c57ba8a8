"""Whole lists that somebody else asks for are read along."""

from typing import Any

import pytest

from slurmgate.kube.addresses import Address
from slurmgate.kube.lists import Lists
from slurmgate.kube.session import ApiSession
from tests.unit.kube.fake import FakeApi, Trouble

WHERE = Address("jobsubmissions", "team")


class Kopf:
    """Asks page by page, as kopf does, and gives up when it is refused."""

    def __init__(self, api: ApiSession) -> None:
        self.told: list[frozenset[str]] = []
        self._url = f"{api.server}{WHERE.path}"
        self._session = api.lend(Lists({WHERE: self.told.append}))

    async def lists(self, **query: str) -> list[str]:
        names: list[str] = []
        more = ""
        while True:
            page = await self._page(limit="2", **query, **({"continue": more} if more else {}))
            if page["kind"] != "List":
                return names
            names += [item["metadata"]["name"] for item in page["items"]]
            if not (more := page["metadata"]["continue"]):
                return names

    async def _page(self, **query: str) -> Any:
        async with self._session.get(self._url, params=query) as response:
            return await response.json()


@pytest.fixture
def kopf(api: ApiSession) -> Kopf:
    return Kopf(api)


def some(fake: FakeApi, count: int) -> list[str]:
    return [fake.put("jobsubmissions", "team", f"run-{number}")["metadata"]["uid"] for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2, 5])
async def test_all_pages_are_one_list(fake: FakeApi, kopf: Kopf, count: int) -> None:
    uids = some(fake, count)
    assert await kopf.lists() == [f"run-{number}" for number in range(count)]
    assert kopf.told == [frozenset(uids)]
    fake.put("jobsubmissions", "team", "later")
    await kopf.lists()
    assert len(kopf.told[1]) == count + 1


async def test_half_a_list_is_none_and_the_next_one_begins_anew(fake: FakeApi, kopf: Kopf) -> None:
    some(fake, 5)
    fake.objects["jobsubmissions", "team", "run-0"]["metadata"]["uid"] = "old"
    await kopf._page(limit="2")
    fake.troubles.append(Trouble(410))
    await kopf._page(limit="2", **{"continue": "2"})
    assert kopf.told == []
    fake.objects["jobsubmissions", "team", "run-0"]["metadata"]["uid"] = "new"
    await kopf.lists()
    (told,) = kopf.told
    assert "new" in told
    assert "old" not in told


async def test_a_single_object_or_another_collection_is_no_list(fake: FakeApi, kopf: Kopf, api: ApiSession) -> None:
    some(fake, 1)
    fake.put("configmaps", "team", "settings")
    for address in (Address("jobsubmissions", "team", "run-0"), Address("configmaps", "team")):
        async with kopf._session.get(f"{api.server}{address.path}") as response:
            assert response.status == 200
    assert kopf.told == []
