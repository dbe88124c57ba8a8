"""Searches a cluster for our jobs that no submission waits for.

The submission is gone: its finalizer was taken off, or its job could not be cancelled. Or it has ended, and Slurm has taken its
job up again: a slurmctld that is killed forgets the last seconds, and with them that jobs have ended or were cancelled.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from slurmgate.core.askers import Question
from slurmgate.core.health import LOGIN_REASONS
from slurmgate.core.outcomes import Seen, Task, Unavailable
from slurmgate.core.strays import Stray, described, suspects
from slurmgate.engine.asking import look
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.engine.site import Site
from slurmgate.resources.cluster import StrayJobs
from slurmgate.telemetry.metrics import Metrics

MOST_QUESTIONS = 5
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
            if (site := self.site) is not None and not site.controller_down:
                try:
                    await self._sweep(site)
                except ReferenceProblem as problem:
                    _log.warning("Stray jobs cannot be searched for: %s", problem, extra={"cluster": site.name})
                except Exception:  # noqa: BLE001 - a mistake of ours here must not end everything else
                    _log.exception("The search for stray jobs failed in a way nobody foresaw", extra={"cluster": site.name})

    async def _sweep(self, site: Site) -> None:
        for question in self._next(site):
            self._turn += 1  # also past one who cannot log in: nobody waits for him
            _, answer = await look(site, question)
            if isinstance(answer, Seen):
                await self._sweep_up(site, question.users, suspects(answer, self._claimed))
            elif answer.reason in LOGIN_REASONS:
                break  # sshd counts refusals by address, and others need it
        self._strays = {user: strays for user, strays in self._strays.items() if strays and user in site.users}
        found = [stray for strays in self._strays.values() for stray in strays]
        self._metrics.stray_jobs.labels(site.name).set(len(found))
        site.note_strays(described(found) if found else "")

    def _next(self, site: Site) -> list[Question]:
        """Whose turn it is."""
        questions = site.questions(site.users)
        if self._turn >= len(questions):
            self._turn = 0
        return questions[self._turn : self._turn + MOST_QUESTIONS]

    async def _sweep_up(self, site: Site, users: Collection[str], suspicious: Iterable[Task]) -> None:
        tokens: dict[str, dict[str, str | None]] = {user: {} for user in users}
        for task in suspicious:
            tokens.get(task.user or "", {})[task.job_id] = task.token
        for user, mine in tokens.items():
            found = await self._strays_of(site, user, mine) if mine else ()
            if found and site.spec.stray_jobs is StrayJobs.CANCEL:
                found = await self._cancelled(site, user, found)
            if found is not None:  # or what was known of him stands
                self._strays[user] = found

    async def _strays_of(self, site: Site, user: str, tokens: Mapping[str, str | None]) -> tuple[Stray, ...] | None:
        """The user's jobs of this installation whose submission, as it is written down beside them, does not wait for them.

        `tokens` by job id are hearsay: squeue was asked by somebody else. None if it cannot be found out now.
        """
        places = await site.gateway.workplaces(user, list(tokens))
        if isinstance(places, Unavailable):
            return None
        places = [place for place in places if place.token == tokens[place.job_id] and not place.over]
        origins = await site.gateway.origins(user, places)
        if isinstance(origins, Unavailable):
            return None
        found = [Stray(place.job_id, user, place.token, origins[place.job_id]) for place in places if place.job_id in origins]
        strays = [await self._confirmed(stray) for stray in found]
        return tuple(stray for stray in strays if stray)

    async def _confirmed(self, stray: Stray) -> Stray | None:
        """With what became of its submission; None if that waits for the job."""
        origin = stray.origin
        if origin.installation != await self._references.installation() or self._claimed(stray.token):
            return None
        there = await self._references.submission(origin.namespace, origin.name)
        if there is None or there.uid != origin.uid:
            return stray
        return replace(stray, ended=True) if there.over else None

    async def _cancelled(self, site: Site, user: str, strays: tuple[Stray, ...]) -> tuple[Stray, ...]:
        """The same, each with what came of cancelling it. One that was adopted meanwhile is none any more."""
        strays = tuple(stray for stray in strays if not self._claimed(stray.token))
        failures = await site.gateway.cancel(user, [stray.job_id for stray in strays]) if strays else {}
        fates = {job_id: f"It could not be cancelled: {failure.message}" for job_id, failure in failures.items()}
        done = tuple(replace(stray, fate=fates.get(stray.job_id, "Slurm was asked to cancel it.")) for stray in strays)
        for stray in done:
            _log.warning("Stray job %s of %s: %s", stray.job_id, user, stray.fate, extra={"cluster": site.name})
        return done
