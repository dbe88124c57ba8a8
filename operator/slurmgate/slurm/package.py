"""From a submission and what it refers to, to the package that travels to the cluster. Pure."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence

from slurmgate.core import access
from slurmgate.core.outcomes import Admission, Refused
from slurmgate.core.reasons import Reason
from slurmgate.core.strays import Origin
from slurmgate.resources.access import Access
from slurmgate.resources.cluster import SlurmClusterSpec
from slurmgate.resources.submission import (
    MAX_FILES_BYTES,
    STEERING_VARIABLES,
    JobSubmissionSpec,
    Launch,
    LaunchMode,
    LaunchStatus,
)
from slurmgate.slurm import directives, options
from slurmgate.slurm import script as scripts
from slurmgate.slurm.gateway import File, Package

MOST_PATH = 4096
TOKEN = re.compile(r"[0-9A-Za-z-]{1,36}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STEERING = re.compile(STEERING_VARIABLES)


def prepare(
    spec: JobSubmissionSpec,
    *,
    namespace: str,
    name: str,
    token: str,
    user: str,
    script: bytes,
    files: Sequence[File],
    environment: Sequence[tuple[str, str]],
    held: bool,
    cluster: SlurmClusterSpec,
    installation: str,
    accounting: bool,
    added: Sequence[options.Option] = (),
) -> tuple[Admission, Package] | Refused:
    """Check everything and put it together.

    Args:
        spec: What is asked for.
        namespace: The submission's namespace.
        name: Its name.
        token: Its uid.
        user: The Slurm user it runs as.
        script: The script, wherever it came from.
        files: The supporting files, references resolved.
        environment: Names and values, references resolved.
        held: Whether the job is submitted on hold.
        cluster: Policy, defaults and paths of the cluster.
        installation: The Kubernetes cluster that the submission belongs to.
        accounting: Whether the Slurm cluster keeps it. Where it does not, the batch script leaves a record of how it ended.
        added: Options that hooks add.
    """
    kept = f"{name}.sh" if spec.write_submission_files else None
    launch = _launch(spec.launch, cluster.defaults.launch)
    refused = _token(token) or _environment(environment) or _files(files, kept=kept) or scripts.check(script, wrapped=False)
    if refused:
        return refused
    try:
        found = directives.read(script, allowed=cluster.allow_options)
    except options.NotUnderstoodError as problem:
        return Refused(Reason.OPTION_NOT_ALLOWED, str(problem))
    resolved = options.resolve(
        spec,
        found.options,
        token=token,
        name=name,
        held=held,
        defaults=cluster.defaults,
        allow=cluster.allow_options,
        deny=cluster.deny_options,
        added=added,
    )
    if isinstance(resolved, Refused):
        return resolved
    values = resolved.values
    decided = scripts.decide(launch, script, found, values)
    by_srun = decided.mode is LaunchMode.SRUN
    recorded = not accounting and not found.het and not scripts.in_container(values)
    wrapped = by_srun or recorded
    refused = _not_accessible(cluster.access, found, resolved.counted) or _foreign(found, values)
    if refused := refused or _unused(spec.launch, decided) or scripts.check(script, wrapped=wrapped):
        return refused
    batch = None
    if wrapped:
        srun = cluster.commands.srun if by_srun else None
        batch = scripts.wrap(script, token=token, srun=srun, arguments=launch.srun_arguments, recorded=recorded)
    directory = spec.execution_directory or fill(
        cluster.defaults.working_directory, namespace=namespace, name=name, uid=token[:8], user=user
    )
    output = values.get("output") or ("slurm-%A_%a.out" if values.get("array") else "slurm-%j.out")
    paths = [
        options.output_path(pattern, name=values["job-name"] or name, user=user, chdir=values.get("chdir"))
        for pattern in (output, values.get("error") or output)
    ]
    if any(len(path) > MOST_PATH for path in paths):
        return Refused(Reason.INVALID_SPEC, f"the path of the output would be longer than {MOST_PATH} characters")
    admission = Admission(
        user=user,
        directory=directory,
        script_sha256=hashlib.sha256(script).hexdigest(),
        arguments=resolved.arguments,
        launch=decided,
        stdout=paths[0],
        stderr=paths[1],
        array=values.get("array"),
        held=held,
    )
    package = Package(
        token=token,
        name=name,
        directory=directory,
        script=script,
        batch=batch,
        arguments=resolved.arguments,
        environment=tuple(environment),
        files=tuple(files),
        origin=str(Origin(installation, namespace, name, token)),
        keep_script=spec.write_submission_files,
    )
    return admission, package


def fill(template: str, **values: str) -> str:
    """A directory template with `{name}` and the like filled in; other braces stay."""
    return re.sub(r"\{(" + "|".join(values) + r")\}", lambda match: values[match[1]], template)


def _launch(wanted: Launch | None, default: Launch) -> Launch:
    """The submission's mode over the cluster's; arguments belong to the mode they were given with."""
    if wanted is None or (wanted.mode is None and not wanted.srun_arguments):
        return default
    return Launch(mode=wanted.mode or default.mode, srun_arguments=wanted.srun_arguments or default.srun_arguments)


def _token(token: str) -> Refused | None:
    """It becomes part of paths and programs, and uids are not our own."""
    return (
        None if TOKEN.fullmatch(token) else Refused(Reason.INVALID_SPEC, f"metadata.uid: {token!r} cannot be used as a token")
    )


def _not_accessible(rules: Access, found: directives.Directives, counted: Mapping[str, options.Option]) -> Refused | None:
    """Why accounts, partitions or QOS may not be used. A component of a heterogeneous job has to name its own."""
    if found.het:
        for number, component in enumerate(found.components, start=1):
            part = f" in component {number} of the script"
            if refused := access.refused_choice(rules, _choices({option.name: option for option in component}), part=part):
                return refused
    return access.refused_choice(rules, _choices(counted))


def _choices(counted: Mapping[str, options.Option]) -> dict[str, access.Choice]:
    return {name: access.Choice(option.value, option.where) for name, option in counted.items()}


def _foreign(found: directives.Directives, values: Collection[str]) -> Refused | None:
    if found.foreign is None or ("ignore-pbs" in values and not found.het):  # which component has it is not known here
        return None
    message = "#PBS and #BSUB lines are not understood; write #SBATCH lines, or add --ignore-pbs"
    return Refused(Reason.OPTION_NOT_ALLOWED, f"{found.foreign}: {message}")


def _unused(wanted: Launch | None, decided: LaunchStatus) -> Refused | None:
    """Arguments for an srun that will not be."""
    if decided.mode is LaunchMode.SRUN or wanted is None or not wanted.srun_arguments:
        return None
    return Refused(
        Reason.INVALID_SPEC, f"spec.launch.srunArguments: srun is not used ({decided.why}); set spec.launch.mode: Srun"
    )


def _environment(variables: Iterable[tuple[str, str]]) -> Refused | None:
    for name, value in variables:
        if not _VARIABLE.fullmatch(name) or _STEERING.match(name):
            return Refused(Reason.INVALID_SPEC, f"spec.environment: {name} steers Slurm, the shell or the loader")
        if "\0" in value:
            return Refused(Reason.INVALID_SPEC, f"spec.environment: the value of {name} contains a NUL byte")
    return None


def _files(files: Sequence[File], *, kept: str | None) -> Refused | None:
    names: set[str] = set()
    for file in files:
        parts = file.name.split("/")
        if _CONTROL.search(file.name) or not {"", ".", ".."}.isdisjoint(parts) or parts[0] == ".slurmgate":
            return Refused(Reason.INVALID_SPEC, f"spec.files: '{file.name}' is no name below the execution directory")
        # for some file systems, and for every reader, what looks the same is the same
        name = unicodedata.normalize("NFC", file.name)
        if name in names or name == kept:
            return Refused(Reason.INVALID_SPEC, f"spec.files: there are two files '{file.name}'")
        names.add(name)
    for name in names:
        if not names.isdisjoint(name[:index] for index, character in enumerate(name) if character == "/"):
            return Refused(Reason.INVALID_SPEC, f"spec.files: '{name}' lies below another file")
    total = sum(len(file.content) for file in files)
    if total > MAX_FILES_BYTES:
        return Refused(Reason.INVALID_SPEC, f"spec.files: {total} bytes in all; the most is {MAX_FILES_BYTES}")
    return None
