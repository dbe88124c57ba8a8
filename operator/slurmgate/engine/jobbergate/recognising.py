"""Is a submission that says so really the one that Jobbergate has? What it asks for is compared, not who made it.

Whoever may make JobSubmissions could write the number of somebody else's submission into one. So each is compared with what we
would make of the row ourselves, script and all, and what was compared is what travels
(docs/decisions/0011-a-jobbergate-submission-is-what-jobbergate-says.md).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.engine.jobbergate.manifests import Manifest, made_of
from slurmgate.resources.jobbergate import JobbergateFile, JobbergateStatus
from slurmgate.resources.submission import JobSubmissionSpec

Download = Callable[[JobbergateFile], Awaitable[bytes | Refused | NotNow]]
"""Reads a file of a job script."""

_WHERE = "spec.jobbergate.submissionId"


@dataclass(frozen=True, slots=True)
class Recognised:
    """It is what Jobbergate says."""

    origin: JobbergateStatus
    script: bytes | None = field(repr=False)
    """The script that was compared; None if there is nothing to be submitted."""
    download: Download
    """Its supporting files, as they were when it was read, or later."""


def compare(record: Record, spec: JobSubmissionSpec, manifest: Manifest, download: Download) -> Recognised | Refused:
    """Whether the submission is the one that was made, or would be made, of the row."""
    if (record.namespace, record.name) != (manifest.namespace, manifest.name):
        return forged(
            f"the JobSubmission of {manifest.origin.id} is {manifest.namespace}/{manifest.name}, and there is only one"
        )
    if not made_of(manifest, spec):
        return forged(f"Jobbergate's submission {manifest.origin.id} asks for something else")
    return Recognised(manifest.origin, manifest.script, download)


def forged(why: str) -> Refused:
    """It is not what it says."""
    return Refused(Reason.NOT_FROM_JOBBERGATE, f"{_WHERE}: {why}")


def unanswered(message: str) -> NotNow:
    """Jobbergate did not answer what it is."""
    return NotNow(Reason.JOBBERGATE_UNAVAILABLE, f"{_WHERE}: {message}")
