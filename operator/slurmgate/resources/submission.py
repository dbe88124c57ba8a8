"""JobSubmission: one Slurm job that somebody wants, and what became of it."""

import base64
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic.alias_generators import to_camel

from slurmgate.resources.base import (
    Conditions,
    KeyReference,
    Model,
    ObjectName,
    SingleLine,
    exactly_one_of,
    keyed_list,
    rules,
)
from slurmgate.resources.jobbergate import JobbergateFile, JobbergateStatus, Origin

MAX_SCRIPT_BYTES = 1024 * 1024
MAX_FILES_BYTES = 5 * 1024 * 1024
MAX_INLINE_FILE = 256 * 1024
MAX_ENVIRONMENT_BYTES = 1024 * 1024
"""Of all values. Linux gives a program about two MiB of arguments and environment."""
MAX_VALUE_BYTES = 128 * 1024 - 1024
"""Of one value: Linux takes 128 KiB for a variable with its name and what ends it (execve(2), MAX_ARG_STRLEN)."""

STEERING_VARIABLES = (
    "^((SLURM|SBATCH|SRUN|SALLOC|LD|BASH)_"
    "|(ENV|IFS|GCONV_PATH|SHELLOPTS|BASHOPTS|PPID|UID|EUID|GROUPS|PWD|OLDPWD|OPTIND|OPTARG|PS4|RANDOM|SRANDOM|SECONDS|LINENO|DIRSTACK"
    "|FUNCNAME|HISTCMD|EPOCHSECONDS|EPOCHREALTIME|COMP_WORDBREAKS|PIPESTATUS|POSIXLY_CORRECT|_)$)"
)
"""Environment variables that change what sbatch, srun or the loader do (man sbatch, INPUT ENVIRONMENT VARIABLES), or that the
shell which runs sbatch is steered by, sets or protects itself (man bash, Shell Variables)."""

Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Percentless = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_.:,+-]+$")]
INT_OR_STRING: dict[str, JsonValue] = {"x-kubernetes-int-or-string": True}


class ClusterReference(Model):
    """Names a SlurmCluster."""

    name: ObjectName = Field(description="Name of the SlurmCluster (`kubectl get slurmclusters`).")


class Script(Model):
    """Where the batch script comes from: exactly one source."""

    model_config = ConfigDict(
        json_schema_extra=rules(exactly_one_of("inline", "configMapKeyRef", "remotePath", "slurmJobId")),
    )

    inline: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_SCRIPT_BYTES,
        description="The script itself, up to 1 MiB. It runs byte for byte as it stands here. "
        "`kubectl apply` keeps a copy in an annotation and so carries only about 256 KiB: "
        "use `kubectl create` or `kubectl apply --server-side` for longer ones.",
    )
    config_map_key_ref: KeyReference | None = Field(
        None, description="A key of a ConfigMap in this namespace (`data` or `binaryData`)."
    )
    remote_path: SingleLine | None = Field(
        None,
        pattern=r"^(/|~/)[^\x00-\x1f\x7f]*$",
        description="A file on the cluster, read as the mapped user when the job is submitted. Absolute, or `~/...`.",
    )
    slurm_job_id: str | None = Field(
        None,
        max_length=10,
        pattern=r"^[1-9][0-9]*$",
        description="No script: the owner has submitted this Slurm job himself, and it is followed, held and cancelled as if "
        "it had been submitted here.",
    )


class SupportingFile(Model):
    """A file placed into the execution directory before the job is submitted."""

    model_config = ConfigDict(
        json_schema_extra=rules(exactly_one_of("inline", "inlineBase64", "configMapKeyRef", "secretKeyRef", "jobbergate")),
    )

    name: str = Field(
        max_length=255,
        pattern=r"^[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$",
        description="Path below the execution directory, for example `input/mesh.dat`. `..` is refused.",
        json_schema_extra=rules(
            {
                "rule": "!self.split('/').exists(part, part == '' || part == '.' || part == '..')",
                "message": "must be a relative path without empty parts, '.' or '..'",
            },
            {
                "rule": "self.split('/')[0] != '.slurmgate'",
                "message": "the folder .slurmgate belongs to the operator",
            },
        ),
    )
    inline: str | None = Field(None, max_length=MAX_INLINE_FILE, description="Its content as text, up to 256 KiB.")
    inline_base64: str | None = Field(
        None,
        max_length=MAX_INLINE_FILE * 4 // 3 + 4,
        pattern=r"^[A-Za-z0-9+/\s]*={0,2}\s*$",
        description="Its content as base64, for binary files up to 256 KiB; larger ones go into a ConfigMap or Secret.",
    )
    config_map_key_ref: KeyReference | None = Field(
        None, description="A key of a ConfigMap in this namespace (`data` or `binaryData`)."
    )
    secret_key_ref: KeyReference | None = Field(
        None, description='A key of a Secret in this namespace that carries the label `slurmgate.dev/use: "true"`.'
    )
    jobbergate: JobbergateFile | None = Field(
        None, description="A file of a job script in Jobbergate. Only for submissions that come from there."
    )
    executable: bool = Field(default=False, description="Whether the file is made executable.")

    @field_validator("inline_base64")
    @classmethod
    def _can_be_decoded(cls, text: str | None) -> str | None:
        if text is not None:  # the schema's pattern cannot count letters in fours
            base64.b64decode(text)
        return text


