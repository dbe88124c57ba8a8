"""Who is who by a plugin."""

from typing import Final

from slurmgate.core.reasons import Reason
from slurmgate.identity.asked import Account, Unanswered, account
from slurmgate.identity.mapping import NotMapped
from slurmgate.plugins import api
from slurmgate.plugins.thread import PluginFailed, PluginThread


class PluginOracle:
    """A plugin that is asked. It is made in its own thread, by the first call."""

    silence: Final = Reason.PLUGIN_UNAVAILABLE

    def __init__(self, plugin: PluginThread[api.Identities], *, certified: bool) -> None:
        """`certified`: people log in with certificates, and need no key."""
        self._plugin = plugin
        self._certified = certified

    async def try_out(self) -> None:
        """Have it made. Raises Unanswered."""
        try:
            await self._plugin.call(_made, seconds=api.DEADLINE_SECONDS)
        except PluginFailed as failure:
            raise Unanswered(str(failure)) from None

    async def account_of(self, owner: str) -> Account | NotMapped:
        """What it says of an e-mail address. Raises Unanswered."""
        try:
            answer = await self._plugin.call(lambda plugin: plugin.account_of(owner), seconds=api.DEADLINE_SECONDS)
        except PluginFailed as failure:
            raise Unanswered(str(failure)) from None
        return self._read(owner, answer)

    def close(self) -> None:
        """End its thread."""
        self._plugin.close()

    def _read(self, owner: str, answer: object) -> Account | NotMapped:
        match answer:
            case None:
                return NotMapped(f"{owner} is nobody on the cluster (plugin {self._plugin.name})")
            case api.Account(user, secret, key):
                found = account(user=user, key=None if self._certified else {"name": secret, "key": key})
                if isinstance(found, str):
                    return NotMapped(f"what plugin {self._plugin.name} says of {owner} cannot be used: {found}")
                return found
            case _:
                raise Unanswered(f"plugin {self._plugin.name} answered with {type(answer).__name__} instead of Account or None")


async def _made(_: object) -> None:
    """Nothing more is asked."""
