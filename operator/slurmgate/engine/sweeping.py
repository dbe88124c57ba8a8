"""Searches a cluster for our jobs whose submission is gone: its finalizer was taken off, or its job could not be cancelled."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from slurmgate.core.askers import Question
from slurmgate.core.outcomes import Seen, Unavailable
from slurmgate.core.strays import Stray, described, suspects
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.engine.site import Site
from slurmgate.resources.cluster import StrayJobs
from slurmgate.telemetry.metrics import Metrics

MOST_QUESTIONS = 20
"""Looks at the queue in one search: where jobs are hidden, so many users' jobs. The next users have their turn later."""
_IDLE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Sweeper:
    """Looks for them now and then. What it finds is shown in the SlurmCluster, and cancelled if that says so."""

    def __init__(self, references: References, *, claimed: Callable[[str], bool], metrics: Metrics) -> None:
        self.site: Site | None = None
        self._references = references
        self._claimed = claimed
        self._metrics = metrics
        self._strays: dict[str, tuple[Stray, ...]] = {}
        self._turn = 0

    async def run(self) -> None:
        """Search again and again until cancelled."""
        while True:
            await asyncio.sleep(self.site.spec.limits.sweep_interval_seconds if self.site else _IDLE_SECONDS)
            if (site := self.site) is not None:
                try:
                    await self._sweep(site)
                except ReferenceProblem as problem:
                    _log.warning("Stray jobs cannot be searched for: %s", problem, extra={"cluster": site.name})
                except Exception:  # noqa: BLE001 - a mistake of ours here must not end everything else
                    _log.exception("The search for stray jobs failed in a way nobody foresaw", extra={"cluster": site.name})

    async def _sweep(self, site: Site) -> None:
        for question in self._next(site):
            if seen := await self._look(site, question):
                for user in question.users:
                    await self._sweep_up_after(site, user, seen)
        self._strays = {user: strays for user, strays in self._strays.items() if strays and user in site.users}
        found = [stray for strays in self._strays.values() for stray in strays]
        self._metrics.stray_jobs.labels(site.name).set(len(found))
        site.note_strays(described(found) if found else "")

    def _next(self, site: Site) -> list[Question]:
        """Whose turn it is."""
        questions = site.questions(site.users)
        first = self._turn if self._turn < len(questions) else 0
        self._turn = first + MOST_QUESTIONS
        return questions[first : self._turn]

    async def _sweep_up_after(self, site: Site, user: str, seen: Seen) -> None:
        found = await self._strays_of(site, user, seen)
        if found is None:
            return  # what was known of him stands
        if found and site.spec.stray_jobs is StrayJobs.CANCEL:
            found = await self._cancelled(site, user, found)
        self._strays[user] = found

    async def _look(self, site: Site, question: Question) -> Seen | None:
        for asker in question.askers:
            answer = await site.gateway.observe(asker, question.users)
            if isinstance(answer, Seen):
                return answer
        return None

    async def _strays_of(self, site: Site, user: str, seen: Seen) -> tuple[Stray, ...] | None:
        """The user's jobs of this installation whose submission, as it is written down beside them, is not in the API.

        None if that cannot be found out now.
        """
        tokens = {task.job_id: task.token or "" for task in suspects(seen, self._claimed) if task.user == user}
        origins = await site.gateway.origins(user, tokens) if tokens else {}
        if isinstance(origins, Unavailable):
            return None
        strays = [Stray(job_id, user, tokens[job_id], origin) for job_id, origin in origins.items()]
        return tuple([stray for stray in strays if await self._is_stray(stray)])

    async def _is_stray(self, stray: Stray) -> bool:
        origin = stray.origin
        if origin.installation != await self._references.installation() or self._claimed(stray.token):
            return False
        return await self._references.submission_uid(origin.namespace, origin.name) != origin.uid

    async def _cancelled(self, site: Site, user: str, strays: tuple[Stray, ...]) -> tuple[Stray, ...]:
        """The same, each with what came of cancelling it. One that was adopted meanwhile is none any more."""
        strays = tuple(stray for stray in strays if not self._claimed(stray.token))
        failures = await site.gateway.cancel(user, [stray.job_id for stray in strays]) if strays else {}
        fates = {job_id: f"It could not be cancelled: {failure.message}" for job_id, failure in failures.items()}
        done = tuple(replace(stray, fate=fates.get(stray.job_id, "Slurm was asked to cancel it.")) for stray in strays)
        for stray in done:
            _log.warning("Stray job %s of %s: %s", stray.job_id, user, stray.fate, extra={"cluster": site.name})
        return done
