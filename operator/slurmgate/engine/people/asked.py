"""Who is who by somebody who is asked about everybody who submits: a directory, or a plugin."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from slurmgate.core.health import MappingHealth
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.engine.people.people import Changed, Residents, Show, slurm_user
from slurmgate.identity.asked import Account, AskedIdentities, Memory, Unanswered
from slurmgate.identity.mapping import NotMapped
from slurmgate.identity.source import ReadSecret
from slurmgate.resources.cluster import Defaults
from slurmgate.ssh.credentials import PrivateKey

MOST_NAMED: Final = 20
"""People about whom there was no answer whom the SlurmCluster names."""
FAILURE_SECONDS: Final = 600.0
"""For so long it is shown about whom there was none. Whoever waits asks again sooner."""
_AGAIN_SECONDS: Final = 60.0
"""Between two tries to see whether it can be asked."""


class Oracle(Protocol):
    """Somebody who is asked who is who. Everything raises Unanswered."""

    @property
    def silence(self) -> Reason:
        """The word for its not answering."""
        ...

    async def try_out(self) -> None:
        """See whether it can be asked at all."""
        ...

    async def account_of(self, owner: str) -> Account | NotMapped:
        """The account of an e-mail address, which is in lower case."""
        ...

    def close(self) -> None:
        """It is not asked any more."""
        ...


@dataclass(frozen=True, slots=True)
class _Failure:
    words: str
    at: float


class AskedPeople:
    """By an oracle, which is asked about everybody who submits."""

    def __init__(
        self,
        oracle: Oracle,
        *,
        memory: Memory,
        residents: Residents,
        read_secret: ReadSecret,
        show: Show,
        changed: Changed,
    ) -> None:
        self._oracle = oracle
        self._residents = residents
        self._show = show
        self._changed = changed
        self._failures: dict[str, _Failure] = {}
        self._unusable = ""
        """Why it could not even be tried out; empty if it could."""
        self._shown: MappingHealth | None = None
        self._identities = AskedIdentities(
            self._ask, read_secret, memory=memory, owners_of=self._owners_of, shut_out=self._shut_out
        )

    @property
    def users(self) -> Sequence[str]:
        """Those as whom somebody has submitted."""
        return sorted({*self._identities.users, *(user for _, user in self._residents())})

    async def run(self) -> None:
        """Try it out, so that what is wrong is seen before anybody submits; let it go when cancelled."""
        try:
            await self._try_out()
            await self._changed(())
            while True:
                await asyncio.sleep(_AGAIN_SECONDS)
                if self._unusable:
                    await self._try_out()
                self._tell()
        finally:
            self._oracle.close()

    async def user_of(self, owner: str) -> str | Refused | NotNow:
        """The Slurm user that the oracle says, or said a while ago."""
        try:
            return slurm_user(await self._identities.resolve(owner))
        except Unanswered as why:
            return NotNow(self._oracle.silence, f"{why}. It is asked again who {owner} is.")

    def defaults_of(self, owner: str, defaults: Defaults) -> Defaults:
        """With what was said last of the owner's account in Slurm and of his home."""
        known = self._identities.known(owner)
        return _personal(defaults, known) if known else defaults

    async def private_key(self, user: str) -> PrivateKey:
        """The private key that it names; raises KeyUnavailable."""
        return await self._identities.private_key(user)

    async def confirm(self, user: str) -> None:
        """Somebody is said to be this user, or was a while ago; raises KeyUnavailable."""
        await self._identities.confirm(user)

    async def _try_out(self) -> None:
        try:
            await self._oracle.try_out()
            self._unusable = ""
        except Unanswered as why:
            self._unusable = str(why)
        self._tell()

    async def _ask(self, owner: str) -> Account | NotMapped:
        try:
            found = await self._oracle.account_of(owner)
        except Unanswered as why:
            self._note(owner, str(why))
            raise
        self._note(owner, "")
        return found

    def _note(self, owner: str, failure: str) -> None:
        self._failures.pop(owner, None)
        if failure:
            self._failures[owner] = _Failure(failure, asyncio.get_running_loop().time())
        else:
            self._unusable = ""
        self._tell()

    def _tell(self) -> None:
        """Show about whom there was no answer lately. One that says nothing while nobody is known serves nobody."""
        recent = asyncio.get_running_loop().time() - FAILURE_SECONDS
        self._failures = {owner: failure for owner, failure in self._failures.items() if failure.at > recent}
        problems = tuple(f"{owner}: {failure.words}" for owner, failure in sorted(self._failures.items())[:MOST_NAMED])
        serves_nobody = self._unusable or ("" if self.users else "; ".join(problems))
        silence = self._oracle.silence
        health = MappingHealth(usable=None, problems=problems, unreadable=serves_nobody, source_down=silence)
        if health != self._shown:
            self._shown = health
            self._show(health)

    def _owners_of(self, user: str) -> Collection[str]:
        return {owner for owner, his in self._residents() if his == user}

    async def _shut_out(self, user: str) -> None:
        await self._changed({user})


def _personal(defaults: Defaults, known: Account) -> Defaults:
    directory = defaults.working_directory
    if known.home and directory.startswith("~"):
        directory = f"{known.home.rstrip('/')}{directory[1:]}"
    return defaults.model_copy(update={"account": known.slurm_account or defaults.account, "working_directory": directory})
