"""People whom a plugin knows: remembered for a while, waited for while it fails, and never forgotten while their jobs run."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace

import asyncssh
import pytest

from slurmgate.core.health import MappingHealth
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.engine.people.asked import FAILURE_SECONDS, MOST_NAMED, AskedPeople
from slurmgate.engine.people.plugged import PluginOracle
from slurmgate.identity.asked import Memory
from slurmgate.plugins.api import Account
from slurmgate.ssh.credentials import KeyUnavailable
from tests.unit.engine.plugged import FakeThread

KIRBY, MARIO = "kirby@nintendo.example", "mario@nintendo.example"
DOWN = "failed: ConnectionRefusedError"
GOOD = MappingHealth(usable=None, source_down=Reason.PLUGIN_UNAVAILABLE)
KNOWN_SECONDS, UNKNOWN_SECONDS = Memory().known, Memory().unknown


class Staff:
    """A cluster whose people a plugin knows, and what was shown of it."""

    def __init__(self) -> None:
        self.accounts: dict[str, object] = {KIRBY: Account("kirby", "kirby-key"), MARIO: Account("mario", "mario-key")}
        self.plugin = FakeThread(self)
        self.shown: list[MappingHealth] = []
        self.used = 0
        self.shut_out: list[str] = []
        self.residents: set[tuple[str, str]] = set()
        self.secrets: list[tuple[str, str]] = []
        self.certified = False
        self.people = self.started_anew()

    def started_anew(self) -> AskedPeople:
        return AskedPeople(
            PluginOracle(self.plugin.thread, certified=self.certified),
            memory=Memory(),
            residents=lambda: self.residents,
            read_secret=self._read,
            show=self.shown.append,
            changed=self._changed,
        )

    async def account_of(self, owner: str) -> object:
        return self.accounts.get(owner)

    async def _read(self, name: str, key: str) -> bytes:
        self.secrets.append((name, key))
        return asyncssh.generate_private_key("ssh-ed25519").export_private_key()

    async def _changed(self, gone: Collection[str]) -> None:
        self.used += 1
        self.shut_out += gone


@pytest.fixture
async def staff() -> AsyncIterator[Staff]:
    staff = Staff()
    running = asyncio.create_task(staff.people.run())
    await asyncio.sleep(1)
    yield staff
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert staff.plugin.closed


async def test_it_is_made_before_anybody_is_asked_about_and_used_from_then_on(staff: Staff) -> None:
    assert (staff.plugin.calls, staff.used) == (1, 1)
    assert staff.shown == [GOOD]


async def test_an_account_is_remembered_for_five_minutes(staff: Staff) -> None:
    assert [await staff.people.user_of(owner) for owner in (KIRBY, f" {KIRBY.upper()}", KIRBY)] == ["kirby"] * 3
    assert staff.plugin.calls == 2
    await asyncio.sleep(KNOWN_SECONDS)
    staff.accounts[KIRBY] = Account("kirby2", "kirby-key")
    assert await staff.people.user_of(KIRBY) == "kirby2"


async def test_that_somebody_is_nobody_is_remembered_for_one(staff: Staff) -> None:
    account = staff.accounts.pop(MARIO)
    refused = await staff.people.user_of(MARIO)
    assert refused == Refused(Reason.USER_NOT_MAPPED, f"spec.owner: {MARIO} is nobody on the cluster (plugin staff)")
    staff.accounts[MARIO] = account
    await asyncio.sleep(UNKNOWN_SECONDS - 5)
    assert await staff.people.user_of(MARIO) == refused
    await asyncio.sleep(5)
    assert await staff.people.user_of(MARIO) == "mario"


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (Account("root", "k"), "user: root is a system account: jobs belong to people"),
        (Account("kirby; id", "k"), "user: is not a user name (lower case letters, digits, _ . -, at most 32)"),
        (Account("kirby", "../k"), "key.name: String should match pattern '^[a-z0-9][a-z0-9.-]*$'"),
        (Account("kirby", "k", key=""), "key.key: String should match pattern '^[-._a-zA-Z0-9]+$'"),
    ],
    ids=["a system account", "no name of a user", "no name of a Secret", "no key of one"],
)
async def test_an_account_that_cannot_be_is_nobodys(staff: Staff, account: Account, words: str) -> None:
    staff.accounts[KIRBY] = account
    refused = await staff.people.user_of(KIRBY)
    assert isinstance(refused, Refused)
    assert refused.message == f"spec.owner: what plugin staff says of {KIRBY} cannot be used: {words}"


async def test_nobody_becomes_somebody_else_by_letters_that_only_look_alike(staff: Staff) -> None:
    assert isinstance(await staff.people.user_of("\u212airby@nintendo.example"), Refused)  # the Kelvin sign
    assert staff.plugin.calls == 1


@pytest.mark.parametrize("answer", ["kirby", ("kirby", "kirby-key"), False])
async def test_an_answer_that_is_none_is_waited_for(staff: Staff, answer: object) -> None:
    staff.accounts[KIRBY] = answer
    waits = await staff.people.user_of(KIRBY)
    assert isinstance(waits, NotNow)
    assert waits.reason is Reason.PLUGIN_UNAVAILABLE
    assert f"answered with {type(answer).__name__} instead of Account or None" in waits.message


async def test_one_that_fails_is_waited_for_and_shown_until_it_answers(staff: Staff) -> None:
    staff.plugin.failing = DOWN
    words = f"plugin staff {DOWN}"
    waits = await staff.people.user_of(KIRBY)
    assert waits == NotNow(Reason.PLUGIN_UNAVAILABLE, f"{words}. It is asked again who {KIRBY} is.")
    assert staff.shown[-1].unreadable == f"{KIRBY}: {words}"
    staff.plugin.failing = ""
    assert await staff.people.user_of(KIRBY) == "kirby"
    assert staff.shown[-1] == GOOD


async def test_one_that_fails_for_some_serves_the_others(staff: Staff) -> None:
    assert await staff.people.user_of(KIRBY) == "kirby"
    staff.plugin.failing = DOWN
    for number in range(MOST_NAMED + 5):
        await staff.people.user_of(f"{number:02}@nintendo.example")
    assert await staff.people.user_of(KIRBY) == "kirby"
    shown = staff.shown[-1]
    assert not shown.unreadable
    assert shown.problems == tuple(f"{number:02}@nintendo.example: plugin staff {DOWN}" for number in range(MOST_NAMED))
    assert len(staff.shown) == 1 + MOST_NAMED
    await asyncio.sleep(2 * FAILURE_SECONDS)
    assert staff.shown[-1] == GOOD


async def test_one_that_cannot_be_made_is_shown_at_once_and_until_it_can(staff: Staff) -> None:
    staff.plugin.failing = "failed: ImportError: no module named ldap3"
    running = asyncio.create_task(staff.started_anew().run())
    await asyncio.sleep(1)
    unmade = replace(GOOD, unreadable="plugin staff failed: ImportError: no module named ldap3")
    assert staff.shown[-1] == unmade
    await asyncio.sleep(2 * FAILURE_SECONDS)
    assert staff.shown[-1] == unmade
    staff.plugin.failing = ""
    await asyncio.sleep(100)
    assert staff.shown[-1] == GOOD
    running.cancel()


async def test_the_key_is_the_one_that_is_named(staff: Staff) -> None:
    staff.accounts[KIRBY] = Account("kirby", "keys", key="kirby")
    await staff.people.user_of(KIRBY)
    await staff.people.private_key("kirby")
    assert staff.secrets == [("keys", "kirby")]


async def test_nobody_has_a_key_who_has_submitted_nothing(staff: Staff) -> None:
    with pytest.raises(KeyUnavailable, match="nobody who has submitted anything is said to be mario"):
        await staff.people.private_key("mario")


async def test_after_a_start_it_is_asked_about_those_whose_jobs_run(staff: Staff) -> None:
    staff.residents = {(KIRBY, "kirby")}
    assert list(staff.people.users) == ["kirby"]
    await staff.people.private_key("kirby")
    assert staff.secrets == [("kirby-key", "ssh-privatekey")]


async def test_jobs_are_followed_on_with_the_last_key_while_it_fails(staff: Staff) -> None:
    await staff.people.user_of(KIRBY)
    await asyncio.sleep(2 * KNOWN_SECONDS)
    staff.plugin.failing = DOWN
    await staff.people.private_key("kirby")
    assert isinstance(await staff.people.user_of(KIRBY), NotNow)
    assert staff.secrets == [("kirby-key", "ssh-privatekey")]


async def test_who_has_gone_can_log_in_no_more(staff: Staff) -> None:
    await staff.people.user_of(KIRBY)
    staff.residents = {(KIRBY, "kirby")}
    del staff.accounts[KIRBY]
    await asyncio.sleep(KNOWN_SECONDS)
    with pytest.raises(KeyUnavailable):
        await staff.people.private_key("kirby")
    assert staff.shut_out == ["kirby"]


async def test_whose_key_lies_elsewhere_now_logs_in_anew(staff: Staff) -> None:
    await staff.people.user_of(KIRBY)
    await asyncio.sleep(KNOWN_SECONDS)
    staff.accounts[KIRBY] = Account("kirby", "kirby-key-2")
    await staff.people.private_key("kirby")
    assert staff.secrets == [("kirby-key-2", "ssh-privatekey")]
    assert staff.shut_out == ["kirby"]


async def test_one_of_two_who_are_the_same_user_may_go(staff: Staff) -> None:
    staff.accounts[MARIO] = staff.accounts[KIRBY]
    for owner in (KIRBY, MARIO):
        assert await staff.people.user_of(owner) == "kirby"
    del staff.accounts[KIRBY]
    await asyncio.sleep(KNOWN_SECONDS)
    assert isinstance(await staff.people.user_of(KIRBY), Refused)
    await staff.people.private_key("kirby")
    assert staff.shut_out == []


async def test_with_certificates_nobody_needs_a_key_and_who_has_gone_is_confirmed_no_more(staff: Staff) -> None:
    staff.certified = True
    people = staff.started_anew()
    staff.accounts[KIRBY] = Account("kirby")
    assert await people.user_of(KIRBY) == "kirby"
    await people.confirm("kirby")
    assert staff.secrets == []

    staff.accounts[KIRBY] = None
    await asyncio.sleep(KNOWN_SECONDS)
    staff.residents = {(KIRBY, "kirby")}
    with pytest.raises(KeyUnavailable, match="nobody who has submitted anything is said to be kirby"):
        await people.confirm("kirby")
    assert staff.shut_out == ["kirby"]


async def test_without_certificates_an_account_without_a_key_is_nobodys(staff: Staff) -> None:
    staff.accounts[KIRBY] = Account("kirby")
    assert isinstance(await staff.people.user_of(KIRBY), Refused)
