"""Identities that somebody has to be asked for, one by one. What was answered is remembered for a while."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from slurmgate.identity.entry import SecretReference, UserName, mail_address, sentences
from slurmgate.identity.mapping import Identity, NotMapped
from slurmgate.identity.source import ReadSecret, secret_key
from slurmgate.resources.submission import Percentless
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey

AGAIN_SECONDS: Final = 15.0
"""While nobody can say anything, who is asked about stays who he was for so long before it is tried again."""


@dataclass(frozen=True, slots=True)
class Memory:
    """For how long answers hold. Seconds."""

    known: float = 300.0
    """That somebody has an account, and which."""
    unknown: float = 60.0
    """That somebody has none."""
    stale: float = 0.0
    """For so much longer an account holds while nobody can say anything."""


class Unanswered(Exception):  # noqa: N818 - a state of affairs, read as a sentence where it is caught
    """Nobody could say who somebody is; the message says why."""


class Account(BaseModel):
    """Who somebody is. Raises ValidationError for system accounts and for names that cannot be."""

    model_config = ConfigDict(frozen=True)
    user: UserName
    key: SecretReference | None = None
    """Where the private key is, if there is one."""
    home: Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=1024)] | None = None
    """The home directory, if it is said."""
    slurm_account: Percentless | None = None
    """What his jobs are charged to if he does not say, if that is said."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    answer: Account | NotMapped
    until: float
    stale_until: float


class AskedIdentities:
    """Owners as they were answered last. Who has been somebody stays that one in memory until there is another answer."""

    def __init__(
        self,
        ask: Callable[[str], Awaitable[Account | NotMapped]],
        read_secret: ReadSecret,
        *,
        memory: Memory,
        owners_of: Callable[[str], Collection[str]],
        shut_out: Callable[[str], Awaitable[None]],
    ) -> None:
        """Ways to the world.

        Args:
            ask: Who somebody is, by e-mail address; raises Unanswered.
            read_secret: Reads a key.
            memory: For how long answers hold.
            owners_of: Whose submissions run as a Slurm user.
            shut_out: Told of a user whose open connections must not be used any more.
        """
        self._ask = ask
        self._read_secret = read_secret
        self._memory = memory
        self._owners_of = owners_of
        self._shut_out = shut_out
        self._remembered: dict[str, _Remembered] = {}

    @property
    def users(self) -> frozenset[str]:
        """Everybody of whom is remembered that he has an account."""
        return frozenset(known.answer.user for known in self._remembered.values() if isinstance(known.answer, Account))

    async def resolve(self, owner: str) -> Identity | NotMapped:
        """The Slurm user of this e-mail address. Raises Unanswered."""
        answer = await self._find(owner)
        return Identity(answer.user) if isinstance(answer, Account) else answer

    def known(self, owner: str) -> Account | None:
        """What is remembered of an owner, if he has an account."""
        known = self._remembered.get(owner.strip().lower())
        return known.answer if known and isinstance(known.answer, Account) else None

    def account_of(self, user: str) -> Account | None:
        """What was said last of this user; None if nobody was ever said to be him, or is not any more."""
        accounts = [*self._known_as(user).values()]
        return accounts[-1] if accounts else None

    async def private_key(self, user: str) -> PrivateKey:
        """The private key of a user as whom somebody has submitted.

        If nobody can be asked, the key that was named last is used: jobs that run are followed on.

        Raises:
            KeyUnavailable: nobody is said to be that user (any more), or there is no key, or it cannot be read or used.
        """
        key = (await self._latest(user)).key
        if key is None:
            raise KeyUnavailable(
                f"nothing says where the private key of {user} is: set spec.ssh.certificates, "
                "or spec.identity.ldap.keySecretTemplate"
            )
        passphrase = (key.name, key.passphrase_key) if key.passphrase_key else None
        return await secret_key(self._read_secret, key.name, key.key, passphrase=passphrase)

    async def confirm(self, user: str) -> None:
        """Somebody who has submitted is said to be this user. Raises KeyUnavailable if nobody is (any more)."""
        await self._latest(user)

    async def _latest(self, user: str) -> Account:
        """What is said of a user now, or was said last. Raises KeyUnavailable if nobody is said to be that user."""
        for owner in sorted({*self._owners_of(user), *self._known_as(user)}):
            with suppress(Unanswered):
                answer = await self._find(owner)
                if isinstance(answer, Account) and answer.user == user:
                    break
        if known := self.account_of(user):
            return known
        raise KeyUnavailable(f"nobody who has submitted anything is said to be {user}")

    async def _find(self, owner: str) -> Account | NotMapped:
        try:
            mail = mail_address(owner)  # directories overlook control characters, and take some letters for others
        except ValueError:
            return NotMapped(f"{owner!r} is not an e-mail address that anybody can be asked about")
        now = asyncio.get_running_loop().time()
        known = self._remembered.get(mail)
        if known and now < known.until:
            return known.answer
        try:
            answer = await self._ask(mail)
        except Unanswered:
            if not known or now >= known.stale_until or isinstance(known.answer, NotMapped):
                raise
            self._remembered[mail] = replace(known, until=min(now + AGAIN_SECONDS, known.stale_until))
            return known.answer
        await self._remember(mail, answer)
        return answer

    async def _remember(self, mail: str, answer: Account | NotMapped) -> None:
        now = asyncio.get_running_loop().time()
        before = self._remembered.get(mail)
        until = now + (self._memory.known if isinstance(answer, Account) else self._memory.unknown)
        self._remembered[mail] = _Remembered(answer, until, until + self._memory.stale)
        stale = [who for who, known in self._remembered.items() if isinstance(known.answer, NotMapped) and known.until <= now]
        for who in stale:
            del self._remembered[who]
        if before and isinstance(before.answer, Account) and self._logs_in_otherwise(before.answer):
            await self._shut_out(before.answer.user)

    def _logs_in_otherwise(self, before: Account) -> bool:
        """Whether this user is nobody any more, or has another key."""
        now = self.account_of(before.user)
        return now is None or now.key != before.key

    def _known_as(self, user: str) -> dict[str, Account]:
        """Who is remembered as this user; the latest answer last."""
        latest_last = sorted(self._remembered.items(), key=lambda known: known[1].until)
        return {
            mail: known.answer for mail, known in latest_last if isinstance(known.answer, Account) and known.answer.user == user
        }


def account(**said: object) -> Account | str:
    """The account that somebody names, or what is wrong with it."""
    try:
        return Account.model_validate(said)
    except ValidationError as error:
        return "; ".join(sentences(error))
