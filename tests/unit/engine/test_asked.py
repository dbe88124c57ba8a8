"""Answers hold for a while, and a bounded while longer when nobody can be asked."""

import asyncio

import pytest

from slurmgate.identity.asked import AGAIN_SECONDS, Account, AskedIdentities, Memory, Unanswered
from slurmgate.identity.mapping import Identity, NotMapped
from slurmgate.ssh.credentials import KeyUnavailable

KIRBY = "kirby@nintendo.example"
MEMORY = Memory(known=300, unknown=60, stale=3600)


class Directory:
    """Somebody who is asked. `answer`: what it says; None while it is away."""

    def __init__(self) -> None:
        self.answer: Account | NotMapped | None = Account(user="kirby")
        self.asked = 0
        self.shut_out: list[str] = []
        self.people = AskedIdentities(self._ask, self._read, memory=MEMORY, owners_of=lambda _: (), shut_out=self._shut_out_him)

    async def _ask(self, mail: str) -> Account | NotMapped:
        self.asked += 1
        if self.answer is None:
            raise Unanswered("it is away")
        return self.answer

    async def _read(self, name: str, key: str) -> bytes:
        raise AssertionError

    async def _shut_out_him(self, user: str) -> None:
        self.shut_out.append(user)


async def test_who_was_somebody_stays_that_one_for_a_bounded_while() -> None:
    directory = Directory()
    await directory.people.resolve(KIRBY)
    directory.answer = None
    await asyncio.sleep(MEMORY.known + MEMORY.stale - 1)
    assert await directory.people.resolve(KIRBY) == Identity("kirby")
    await asyncio.sleep(2)
    with pytest.raises(Unanswered):
        await directory.people.resolve(KIRBY)


async def test_it_is_not_asked_for_everybody_who_comes_while_it_is_away() -> None:
    directory = Directory()
    await directory.people.resolve(KIRBY)
    directory.answer = None
    await asyncio.sleep(MEMORY.known)
    for _ in range(10):
        assert await directory.people.resolve(KIRBY) == Identity("kirby")
    assert directory.asked == 2
    await asyncio.sleep(AGAIN_SECONDS)
    directory.answer = Account(user="meta")
    assert await directory.people.resolve(KIRBY) == Identity("meta")


async def test_who_was_nobody_is_not_refused_for_that_while_it_is_away() -> None:
    directory = Directory()
    directory.answer = NotMapped("nobody")
    assert await directory.people.resolve(KIRBY) == NotMapped("nobody")
    directory.answer = None
    await asyncio.sleep(MEMORY.unknown)
    with pytest.raises(Unanswered):
        await directory.people.resolve(KIRBY)


async def test_who_has_gone_is_shut_out_although_nobody_ever_named_a_key() -> None:
    directory = Directory()
    await directory.people.resolve(KIRBY)
    assert directory.people.account_of("kirby") == Account(user="kirby")
    with pytest.raises(KeyUnavailable, match=r"set spec\.ssh\.certificates, or spec\.identity\.ldap\.keySecretTemplate"):
        await directory.people.private_key("kirby")
    directory.answer = NotMapped("nobody")
    await asyncio.sleep(MEMORY.known)
    assert await directory.people.resolve(KIRBY) == NotMapped("nobody")
    assert directory.shut_out == ["kirby"]
    assert directory.people.account_of("kirby") is None
    with pytest.raises(KeyUnavailable, match="nobody who has submitted anything is said to be kirby"):
        await directory.people.private_key("kirby")


@pytest.mark.parametrize(
    "owner",
    ["kirby@nintendo.example\0", "kir\x01by@nintendo.example", "kirby @nintendo.example", "\u212airby@nintendo.example", ""],
)
async def test_nobody_is_asked_about_what_a_directory_would_take_for_somebody_else(owner: str) -> None:
    """OpenLDAP takes the first two for kirby."""
    directory = Directory()
    found = await directory.people.resolve(owner)
    assert found == NotMapped(f"{owner!r} is not an e-mail address that anybody can be asked about")
    assert directory.asked == 0
