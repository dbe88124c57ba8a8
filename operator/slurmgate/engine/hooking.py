"""The hooks of this installation: asked before a submission is sent, and told what became of it."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.plugins.api import DEADLINE_SECONDS, Hook, Proceed, Refuse, StatusChange, Submission, Wait
from slurmgate.plugins.thread import PluginFailed, PluginThread
from slurmgate.slurm.options import NotUnderstoodError, Option, from_hook

MOST_NEWS: Final = 10_000
"""Submissions of which a hook has still to hear; it hears no more of those that were told least lately."""
_PAUSE_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Hooks:
    """The hooks of one cluster, in the order in which they are asked. Each has a thread of its own."""

    def __init__(self, hooks: Sequence[PluginThread[Hook]]) -> None:
        self._hooks = hooks
        self._heralds = [_Herald(hook) for hook in hooks]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._hooks)

    async def before(self, submission: Submission, *, allow: Collection[str]) -> tuple[Option, ...] | Refused | NotNow:
        """What they have sbatch be given beyond `submission.arguments`, if all of them let it go.

        Each sees what those before it have added. `allow`: names of options that the cluster allows.
        """
        added: tuple[Option, ...] = ()
        for hook in self._hooks:
            seen = replace(submission, arguments=(*submission.arguments, *(option.word for option in added)))
            try:
                more = await _verdict(hook, seen, allow)
            except PluginFailed as failure:
                return NotNow(Reason.PLUGIN_UNAVAILABLE, f"{failure}. It is asked again before the submission is sent.")
            if not isinstance(more, tuple):
                return more
            added = (*added, *more)
        return added

    def tell(self, record: Record) -> None:
        """The record's status has changed."""
        for herald in self._heralds:
            herald.put(_change(record))

    async def run(self) -> None:
        """Tell them, until cancelled; then end them."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for herald in self._heralds:
                    tasks.create_task(herald.run())
        finally:
            for hook in self._hooks:
                hook.close()


def _change(record: Record) -> StatusChange:
    return StatusChange(
        namespace=record.namespace,
        name=record.name,
        uid=record.token,
        cluster=record.cluster,
        owner=record.owner,
        phase=record.status.phase,
        status=record.status.wire(),
    )


async def _verdict(
    hook: PluginThread[Hook], submission: Submission, allow: Collection[str]
) -> tuple[Option, ...] | Refused | NotNow:
    verdict: object = await hook.call(lambda plugin: plugin.before_submission(submission), seconds=DEADLINE_SECONDS)
    match verdict:
        case Proceed(arguments):
            if not _are_words(arguments):
                raise PluginFailed(f"hook {hook.name}: its arguments are not all words of one line")
            try:
                return from_hook(arguments, hook=hook.name, allow=allow)
            except NotUnderstoodError as problem:
                raise PluginFailed(str(problem)) from None
        case Refuse(message):
            return Refused(Reason.HOOK_REFUSED, f"hook {hook.name}: {message}")
        case Wait(message):
            return NotNow(Reason.HOOK_WAITING, f"hook {hook.name}: {message}")
        case _:
            kind = type(verdict).__name__
            raise PluginFailed(f"hook {hook.name} answered with {kind} instead of Proceed, Refuse or Wait")


def _are_words(arguments: object) -> bool:
    """Plugins are not all type-checked."""
    return isinstance(arguments, tuple | list) and all(isinstance(word, str) and word.isprintable() for word in arguments)


class _Herald:
    """Tells one hook of changes, one after the other, of each submission the latest. What the hook fails at is not repeated."""

    def __init__(self, hook: PluginThread[Hook]) -> None:
        self._hook = hook
        self._news: dict[str, StatusChange] = {}
        self._there = asyncio.Event()

    def put(self, change: StatusChange) -> None:
        """This is to be told."""
        self._news[change.uid] = change
        if len(self._news) > MOST_NEWS:
            del self._news[next(iter(self._news))]
        self._there.set()

    async def run(self) -> None:
        """Tell what there is to tell, until cancelled."""
        while True:
            await self._there.wait()
            self._there.clear()
            while self._news:
                await self._tell(self._news.pop(next(iter(self._news))))

    async def _tell(self, change: StatusChange) -> None:
        try:
            await self._hook.call(lambda hook: hook.status_changed(change), seconds=DEADLINE_SECONDS)
        except PluginFailed as failure:
            _log.warning("A hook was not told of %s/%s: %s", change.namespace, change.name, failure)
            await asyncio.sleep(_PAUSE_SECONDS)
