"""Who is who by the user mapping, whose files are followed."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import aclosing

from slurmgate.core.health import MappingHealth
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.engine.people.people import Changed, Follow, Show, slurm_user
from slurmgate.identity.source import MappingFiles, ReadSecret
from slurmgate.kube.content import Kind
from slurmgate.kube.watch import Unreadable, text_of
from slurmgate.resources.cluster import Defaults
from slurmgate.resources.identity import MappingFile, MappingSource
from slurmgate.ssh.credentials import PrivateKey


class MappedPeople:
    """By the user mapping, whose files are followed."""

    def __init__(
        self,
        cluster: str,
        source: MappingSource,
        *,
        certified: bool,
        follow: Follow,
        read_secret: ReadSecret,
        show: Show,
        changed: Changed,
    ) -> None:
        """`certified`: people log in with certificates, and need no key."""
        self._cluster = cluster
        self._certified = certified
        self._source = source
        self._follow = follow
        self._show = show
        self._changed = changed
        self._files = MappingFiles(map(_called, source.files), read_secret)

    @property
    def users(self) -> Sequence[str]:
        """Everybody who is mapped."""
        return [entry.mapped_user for entry in self._files.mapping.entries]

    async def run(self) -> None:
        """Follow the files until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for file in self._source.files:
                tasks.create_task(self._follow_file(file), name=f"{self._cluster}-{_called(file)}")

    async def user_of(self, owner: str) -> str | Refused | NotNow:
        """The Slurm user that the files say."""
        if why := self._files.unsaid(owner):
            return NotNow(Reason.MAPPING_NOT_LOADED, f"The user mapping of SlurmCluster {self._cluster} is not there: {why}.")
        return slurm_user(self._files.resolve(owner))

    def defaults_of(self, owner: str, defaults: Defaults) -> Defaults:
        """With what the owner's entry says of account and working directory."""
        entry = self._files.entry(owner)
        said = {"account": entry.slurm_account, "working_directory": entry.work_directory} if entry else {}
        return defaults.model_copy(update={field: value for field, value in said.items() if value})

    async def private_key(self, user: str) -> PrivateKey:
        """The private key of a mapped user; raises KeyUnavailable."""
        return await self._files.private_key(user)

    async def confirm(self, user: str) -> None:
        """Somebody is mapped to this user; raises KeyUnavailable if nobody is (any more)."""
        self._files.confirm(user)

    async def _follow_file(self, file: MappingFile) -> None:
        kind, name = (Kind.CONFIG_MAP, file.config_map) if file.config_map else (Kind.SECRET, file.secret)
        inline_keys = kind is Kind.SECRET or self._source.allow_inline_keys_in_config_map
        async with aclosing(self._follow(kind, name or "")) as versions:
            async for version in versions:
                text = text_of(version, kind, name or "", file.key)
                gone: Collection[str] = ()
                if isinstance(text, Unreadable):
                    self._files.lack(_called(file), text.message)
                else:
                    gone = self._files.load(_called(file), text, inline_keys=inline_keys, certified=self._certified)
                if not self._files.awaited:
                    self._show(_health(self._files))
                    await self._changed(gone)


def _called(file: MappingFile) -> str:
    object_name = f"{Kind.CONFIG_MAP} {file.config_map}" if file.config_map else f"{Kind.SECRET} {file.secret}"
    return object_name if file.key == MappingFile.model_fields["key"].default else f"{object_name}, key {file.key}"


def _health(files: MappingFiles) -> MappingHealth:
    if files.lost:
        return MappingHealth(unreadable="; ".join(files.missing))
    problems = (*files.missing, *map(str, files.mapping.problems))
    return MappingHealth(len(files.mapping.entries), problems)
