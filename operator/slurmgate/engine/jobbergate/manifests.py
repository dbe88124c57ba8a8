"""The JobSubmission that a submission in Jobbergate becomes. Pure, and always the same for the same submission."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

from pydantic import ValidationError

from slurmgate.jobbergate.wire import JobScript, Pending, Row
from slurmgate.kube.addresses import API_VERSION
from slurmgate.resources.base import (
    FINALIZER,
    JOBBERGATE_CLUSTER_LABEL,
    JOBBERGATE_SCRIPT_LABEL,
    JOBBERGATE_SUBMISSION_LABEL,
    JOBBERGATE_TEMPLATE_LABEL,
)
from slurmgate.resources.jobbergate import JobbergateStatus
from slurmgate.resources.submission import MAX_SCRIPT_BYTES, MUTABLE, JobSubmission, JobSubmissionSpec
from slurmgate.slurm.directives import words
from slurmgate.slurm.options import NotUnderstoodError

NAME_PREFIX: Final = "jg-"
LONGEST_INLINE: Final = 128 * 1024
"""Bytes of a script that stand in the resource itself; longer ones get a ConfigMap, and every list of resources stays small."""
SCRIPT_KEY: Final = "script"
ENTRYPOINT: Final = "ENTRYPOINT"
_LONGEST_NAME = 63
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Json = dict[str, Any]


class NotSubmittableError(Exception):
    """Nothing can be submitted of it as it is; the text is for its owner."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A JobSubmission that is to be made, and its script if that does not stand in it."""

    namespace: str
    name: str
    body: Json = field(repr=False)
    origin: JobbergateStatus
    script: bytes | None = field(default=None, repr=False)
    """The script of one that is to be submitted."""

    @property
    def config_map(self) -> Json | None:
        """The ConfigMap with the script, without its owner; None if the script stands in the resource."""
        if "configMapKeyRef" not in self.body["spec"]["script"]:
            return None
        content = base64.b64encode(self.script or b"").decode()
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": self.namespace, "name": self.name, "labels": self.body["metadata"]["labels"]},
            "immutable": True,
            "binaryData": {SCRIPT_KEY: content},
        }


def name_of(client_id: str, submission_id: int) -> str:
    """The name of the JobSubmission: the same whoever makes it, so that there is never a second one."""
    plain = re.sub(r"[^a-z0-9-]", "-", client_id.lower())
    room = _LONGEST_NAME - len(NAME_PREFIX) - len(str(submission_id)) - 1
    if plain != client_id or len(plain) > room:  # another client could have the same name
        digest = blake2b(client_id.encode(), digest_size=5).hexdigest()
        plain = f"{plain[: room - len(digest) - 1]}-{digest}"
    return f"{NAME_PREFIX}{plain}-{submission_id}"


def namespace_of(template: str, user: str) -> str:
    """The namespace of this Slurm user's submissions."""
    return template.replace("{user}", re.sub(r"[^a-z0-9-]", "-", user))


def submitted_here(pending: Pending, script: bytes, *, cluster: str, client_id: str, namespace: str) -> Manifest:
    """For a submission that waits in Jobbergate; `script` is its entrypoint.

    Raises:
        NotSubmittableError: its owner has to change something.
    """
    name = name_of(client_id, pending.id)
    spec: Json = {
        "clusterRef": {"name": cluster},
        "owner": pending.owner_email,
        "script": _script(script, name),
        "jobbergate": {"submissionId": pending.id},
    }
    if files := _files(pending.job_script):
        spec["files"] = files
    if arguments := _arguments(pending.sbatch_arguments):
        spec["sbatchArguments"] = arguments
    if pending.execution_directory:
        spec["executionDirectory"] = pending.execution_directory
    origin = JobbergateStatus(
        id=pending.id,
        name=_line(pending.name),
        job_script_id=pending.job_script.id,
        job_script_template_id=pending.job_script.parent_template_id,
    )
    return Manifest(namespace, name, _body(namespace, name, cluster, origin, spec), origin, script)