class ValueSource(Model):
    """Where an environment variable's value is read from."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("configMapKeyRef", "secretKeyRef")))

    config_map_key_ref: KeyReference | None = Field(None, description="A key of a ConfigMap in this namespace.")
    secret_key_ref: KeyReference | None = Field(
        None, description='A key of a Secret in this namespace that carries the label `slurmgate.dev/use: "true"`.'
    )


class EnvironmentVariable(Model):
    """One environment variable of the job, as `env` of a Pod has them."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("value", "valueFrom")))

    name: str = Field(
        max_length=256,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Its name. Names that steer Slurm or the loader (`SLURM_*`, `SBATCH_*`, `LD_*`, ...) are refused.",
        json_schema_extra=rules(
            {
                "rule": f"!self.matches('{STEERING_VARIABLES}')",
                "message": "this name steers Slurm, the shell or the loader; use the typed fields or sbatchArguments",
            }
        ),
    )
    value: str | None = Field(
        None, max_length=32768, pattern=r"^[^\x00]*$", description="Its value. Not for secrets: use valueFrom."
    )
    value_from: ValueSource | None = Field(None, description="Where its value is read from.")


class LaunchMode(StrEnum):
    """How the script is started inside the job."""

    AUTO = "Auto"
    SRUN = "Srun"
    NONE = "None"


class Launch(Model):
    """How the script is started inside the job."""

    mode: LaunchMode | None = Field(
        None,
        description="`Srun`: the script is run by `srun`, one copy for each task. `None`: plain sbatch, the script starts "
        "its own steps. `Auto`: `Srun` unless the script calls srun, mpirun or mpiexec itself or is a heterogeneous job. "
        "Unset: the cluster's default. What was decided stands in status.launch.",
    )
    srun_arguments: tuple[SingleLine, ...] = Field(
        (), max_length=64, description="Arguments for srun, one word each, for example `--mpi=pmix`."
    )


class DeletionPolicy(StrEnum):
    """What happens to the Slurm job when the submission is deleted."""

    CANCEL = "Cancel"
    ORPHAN = "Orphan"


class ReadyWhen(StrEnum):
    """From when on the submission counts as ready."""

    SUBMITTED = "Submitted"
    RUNNING = "Running"
    COMPLETE = "Complete"


MUTABLE = {"suspend", "cancel", "deletionPolicy", "readyWhen"}


def _nothing_else_changes(schema: dict[str, Any]) -> None:
    """Everything that defines the job stays as it was created.

    A field's own `self == oldSelf` is looked at only while the field is there before and after, hence the second rule.
    """
    defining = {name: field for name, field in schema["properties"].items() if name not in MUTABLE}
    for field in defining.values():
        field.setdefault("x-kubernetes-validations", []).append(
            {"rule": "self == oldSelf", "message": "defines the job and cannot change; create another submission"}
        )
    optional = [name for name, field in defining.items() if field.get("default") in (None, [])]
    optional = [name for name in optional if name not in schema["required"]]
    schema["x-kubernetes-validations"] = [
        {
            "rule": " && ".join(f"has(self.{name}) == has(oldSelf.{name})" for name in optional),
            "message": "fields that define the job cannot be added or removed; create another submission",
        }
    ]


