"""Makes the JobSubmissions of what waits in Jobbergate, and of jobs that people have submitted on the cluster themselves."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from slurmgate.core.lifecycle import MAPPING_GRACE
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.reporting import Status, due
from slurmgate.engine.jobbergate.manifests import (
    Manifest,
    NotSubmittableError,
    entrypoint,
    followed_here,
    made_of,
    namespace_of,
    submitted_here,
)
from slurmgate.engine.jobbergate.objects import InTheWay, Invalid, Made, Objects, Standing
from slurmgate.engine.jobbergate.reporter import on_record, tell
from slurmgate.engine.site import Site
from slurmgate.http.errors import HttpError
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.errors import MovedOnError, NotFoundError
from slurmgate.jobbergate.files import Downloads
from slurmgate.jobbergate.wire import Pending, Row
from slurmgate.kube import errors as kube
from slurmgate.resources.jobbergate import Jobbergate

AT_ONCE = 8

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Importer:
    """Makes each once. What cannot be made now is tried again with the next look at Jobbergate."""

    site: Site
    settings: Jobbergate
    api: JobbergateApi
    objects: Objects
    known: Callable[[int], bool]
    """Whether there is a JobSubmission of this submission already, as far as we have heard."""
    made: Callable[[str, Manifest, float], None]
    """Takes the uid of what was made, and since when it was known, by `time.monotonic`."""
    troubles: dict[int, str] = field(default_factory=dict)
    """Why submissions wait in Jobbergate that should be here, in words."""

    def __post_init__(self) -> None:
        self.downloads = Downloads(self.api)
        self.under_way: dict[int, asyncio.Task[None]] = {}
        """By their numbers in Jobbergate."""
        self._places = asyncio.Semaphore(AT_ONCE)
        self._unmapped: dict[int, float] = {}
        """When owners were first missing in the mapping, by `time.monotonic`."""

    async def import_pending(self) -> None:
        """Begin to make all that waits, however much, in whatever order it is listed.

        While more of what was listed before waits for a place than there are places, nothing is listed: it would wait, too.

        Raises:
            HttpError: the list cannot be read to its end. What was read is made all the same.
        """
        if len(self.under_way) > AT_ONCE:
            return
        seen: set[int] = set()
        number, last = 1, False
        while not last:
            page = await self.api.pending(number)
            since = time.monotonic()
            for bad in page.malformed:
                _log.warning("Jobbergate's submission %s cannot be read: %s", bad.id, bad.problem)
                if bad.id is not None and bad.id not in seen:
                    problem = f"Slurmgate cannot read this submission: {bad.problem}"
                    self._begin(bad.id, partial(self._reject, bad.id, problem))
            for item in page.items:
                if item.id not in seen and not self.known(item.id):
                    self._begin(item.id, partial(self._submit, item, since))
            seen |= {item.id for item in page.items} | {bad.id for bad in page.malformed if bad.id is not None}
            last, number = page.last, number + 1
        self.troubles = {number: words for number, words in self.troubles.items() if number in seen}
        self._unmapped = {number: first for number, first in self._unmapped.items() if number in seen}

    def follow(self, row: Row) -> None:
        """Begin to make the JobSubmission of a job that its owner has submitted himself."""
        self._begin(row.id, partial(self._follow, row))

    def reject_scriptless(self, row: Row) -> None:
        """Say that nothing comes of one without a job script: for as long as it waits, the API can list none that do."""
        self._begin(row.id, partial(self._reject, row.id, "Its job script was deleted before it was submitted."))

    async def stop(self) -> None:
        """Leave all that is under way as it is."""
        tasks = list(self.under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, number: int, make: Callable[[], Awaitable[None]]) -> None:
        """See to this one, unless that is under way. Nobody waits for it, least of all those that are to be cancelled."""
        if number not in self.under_way:
            task = asyncio.create_task(self._one(number, make), name=f"{self.site.name}-jobbergate-{number}")
            self.under_way[number] = task
            task.add_done_callback(lambda _: self.under_way.pop(number, None))

    async def _one(self, number: int, make: Callable[[], Awaitable[None]]) -> None:
        """One that cannot be made stands in no other's way."""
        try:
            async with self._places:
                await make()
        except (kube.ForbiddenError, kube.NotFoundError) as error:
            self._wait(number, f"{error}; an admin makes the namespace and lists it in the chart's value jobbergate.namespaces")
        except (HttpError, kube.ApiError) as error:
            self._wait(number, str(error))
        except Exception:  # noqa: BLE001 - a mistake of ours about one submission must not keep all others out
            _log.exception("Jobbergate's submission %s could not be made, in a way nobody foresaw", number)
            self._wait(number, "a mistake of Slurmgate's, see its log")

    async def _submit(self, pending: Pending, since: float) -> None:
        namespace = await self._namespace(pending.id, pending.owner_email)
        if namespace is None:
            return
        try:
            script = await self.script(pending, since)
            manifest = submitted_here(pending, script, **self._place(namespace))
        except NotSubmittableError as problem:
            await self._reject(pending.id, str(problem))
            return
        await self._make(manifest, since)

    async def _follow(self, row: Row) -> None:
        namespace = await self._namespace(row.id, row.owner_email)
        if namespace is not None:
            await self._make(followed_here(row, **self._place(namespace)), time.monotonic())

    def _place(self, namespace: str) -> dict[str, str]:
        return {"cluster": self.site.name, "client_id": self.settings.client_id, "namespace": namespace}

    async def script(self, pending: Pending, since: float) -> bytes:
        """The batch script of a submission that was known at `since`.

        Raises:
            NotSubmittableError: there is none.
            HttpError: it cannot be had now.
        """
        name = entrypoint(pending.job_script)
        try:
            return await self.downloads.file(pending.job_script.id, name, since=since)
        except NotFoundError:
            raise NotSubmittableError(
                f"The file {name!r} of job script {pending.job_script.id} is not there any more."
            ) from None

    async def namespace(self, owner: str) -> str | Refused | NotNow:
        """Where this owner's submissions belong."""
        if "{user}" not in self.settings.namespace:
            return self.settings.namespace
        user = await self.site.user_of(owner)
        return namespace_of(self.settings.namespace, user) if isinstance(user, str) else user

    async def _namespace(self, number: int, owner: str) -> str | None:
        """The same; None if there is none, and that has been said."""
        match await self.namespace(owner):
            case Refused(Reason.USER_NOT_MAPPED, message) if self._is_new(number):
                self._wait(number, message)
                return None
            case Refused(_, message):
                await self._reject(number, message)
                return None
            case NotNow(_, message):
                self._wait(number, message)
                return None
            case namespace:
                return namespace

    def _is_new(self, number: int) -> bool:
        """Whether the mapping may only not have been read again yet: both may have come at once."""
        now = time.monotonic()
        return now - self._unmapped.setdefault(number, now) < MAPPING_GRACE.total_seconds()

    async def _make(self, manifest: Manifest, since: float) -> None:
        number, title = manifest.origin.id, f"{manifest.namespace}/{manifest.name}"
        match await self.objects.make(manifest):
            case Made(uid):
                _log.info("Jobbergate's submission %s is %s", number, title, extra={"cluster": self.site.name})
                self.made(uid, manifest, since)
                self.troubles.pop(number, None)
            case Invalid(message):
                await self._reject(number, f"Kubernetes takes no such JobSubmission: {message}")
            case InTheWay():
                await self._again(manifest, since)

    async def _again(self, manifest: Manifest, since: float) -> None:
        """It was made before: by us, and its script perhaps not; or by somebody else, and in another way."""
        number, title = manifest.origin.id, f"{manifest.namespace}/{manifest.name}"
        there = await self.objects.look(manifest.namespace, manifest.name)
        if there is None or self.known(number):
            return
        recognised = there.status.jobbergate is not None and there.status.jobbergate.id == number
        if not recognised and not made_of(manifest, there.spec):
            self._wait(number, f"JobSubmission {title}, which was not made of it, is in its way; delete that")
        elif not there.over:
            await self.objects.give_script(manifest, there.uid)
            self.made(there.uid, manifest, since)
        else:
            await self.end(number, there)

    async def end(self, number: int, there: Standing) -> None:
        """Tell how its JobSubmission ended. Nobody waits for that here any more, and somebody does there."""
        if report := due(on_record(await self.api.row(number)), there.status):
            await tell(self.api, number, report)

    async def _reject(self, number: int, message: str) -> None:
        _log.info("Jobbergate's submission %s is rejected: %s", number, message, extra={"cluster": self.site.name})
        try:
            await self.api.rejected(number, message)
        except (MovedOnError, NotFoundError):
            return  # somebody was quicker
        self.troubles.pop(number, None)

    def _wait(self, number: int, why: str) -> None:
        if self.troubles.get(number) != why:
            _log.warning("Jobbergate's submission %s waits: %s", number, why, extra={"cluster": self.site.name})
        self.troubles[number] = why


def is_followed(row: Row) -> bool:
    """Whether it was submitted by somebody else than us, if we do not have it."""
    return row.status in {Status.SUBMITTED, Status.CANCELLED} and row.slurm_job_id is not None
