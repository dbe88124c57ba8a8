"""Who is who by an LDAP directory."""

from collections.abc import Callable
from typing import Final, TypeVar

from slurmgate.core.reasons import Reason
from slurmgate.engine.authorities import certificates
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.identity.asked import Account, Unanswered
from slurmgate.identity.ldap import Access, Directory, DirectoryDown
from slurmgate.identity.mapping import NotMapped
from slurmgate.plugins.thread import PluginFailed, PluginThread
from slurmgate.resources.identity import Ldap

T = TypeVar("T")


class DirectoryOracle:
    """A directory that is asked, in the same kind of thread as a plugin: it may hang there as it likes."""

    silence: Final = Reason.DIRECTORY_UNAVAILABLE

    def __init__(self, source: Ldap, thread: PluginThread[Directory], references: References) -> None:
        self._source = source
        self._thread = thread
        self._references = references

    async def try_out(self) -> None:
        """See whether it can be asked. Raises Unanswered."""
        await self._ask(Directory.try_out)

    async def account_of(self, owner: str) -> Account | NotMapped:
        """Who an e-mail address is. Raises Unanswered."""
        return await self._ask(lambda directory, access: directory.account_of(owner, access))

    def close(self) -> None:
        """End its thread."""
        self._thread.close()

    async def _ask(self, question: Callable[[Directory, Access], T]) -> T:
        access = await self._access()

        async def ask(directory: Directory) -> T:
            try:
                return question(directory, access)
            except DirectoryDown as down:
                raise PluginFailed(f"{self._thread.what} cannot be asked: {down}") from None

        try:
            # Two servers may hang before a third one answers.
            return await self._thread.call(ask, seconds=2.0 * self._source.timeout_seconds)
        except PluginFailed as failure:
            raise Unanswered(str(failure)) from None

    async def _access(self) -> Access:
        """What it is asked with. Read for each question, and kept by nobody: it may change at any time."""
        password = self._source.bind.password_secret_ref
        try:
            content = await self._references.of_operator("Secret", password.name, password.key)
            authorities = await certificates(self._references, self._source.certificate_authority)
        except ReferenceProblem as problem:
            raise Unanswered(f"{self._thread.what} cannot be asked: {problem}") from None
        return Access(content.decode(errors="replace").rstrip("\r\n"), authorities)