class JobSubmissionSpec(Model):
    """One Slurm job that somebody wants.

    Options of sbatch come from three places; the first that sets one wins: the typed fields and `sbatchArguments` here,
    the `#SBATCH` lines of the script, the defaults of the SlurmCluster. A typed field and the same option in
    `sbatchArguments` contradict each other and are refused.
    """

    model_config = ConfigDict(json_schema_extra=_nothing_else_changes)

    cluster_ref: ClusterReference = Field(description="The cluster to run on.")
    owner: str = Field(
        max_length=254,
        pattern=r"^[^@\s\x00-\x1f\x7f,]+@[^@\s\x00-\x1f\x7f,]+$",
        description="E-mail of the person the job runs for. The cluster's user mapping says which Slurm user that is; "
        "the namespace's annotation `slurmgate.dev/owners` says whether that person may be named here.",
    )
    script: Script = Field(description="The batch script.")
    files: tuple[SupportingFile, ...] = Field(
        (),
        max_length=32,
        description="Supporting files, 5 MiB in all.",
        json_schema_extra=keyed_list("name"),
    )
    sbatch_arguments: tuple[SingleLine, ...] = Field(
        (),
        max_length=128,
        description="Further arguments for sbatch, one word each, for example `--exclusive` or `--mail-type=END`. "
        "Options that change the identity or how Slurmgate talks to sbatch are refused.",
    )
    partition: Percentless | None = Field(None, description="sbatch --partition.")
    account: Percentless | None = Field(None, description="sbatch --account.")
    qos: Percentless | None = Field(None, description="sbatch --qos.")
    nodes: Positive | Annotated[str, Field(pattern=r"^[0-9]+(-[0-9]+)?$", max_length=32)] | None = Field(
        None, description="sbatch --nodes: a number, or a range such as `2-4`.", json_schema_extra=INT_OR_STRING
    )
    tasks: Positive | None = Field(None, description="sbatch --ntasks.")
    cpus_per_task: Positive | None = Field(None, description="sbatch --cpus-per-task.")
    memory: str | None = Field(
        None,
        max_length=16,
        pattern=r"^[0-9]+[KMGT]?$",
        description="sbatch --mem, memory of each node: a number and K, M (default), G or T.",
    )
    gpus: Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]+:)?[0-9]+$", max_length=64)] | None = (
        Field(
            None,
            description="sbatch --gpus, GPUs of the whole job: a number, or type and number such as `a100:2`.",
            json_schema_extra=INT_OR_STRING,
        )
    )
    time_limit: str | None = Field(
        None,
        max_length=32,
        pattern=r"^([0-9]+|[0-9]+:[0-9]{1,2}|[0-9]+:[0-9]{1,2}:[0-9]{1,2}|[0-9]+-[0-9]+(:[0-9]{1,2}){0,2}|UNLIMITED|INFINITE)$",
        description="sbatch --time: minutes, mm:ss, hh:mm:ss, d-hh, d-hh:mm or d-hh:mm:ss.",
    )
    array: str | None = Field(
        None,
        max_length=256,
        pattern=r"^[0-9]+(-[0-9]+(:[0-9]+)?)?(,[0-9]+(-[0-9]+(:[0-9]+)?)?)*(%[0-9]+)?$",
        description="sbatch --array: the task indexes, for example `0-9`, `1,3,5` or `0-99%10`.",
    )
    execution_directory: str | None = Field(
        None,
        max_length=1024,
        pattern=r"^(/|~/|~$)[^\x00-\x1f\x7f]*$",
        description="Directory in which the job runs and its output goes, absolute or below `~`; made if missing. "
        "Unset: the cluster's template, by default a directory of its own for each submission.",
    )
    environment: tuple[EnvironmentVariable, ...] = Field(
        (),
        max_length=128,
        description="Environment variables of the job: 127 KiB each, 1 MiB in all.",
        json_schema_extra=keyed_list("name"),
    )
    launch: Launch | None = Field(None, description="How the script is started inside the job.")
    write_submission_files: bool = Field(
        default=True, description="Keep a copy of the script beside the output, as `<name>.sh`."
    )
    jobbergate: Origin | None = Field(None, description="What the submission has to do with Jobbergate.")
    suspend: bool = Field(default=False, description="Hold the job in the queue; false lets it go.")
    cancel: bool = Field(
        default=False,
        description="Cancel the job. There is no way back: a cancelled submission stays cancelled.",
        json_schema_extra=rules({"rule": "self || !oldSelf", "message": "a cancelled submission stays cancelled"}),
    )
    deletion_policy: DeletionPolicy = Field(
        DeletionPolicy.CANCEL,
        description="What `kubectl delete` does to the Slurm job: `Cancel` it, or leave it as an `Orphan`.",
    )
    ready_when: ReadyWhen = Field(
        ReadyWhen.COMPLETE,
        description="When condition Ready becomes true: once `Submitted`, once `Running`, or once `Complete`.",
    )


class Phase(StrEnum):
    """The submission's phase, in Jobbergate's words."""

    CREATED = "Created"
    SUBMITTED = "Submitted"
    DONE = "Done"
    ABORTED = "Aborted"
    REJECTED = "Rejected"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self not in {Phase.CREATED, Phase.SUBMITTED}


