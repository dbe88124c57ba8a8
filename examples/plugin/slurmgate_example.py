"""One plugin of each kind. docs/how-to/write-a-plugin.md explains them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from typing_extensions import override

from slurmgate.plugins.api import Account, Hook, Proceed, Refuse, StatusChange, Submission, Wait

_log = logging.getLogger(__name__)

ENDINGS: Counter[str] = Counter()
"""How submissions have ended since the operator leads, by phase."""


class LocalPart:
    """Whoever has an address at `domain` is the Slurm user before the @, whose key is in the Secret `<user>-ssh-key`."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._domain = parameters["domain"]

    async def account_of(self, owner: str) -> Account | None:
        """Nobody else has one."""
        user, _, domain = owner.partition("@")
        return Account(user, secret=f"{user}-ssh-key") if domain == self._domain else None


class HouseRules(Hook):
    """No coins are mined here, `#maintenance` jobs run at night, and all jobs are nice."""

    @override
    async def before_submission(self, submission: Submission) -> Proceed | Refuse | Wait:
        """May it be sent?"""
        if b"xmrig" in submission.script:
            return Refuse("no coins are mined on this cluster")
        if b"#maintenance" in submission.script and datetime.now(UTC).hour not in range(2, 4):
            return Wait("maintenance jobs run from 2 to 4 o'clock UTC")
        return Proceed(("--nice=100",))

    @override
    async def status_changed(self, change: StatusChange) -> None:
        """Count those that have ended."""
        if change.phase in {"Done", "Aborted", "Rejected", "Cancelled"}:
            ENDINGS[change.phase] += 1
        _log.info("%s/%s of %s is %s", change.namespace, change.name, change.owner, change.phase)


async def count_endings() -> None:
    """Log once a minute how submissions have ended."""
    while True:
        _log.info("Ended: %s", dict(ENDINGS))
        await asyncio.sleep(60)
