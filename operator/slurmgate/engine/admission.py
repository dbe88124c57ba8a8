"""May this submission run, as whom, and what exactly would be sent?

Everything that needs reading for it is read here, once: what was checked is what travels.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from slurmgate.core.access import refused_visitor
from slurmgate.core.outcomes import Admission, Followed, NotNow, Refused
from slurmgate.core.owners import allows
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.engine.hooking import Hooks
from slurmgate.engine.jobbergate.recognising import Recognised
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.engine.site import Site
from slurmgate.plugins.api import Submission
from slurmgate.resources.base import OWNERS_ANNOTATION, KeyReference
from slurmgate.resources.submission import (
    MAX_ENVIRONMENT_BYTES,
    MAX_FILES_BYTES,
    MAX_VALUE_BYTES,
    EnvironmentVariable,
    JobSubmissionSpec,
    SupportingFile,
)
from slurmgate.slurm.gateway import File, Package
from slurmgate.slurm.package import prepare


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is told about it, and what travels."""

    admission: Admission | Followed
    package: Package | None = None
    """None: there is nothing to send."""


async def admit(
    record: Record,
    spec: JobSubmissionSpec,
    site: Site,
    references: References,
    *,
    hooks: Hooks,
    origin: Recognised | None = None,
) -> Admitted | Refused | NotNow:
    """Check the submission against namespace, mapping and policy, ask the hooks, and pack it. `origin`: it is Jobbergate's.

    A user that status already names is found and cancelled as that user, whatever became of the mapping; but nothing is sent
    as anybody whom namespace and mapping do not name now.
    """
    user = await _identify(record, site, references, vouched=origin is not None)
    if not isinstance(user, str):
        return user
    if record.status.user not in {None, user}:
        return Refused(
            Reason.USER_NOT_MAPPED, f"spec.owner: {record.owner} was {record.status.user} and is {user} in the user mapping now"
        )
    if record.follows:
        return Admitted(Followed(user, record.follows))
    try:
        content = await _read_all(record, spec, user, site, references, origin=origin)
    except ReferenceProblem as problem:
        return NotNow(problem.reason, str(problem))
    return await _packed(record, spec, user, site, content=content, hooks=hooks) if isinstance(content, _Content) else content


async def _packed(
    record: Record, spec: JobSubmissionSpec, user: str, site: Site, *, content: "_Content", hooks: Hooks
) -> Admitted | Refused | NotNow:
    preparation = partial(
        prepare,
        spec,
        namespace=record.namespace,
        name=record.name,
        token=record.token,
        user=user,
        script=content.script,
        files=content.files,
        environment=content.environment,
        held=record.wishes.suspend,
        cluster=site.spec_for(record.owner),
        installation=content.installation,
        accounting=site.keeps_accounting,
    )
    prepared = preparation()
    if hooks and not record.adopts and not isinstance(prepared, Refused):
        added = await hooks.before(_shown(record, *prepared), allow=site.spec.allow_options)
        if not isinstance(added, tuple):
            return added
        prepared = preparation(added=added)
    return prepared if isinstance(prepared, Refused) else Admitted(*prepared)


def _shown(record: Record, admission: Admission, package: Package) -> Submission:
    """What hooks see of it: nothing that may have come from a Secret."""
    return Submission(
        namespace=record.namespace,
        name=record.name,
        uid=record.token,
        cluster=record.cluster,
        owner=record.owner,
        user=admission.user,
        script=package.script,
        arguments=admission.arguments,
        directory=admission.directory,
        files=tuple(file.name for file in package.files),
    )


@dataclass(frozen=True, slots=True)
class _Content:
    """What the submission names, as it was read."""

    script: bytes = field(repr=False)
    files: Sequence[File]
    environment: Sequence[tuple[str, str]] = field(repr=False)
    installation: str


async def _read_all(
    record: Record, spec: JobSubmissionSpec, user: str, site: Site, references: References, *, origin: Recognised | None
) -> _Content | Refused | NotNow:
    script = (origin and origin.script) or await _script(record, spec, user, site, references)
    if not isinstance(script, bytes):
        return script
    files: list[File] = []
    for each in spec.files:
        file = await _file(record, each, references, origin)
        if not isinstance(file, File):
            return file
        files.append(file)
        size = sum(len(file.content) for file in files)
        if size > MAX_FILES_BYTES:  # no more of them is read into memory
            return Refused(Reason.INVALID_SPEC, f"spec.files: {size} bytes in all; the most is {MAX_FILES_BYTES}")
    environment = await _environment(record, spec, references)
    if isinstance(environment, Refused):
        return environment
    return _Content(script, files, environment, await references.installation())


