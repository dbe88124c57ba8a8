"""May this submission run, as whom, and what exactly would be sent?

Everything that needs reading for it is read here, once: what was checked is what travels.
"""

import base64
from dataclasses import dataclass

from slurmgate.core.outcomes import Admission, NotNow, Refused
from slurmgate.core.owners import allows
from slurmgate.core.reasons import Reason
from slurmgate.core.record import Record
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.engine.site import Site
from slurmgate.resources.base import OWNERS_ANNOTATION, KeyReference
from slurmgate.resources.submission import EnvironmentVariable, JobSubmissionSpec, SupportingFile
from slurmgate.slurm.gateway import File, Package
from slurmgate.slurm.package import prepare


@dataclass(frozen=True, slots=True)
class Admitted:
    """What is told about it, and what travels."""

    admission: Admission
    package: Package


async def admit(record: Record, spec: JobSubmissionSpec, site: Site, references: References) -> Admitted | Refused | NotNow:
    """Check the submission against namespace, mapping and policy, and pack it.

    A user that status already names is found and cancelled as that user, whatever became of the mapping; but nothing is sent
    as anybody whom namespace and mapping do not name now.
    """
    user = await _identify(record, site, references)
    if not isinstance(user, str):
        return user
    if record.status.user not in {None, user}:
        return Refused(
            Reason.USER_NOT_MAPPED, f"spec.owner: {record.owner} was {record.status.user} and is {user} in the user mapping now"
        )
    try:
        script = await _script(record, spec, user, site, references)
        if not isinstance(script, bytes):
            return script
        files = [await _file(record, file, references) for file in spec.files]
        installation = await references.installation()
        environment = [(variable.name, await _value(record, variable, references)) for variable in spec.environment]
    except ReferenceProblem as problem:
        return NotNow(problem.reason, str(problem))
    prepared = prepare(
        spec,
        namespace=record.namespace,
        name=record.name,
        token=record.token,
        user=user,
        script=script,
        files=files,
        environment=environment,
        held=record.wishes.suspend,
        cluster=site.spec,
        installation=installation,
        accounting=site.keeps_accounting,
    )
    if isinstance(prepared, Refused):
        return prepared
    admission, package = prepared
    return Admitted(admission, package)


async def _identify(record: Record, site: Site, references: References) -> str | Refused | NotNow:
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
    return site.user_of(record.owner)


async def _script(
    record: Record, spec: JobSubmissionSpec, user: str, site: Site, references: References
) -> bytes | Refused | NotNow:
    source = spec.script
    if source.inline is not None:
        return source.inline.encode()
    if source.config_map_key_ref is not None:
        return await _read(record, "ConfigMap", source.config_map_key_ref, "spec.script.configMapKeyRef", references)
    return await site.gateway.read_script(user, source.remote_path or "")


async def _file(record: Record, file: SupportingFile, references: References) -> File:
    where = f"spec.files[{file.name}]"
    if file.inline is not None:
        content = file.inline.encode()
    elif file.inline_base64 is not None:
        content = base64.b64decode(file.inline_base64)
    elif file.config_map_key_ref is not None:
        content = await _read(record, "ConfigMap", file.config_map_key_ref, f"{where}.configMapKeyRef", references)
    elif file.secret_key_ref is not None:
        content = await _read(record, "Secret", file.secret_key_ref, f"{where}.secretKeyRef", references)
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
