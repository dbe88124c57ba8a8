"""Taking over the job of a submission that is gone, as the annotation `slurmgate.dev/adopt` asks."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from slurmgate.core.outcomes import FindOutcome, Refused, Submitted, Unavailable, Uncertain
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.core.strays import Origin
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.engine.site import Site
from slurmgate.resources.base import ADOPT_ANNOTATION
from slurmgate.slurm.gateway import Workplace
from slurmgate.slurm.package import TOKEN


@dataclass(frozen=True, eq=False)
class Adoption:
    """Decides whether a job may be taken over, and writes down whose it is from then on."""

    references: References
    claimed: Callable[[str], bool]
    """Whether the job with this token is some submission's."""
    under_way: set[str] = field(default_factory=set)
    """The tokens of jobs that are being taken over now."""

    def refusal(self, token: str) -> Refused | None:
        """Why nobody may take over the job with this token, as far as that can be said without asking."""
        if not TOKEN.fullmatch(token):
            return _refused(f"{token!r} is no uid")
        if self.claimed(token):
            return _refused(f"{token} is still there; its job cannot be taken from it")
        return None

    async def take_over(self, site: Site, record: Record, token: str, job: Submitted) -> FindOutcome:
        """Make the job with this token the record's, if whoever had it has left it."""
        if self.claimed(token) or token in self.under_way:
            return _refused(f"another submission has taken over the job with {token}")
        self.under_way.add(token)
        try:
            return await self._take_over(site, record, token, job)
        except ReferenceProblem as problem:
            return Uncertain(str(problem))
        finally:
            self.under_way.discard(token)

    async def _take_over(self, site: Site, record: Record, token: str, job: Submitted) -> FindOutcome:
        mine = Origin(await self.references.installation(), record.namespace, record.name, record.token)
        origins = await site.gateway.origins(record.user, [Workplace(job.job_id, token, job.directory)])
        if isinstance(origins, Unavailable):
            return Uncertain(origins.message)
        before = origins.get(job.job_id, mine)
        if before.installation != mine.installation:
            return _refused(f"the job with {token} belongs to another Kubernetes cluster")
        there = await self.references.submission(before.namespace, before.name)
        if before != mine and there and there.uid == before.uid and not there.over:
            return _refused(f"{before.namespace}/{before.name} ({before.uid}) is still there")
        written = await site.gateway.belong(record.user, token, job.directory, mine)
        return job if written is None else Uncertain(written.message)


class Adopted:
    """The jobs that submissions have taken over, by token."""

    def __init__(self) -> None:
        self._tokens: Counter[str] = Counter()

    def __contains__(self, token: str) -> bool:
        return self._tokens[token] > 0

    def count(self, before: Record | None, after: Record | None) -> None:
        """A record came, changed or went."""
        was, now = (record.adopts if record and record.job_id else None for record in (before, after))
        if was != now:
            self._tokens.update([now] if now else [])
            self._tokens.subtract([was] if was else [])
            self._tokens = +self._tokens


def _refused(why: str) -> Refused:
    return Refused(Reason.INVALID_SPEC, f"metadata.annotations[{ADOPT_ANNOTATION}]: {why}")