async def _environment(record: Record, spec: JobSubmissionSpec, references: References) -> list[tuple[str, str]] | Refused:
    """Names and values, as many as a program can be given: no more of them is read into memory."""
    environment: list[tuple[str, str]] = []
    total = 0
    for variable in spec.environment:
        value = await _value(record, variable, references)
        size = len(value.encode(errors="surrogateescape"))
        total += size
        if size > MAX_VALUE_BYTES:
            most = f"the most is {MAX_VALUE_BYTES}; use spec.files for more"
            return Refused(Reason.INVALID_SPEC, f"spec.environment: {variable.name} has {size} bytes; {most}")
        if total > MAX_ENVIRONMENT_BYTES:
            most = f"the most is {MAX_ENVIRONMENT_BYTES}; use spec.files for more"
            return Refused(Reason.INVALID_SPEC, f"spec.environment: {total} bytes in all; {most}")
        environment.append((variable.name, value))
    return environment


async def _identify(record: Record, site: Site, references: References, *, vouched: bool) -> str | Refused | NotNow:
    """Its Slurm user. Whom Jobbergate vouches for has logged in there; the namespace's rule is for whoever has kubectl."""
    if refused := refused_visitor(site.spec.access, namespace=record.namespace, owner=record.owner):
        return refused
    if vouched:
        return await site.user_of(record.owner)
    try:
        annotation = await references.namespace_annotation(record.namespace, OWNERS_ANNOTATION)
    except ReferenceProblem as problem:
        return NotNow(problem.reason, str(problem))
    if not allows(annotation, record.owner):
        return Refused(
            Reason.OWNER_NOT_ALLOWED,
            f"spec.owner: {record.owner} may not be named in namespace {record.namespace}. An admin can add it to "
            f"the namespace's annotation {OWNERS_ANNOTATION}; then delete this submission and apply it again.",
        )
    return await site.user_of(record.owner)


async def _script(
    record: Record, spec: JobSubmissionSpec, user: str, site: Site, references: References
) -> bytes | Refused | NotNow:
    source = spec.script
    if source.inline is not None:
        return source.inline.encode()
    if source.config_map_key_ref is not None:
        return await _read(record, "ConfigMap", source.config_map_key_ref, "spec.script.configMapKeyRef", references)
    return await site.gateway.read_script(user, source.remote_path or "")


async def _file(
    record: Record, file: SupportingFile, references: References, origin: Recognised | None
) -> File | Refused | NotNow:
    where = f"spec.files[{file.name}]"
    if file.inline is not None:
        content = file.inline.encode()
    elif file.inline_base64 is not None:
        content = base64.b64decode(file.inline_base64)
    elif file.config_map_key_ref is not None:
        content = await _read(record, "ConfigMap", file.config_map_key_ref, f"{where}.configMapKeyRef", references)
    elif file.secret_key_ref is not None:
        content = await _read(record, "Secret", file.secret_key_ref, f"{where}.secretKeyRef", references)
    elif file.jobbergate is not None:
        if origin is None:
            return Refused(Reason.NOT_FROM_JOBBERGATE, f"{where}.jobbergate: only for submissions that come from Jobbergate")
        downloaded = await origin.download(file.jobbergate)
        if not isinstance(downloaded, bytes):
            return replace(downloaded, message=f"{where}: {downloaded.message}")
        content = downloaded
    else:
        raise AssertionError("the schema asks for one source")
    return File(file.name, content, executable=file.executable, private=file.secret_key_ref is not None)


async def _value(record: Record, variable: EnvironmentVariable, references: References) -> str:
    where = f"spec.environment[{variable.name}].valueFrom"
    if variable.value is not None:
        return variable.value
    source = variable.value_from
    if source and source.config_map_key_ref:
        content = await _read(record, "ConfigMap", source.config_map_key_ref, f"{where}.configMapKeyRef", references)
    elif source and source.secret_key_ref:
        content = await _read(record, "Secret", source.secret_key_ref, f"{where}.secretKeyRef", references)
    else:
        raise AssertionError("the schema asks for one source")
    return content.decode(errors="surrogateescape")


async def _read(record: Record, kind: str, reference: KeyReference, where: str, references: References) -> bytes:
    return await references.of_submission(kind, record.namespace, reference.name, reference.key, where=where)