class ArrayStatus(Model):
    """Tasks of a job array."""

    total: int = Field(description="Number of tasks.")
    pending: int = Field(0, description="Tasks that wait.")
    running: int = Field(0, description="Tasks that run.")
    succeeded: int = Field(0, description="Tasks that completed.")
    failed: int = Field(0, description="Tasks that ended in any other way.")
    succeeded_indexes: str | None = Field(
        None, description="Indexes that completed, for example `0-6,9`. Not shown if longer than 32 KiB."
    )
    failed_indexes: str | None = Field(
        None, description="Indexes that ended in any other way. Not shown if longer than 32 KiB."
    )


class SlurmStatus(Model):
    """The job as Slurm sees it, in Slurm's own words."""

    job_id: str | None = Field(None, description="Slurm's job id.")
    token: str | None = Field(
        None, description="The uid in the job's comment, if it was taken over from another submission (slurmgate.dev/adopt)."
    )
    state: str | None = Field(None, description="Slurm's state (man squeue, JOB STATE CODES).")
    reason: str | None = Field(None, description="Slurm's reason (man squeue, JOB REASON CODES).")
    exit_code: int | None = Field(None, description="Exit code of the script.")
    signal: int | None = Field(None, description="Signal that ended the script.")
    submit_time: datetime | None = Field(None, description="When Slurm took the job.")
    estimated_start_time: datetime | None = Field(
        None,
        description="When the scheduler thinks that a job that waits will start, if it has an idea. It often changes; shown is "
        "a change of a minute and a tenth of the time left, at most every five minutes.",
    )
    start_time: datetime | None = Field(None, description="When it started.")
    end_time: datetime | None = Field(None, description="When it ended.")
    partition: str | None = Field(None, description="Partition it waits, runs or ran in.")
    nodes: str | None = Field(None, description="Nodes it runs or ran on.")
    restarts: int | None = Field(None, description="How often Slurm has requeued it.")
    stdout_path: str | None = Field(None, description="Where its standard output goes.")
    stderr_path: str | None = Field(None, description="Where its standard error goes.")
    array: ArrayStatus | None = Field(None, description="Counts and indexes of a job array.")


class Usage(Model):
    """What the job used, from Slurm's accounting, once it has ended."""

    elapsed_seconds: int | None = Field(None, description="Wall-clock time from start to end.")
    cpu_seconds: float | None = Field(None, description="CPU time of all its processes.")
    max_rss_bytes: int | None = Field(None, description="Largest resident memory of any task.")


class LaunchStatus(Model):
    """What was decided about starting the script."""

    mode: LaunchMode = Field(description="`Srun` or `None`.")
    why: str = Field(description="What decided it.")


class JobSubmissionStatus(Model):
    """What became of it. Written by the operator alone."""

    phase: Phase | None = Field(None, description="Where it stands.")
    user: str | None = Field(None, description="The Slurm user it runs as, fixed when it was accepted.")
    cluster: str | None = Field(None, description="The SlurmCluster it went to.")
    slurm: SlurmStatus | None = Field(None, description="The job as Slurm sees it.")
    script_sha256: str | None = Field(None, description="SHA-256 of the script, in hexadecimal.")
    sbatch_arguments: tuple[str, ...] | None = Field(
        None, description="The arguments that sbatch was given, without the script's own #SBATCH lines."
    )
    working_directory: str | None = Field(None, description="Directory on the cluster in which the job runs.")
    launch: LaunchStatus | None = Field(None, description="How the script is started.")
    usage: Usage | None = Field(None, description="What it used.")
    jobbergate: JobbergateStatus | None = Field(None, description="The submission in Jobbergate.")
    conditions: Conditions = ()
    observed_generation: int | None = Field(None, description="The metadata.generation that this status speaks of.")


class JobSubmission(Model):
    """A job for a Slurm cluster, submitted as the person who owns it."""

    KIND: ClassVar = "JobSubmission"
    PLURAL: ClassVar = "jobsubmissions"

    metadata: "Metadata"
    spec: JobSubmissionSpec
    status: JobSubmissionStatus = JobSubmissionStatus()

    def being_deleted(self, moment: datetime) -> "JobSubmission":
        """The same, as if it were being deleted since then."""
        return self.model_copy(update={"metadata": self.metadata.model_copy(update={"deletion_timestamp": moment})})

    @model_validator(mode="before")
    @classmethod
    def _absent_status(cls, body: object) -> object:
        return {**body, "status": body.get("status") or {}} if isinstance(body, dict) else body


class Metadata(Model):
    """The part of `metadata` that we read."""

    model_config = ConfigDict(alias_generator=to_camel)

    name: str
    namespace: str | None = None
    uid: str
    generation: int = 1
    resource_version: str
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()
    annotations: Mapping[str, str] = Field(default_factory=dict)


JobSubmission.model_rebuild()