def followed_here(row: Row, *, cluster: str, client_id: str, namespace: str) -> Manifest:
    """For a submission whose owner has submitted the job himself, on the cluster."""
    name = name_of(client_id, row.id)
    spec: Json = {
        "clusterRef": {"name": cluster},
        "owner": row.owner_email,
        "script": {"slurmJobId": str(row.slurm_job_id)},
        "jobbergate": {"submissionId": row.id},
    }
    origin = JobbergateStatus(id=row.id, name=_line(row.name), job_script_id=row.job_script_id)
    return Manifest(namespace, name, _body(namespace, name, cluster, origin, spec), origin)


def entrypoint(script: JobScript) -> str:
    """The name of the file that is the batch script.

    Raises:
        NotSubmittableError: it has none.
    """
    for file in script.files:
        if file.file_type == ENTRYPOINT:
            return file.filename
    raise NotSubmittableError(f"Job script {script.id} has no entrypoint file: upload one.")


def made_of(manifest: Manifest, spec: JobSubmissionSpec) -> bool:
    """Whether a submission asks for just what the manifest does, but for what its people may change."""
    try:
        wanted = JobSubmissionSpec.model_validate(manifest.body["spec"])
    except ValidationError:
        return False
    free = {name for name, field in JobSubmissionSpec.model_fields.items() if field.alias in MUTABLE}
    return wanted.model_copy(update={name: getattr(spec, name) for name in free}) == spec


def _body(namespace: str, name: str, cluster: str, origin: JobbergateStatus, spec: Json) -> Json:
    numbers = {
        JOBBERGATE_SUBMISSION_LABEL: origin.id,
        JOBBERGATE_SCRIPT_LABEL: origin.job_script_id,
        JOBBERGATE_TEMPLATE_LABEL: origin.job_script_template_id,
    }
    labels = {JOBBERGATE_CLUSTER_LABEL: cluster, **{label: str(id_) for label, id_ in numbers.items() if id_ is not None}}
    # Born with the finalizer, so that nobody can delete it before Jobbergate has heard of that.
    metadata = {"namespace": namespace, "name": name, "labels": labels, "finalizers": [FINALIZER]}
    return {"apiVersion": API_VERSION, "kind": JobSubmission.KIND, "metadata": metadata, "spec": spec}


def _script(script: bytes, name: str) -> Json:
    if not script:
        raise NotSubmittableError("The job script is empty.")
    if len(script) > MAX_SCRIPT_BYTES:
        raise NotSubmittableError(f"The job script has {len(script)} bytes; the most is {MAX_SCRIPT_BYTES}.")
    try:
        text = script.decode() if len(script) <= LONGEST_INLINE else None
    except UnicodeDecodeError:
        text = None
    return {"configMapKeyRef": {"name": name, "key": SCRIPT_KEY}} if text is None else {"inline": text}


def _files(script: JobScript) -> list[Json]:
    files: dict[str, str] = {}
    for file in script.files:
        if file.file_type != ENTRYPOINT:
            place = _place(file.filename)
            if place in files:
                raise NotSubmittableError(
                    f"The files {files[place]!r} and {file.filename!r} would both be written as {place!r}."
                )
            files[place] = file.filename
    return [
        {"name": place, "jobbergate": {"jobScriptId": script.id, "filename": filename}} for place, filename in files.items()
    ]


def _place(filename: str) -> str:
    """Where a file goes, below the working directory whatever it is called."""
    parts = [_CONTROL.sub("_", part) for part in filename.split("/") if part not in {"", ".", ".."}]
    if not parts:
        raise NotSubmittableError(f"The file {filename!r} has no name that a file can have.")
    if parts[0] == ".slurmgate":
        parts[0] = "_slurmgate"
    return "/".join(parts)


def _arguments(lines: Iterable[str]) -> list[str]:
    """Words for sbatch. Jobbergate's arguments are what would stand behind `#SBATCH`, so one may be several words."""
    lines = tuple(lines)
    for number, line in enumerate(lines, start=1):
        if _CONTROL.search(line):
            raise NotSubmittableError(f"sbatch argument {number} has control characters, such as a line break, in it.")
    try:
        return [word for number, line in enumerate(lines, start=1) for word in words(line, f"sbatch argument {number}")]
    except NotUnderstoodError as problem:
        raise NotSubmittableError(str(problem)) from None


def _line(text: str) -> str | None:
    return _CONTROL.sub(" ", text)[:255] or None
