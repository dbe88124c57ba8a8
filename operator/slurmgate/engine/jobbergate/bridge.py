"""Jobbergate as one cluster's worker knows it.

Keeps the two in step, both ways, for as long as the SlurmCluster says so: the connection is opened anew after any trouble, with
secret and certificates as they are then.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial

from slurmgate.core.backoff import delay
from slurmgate.core.health import JobbergateHealth
from slurmgate.core.hearing import in_step, untold
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.engine.jobbergate.credentials import Credentials
from slurmgate.engine.jobbergate.importer import Importer
from slurmgate.engine.jobbergate.kept import Kept
from slurmgate.engine.jobbergate.link import Link
from slurmgate.engine.jobbergate.manifests import Manifest, NotSubmittableError
from slurmgate.engine.jobbergate.objects import Objects
from slurmgate.engine.jobbergate.recognising import Recognised, compare, forged, unanswered
from slurmgate.engine.jobbergate.registering import Registrar
from slurmgate.engine.jobbergate.reporter import Amend, Reporter
from slurmgate.engine.jobbergate.roster import Roster
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.engine.site import Site
from slurmgate.http.client import Http
from slurmgate.http.errors import HttpError
from slurmgate.jobbergate.client import JobbergateApi
from slurmgate.jobbergate.errors import NotFoundError
from slurmgate.jobbergate.token import Tokens
from slurmgate.kube.errors import ApiError
from slurmgate.resources.jobbergate import Jobbergate, JobbergateFile
from slurmgate.resources.submission import JobSubmissionSpec

_log = logging.getLogger(__name__)


class Bridge:
    """`run` keeps the cluster's submissions in step; what the worker says and asks is answered at once."""

    def __init__(
        self,
        records: Callable[[], Iterable[Record]],
        record_of: Callable[[str], Record | None],
        amend: Amend,
        *,
        objects: Objects,
        references: References,
        clock: Callable[[], datetime],
    ) -> None:
        self._site: Site | None = None
        self._configured = asyncio.Event()
        self._records = records
        self._amend = amend
        self._objects = objects
        self._references = references
        self._clock = clock
        self._roster = Roster(record_of)
        self._made = Kept()
        self._reporter = Reporter(self._roster.recognised, amend, self._missing, clock=clock)
        self._link: Link | None = None

    @property
    def site(self) -> Site | None:
        """The cluster as it is configured now."""
        return self._site

    @site.setter
    def site(self, site: Site | None) -> None:
        if site is not self._site:
            self._site = site
            self._configured.set()

    # What the worker says and asks -----------------------------------------------------------------------------------

    @property
    def hears(self) -> bool:
        """Whether there is a Jobbergate that wants to hear of submissions."""
        return self._settings is not None

    def changed(self, record: Record) -> None:
        """A submission came, or stands in another way now."""
        if record.job_id or record.over:
            self._made.drop(record.token)
        if record.status.jobbergate:
            self._roster.recognise(record.status.jobbergate.id, record.token)
            self._reporter.consider(record.status.jobbergate.id)
        elif record.over:
            self._drop(record)  # it is not what it says, and must not stand for what it is not

    def gone(self, record: Record) -> None:
        """The worker does not hold it any more."""
        self._made.drop(record.token)
        self._drop(record)

    def _drop(self, record: Record) -> None:
        number = record.status.jobbergate.id if record.status.jobbergate else record.submission_id
        if number is not None and self._roster.strike(number, record.token):
            self._reporter.forget(number)

    async def recognise(self, record: Record, spec: JobSubmissionSpec) -> Recognised | Refused | NotNow:
        """Whether it is the submission of Jobbergate that it says it is."""
        link, number = self._link, record.submission_id or 0
        if other := self._roster.other(number, record):
            return forged(f"the JobSubmission of {number} is {other.namespace}/{other.name}, and there is only one")
        if link is None:
            return unanswered("the SlurmCluster has no spec.jobbergate" if not self.hears else "it has not been reached yet")
        try:
            made = self._made.get(record.token) or await link.manifest(number, followed=record.follows is not None)
        except NotFoundError as error:
            return forged(error.message)
        except NotSubmittableError as problem:
            return forged(str(problem))
        except HttpError as error:
            return unanswered(error.message)
        manifest, since = made
        self._made.keep(record.token, manifest, since)
        return compare(record, spec, manifest, partial(_file, link.importer, since))

    @property
    def _settings(self) -> Jobbergate | None:
        return self.site.spec.jobbergate if self.site else None

    # Keeping in step -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep in step for as long as there is a Jobbergate, however often it goes away."""
        tries = 0
        while (site := self.site) and (settings := site.spec.jobbergate):
            self._configured.clear()
            try:
                async with self._opened(site, settings) as link:
                    try:
                        await link.introduce()
                        await link.serve(self._unchanged)
                    finally:
                        tries = 0 if link.served else tries
            except (HttpError, ApiError, ReferenceProblem) as error:
                _log.warning("Jobbergate: %s", error, extra={"cluster": site.name})
                site.note_jobbergate(JobbergateHealth(trouble=str(error)))
            except Exception:  # noqa: BLE001 - a mistake of ours here must not end everything else
                _log.exception("The sync with Jobbergate failed in a way nobody foresaw", extra={"cluster": site.name})
            else:
                continue
            tries += 1
            if not await self._unchanged(delay(tries, seed=site.name).total_seconds()):
                tries = 0

    @asynccontextmanager
    async def _opened(self, site: Site, settings: Jobbergate) -> AsyncIterator[Link]:
        credentials = Credentials(self._references, settings)
        async with Http(authority=await credentials.authority()) as http:
            tokens = Tokens(http, issuer=settings.oidc_url, client_id=settings.client_id, secret=credentials.secret)
            api = JobbergateApi(settings.url, tokens, http)
            importer = Importer(site, settings, api, self._objects, known=self._roster.__contains__, made=self._remember)
            self._link = Link(
                site=site,
                settings=settings,
                credentials=credentials,
                api=api,
                roster=self._roster,
                importer=importer,
                objects=self._objects,
                reporter=self._reporter,
                registrar=Registrar(api, self._objects, settings.client_id, self._records, self._amend, self._clock),
                vanished=self._vanished,
            )
            for record in self._records():
                self.changed(record)
            try:
                yield self._link
            finally:
                self._link = None

    async def _unchanged(self, seconds: float) -> bool:
        """Wait so long, or until the cluster is configured in another way; whether it is still the same."""
        try:
            async with asyncio.timeout(seconds):
                await self._configured.wait()
        except TimeoutError:
            return True
        return False

    def _remember(self, uid: str, manifest: Manifest, since: float) -> None:
        self._made.keep(uid, manifest, since)
        self._roster.enter(manifest.origin.id, uid)
        if manifest.script is not None:
            self._reporter.expect(manifest.origin.id)

    def _missing(self, number: int) -> None:
        """Jobbergate did not have it when it was to be told something. Whether it was deleted, the next survey says."""
        record = self._roster.recognised(number)
        if record is None:
            return
        if record.submission_id is None:
            self._vanished(number)
            return
        words = "Jobbergate does not have it. If it was deleted there, its job is cancelled soon."
        self._amend(record.token, partial(untold, reason=Reason.JOBBERGATE_DISAGREES, message=words, now=self._clock()))

    def _vanished(self, number: int) -> None:
        """It was deleted in Jobbergate."""
        record = self._roster.recognised(number)
        if record is None:
            return
        gone = partial(self._amend, record.token, partial(in_step, now=self._clock(), over=True))
        if record.submission_id is None:
            gone()
        elif self._link:
            self._link.remove(record, gone)


async def _file(importer: Importer, since: float, file: JobbergateFile) -> bytes | Refused | NotNow:
    try:
        return await importer.downloads.file(file.job_script_id, file.filename, since=since)
    except NotFoundError as error:
        return Refused(Reason.REFERENCE_NOT_FOUND, f"{file.filename!r} of job script {file.job_script_id}: {error.message}")
    except HttpError as error:
        return NotNow(Reason.JOBBERGATE_UNAVAILABLE, f"{file.filename!r} of job script {file.job_script_id}: {error.message}")
