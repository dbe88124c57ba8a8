"""Everybody is the same user, and that is said."""

import asyncio
from collections.abc import Collection
from typing import Any

import asyncssh
import pytest

from slurmgate.core.health import MappingHealth
from slurmgate.core.outcomes import NotNow
from slurmgate.core.reasons import Reason
from slurmgate.engine.people.single import SinglePeople
from slurmgate.resources.identity import SingleUser
from slurmgate.ssh.credentials import KeyUnavailable


class Site:
    """A cluster of one, and what was shown of it."""

    def __init__(self, name: str) -> None:
        self.shown: list[MappingHealth] = []
        self.used = 0
        self.secret: Any = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
        source = SingleUser.model_validate({"name": name, "privateKeySecretRef": {"name": "jarvice-key", "key": "id"}})
        self.people = SinglePeople(source, read_secret=self._read, show=self.shown.append, changed=self._changed)

    async def run(self) -> None:
        running = asyncio.create_task(self.people.run())
        await asyncio.sleep(1)
        running.cancel()

    async def _read(self, name: str, key: str) -> bytes:
        assert (name, key) == ("jarvice-key", "id")
        return bytes(self.secret)

    async def _changed(self, gone: Collection[str]) -> None:
        self.used += 1


async def test_everybody_is_the_one_and_the_cluster_says_so() -> None:
    site = Site("jarvice")
    await site.run()
    assert [await site.people.user_of(owner) for owner in ("kirby@x.example", "mario@y.example")] == ["jarvice"] * 2
    assert site.people.users == ["jarvice"]
    assert site.shown == [MappingHealth(usable=1, everybody="jarvice")]
    assert site.used == 1
    assert (await site.people.private_key("jarvice")).algorithm == "ssh-ed25519"


async def test_a_key_that_is_none_is_named() -> None:
    site = Site("jarvice")
    site.secret = b"swordfish"
    with pytest.raises(KeyUnavailable, match="Secret jarvice-key, key id: this is not a private key"):
        await site.people.private_key("jarvice")


@pytest.mark.parametrize("name", ["root", "slurm"])
async def test_nobody_is_a_system_account(name: str) -> None:
    site = Site(name)
    await site.run()
    waits = await site.people.user_of("kirby@x.example")
    assert isinstance(waits, NotNow)
    assert waits.reason is Reason.MAPPING_NOT_LOADED
    assert site.people.users == []
    assert f"{name} is a system account: jobs belong to people" in site.shown[0].unreadable
