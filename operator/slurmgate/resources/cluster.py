"""SlurmCluster: how a Slurm cluster is reached, who is who on it, and what may be done there."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, model_validator

from slurmgate.resources.access import Access
from slurmgate.resources.base import Conditions, Model, keyed_list, rules
from slurmgate.resources.identity import Identity
from slurmgate.resources.jobbergate import Jobbergate
from slurmgate.resources.ssh import Ssh
from slurmgate.resources.submission import Launch, LaunchMode, Metadata, Percentless

AbsolutePath = Annotated[str, Field(max_length=1024, pattern=r"^/[A-Za-z0-9_./+@-]+$")]
OptionName = Annotated[str, Field(max_length=64, pattern=r"^[a-z][a-z0-9-]*$")]


class Defaults(Model):
    """What a submission gets that neither it nor its script asks for."""

    partition: Percentless | None = Field(None, description="sbatch --partition.")
    account: Percentless | None = Field(None, description="sbatch --account.")
    qos: Percentless | None = Field(None, description="sbatch --qos.")
    time_limit: str | None = Field(None, max_length=32, pattern=r"^[0-9:-]+$", description="sbatch --time.")
    working_directory: str = Field(
        "~/slurmgate/{namespace}/{name}-{uid}",
        max_length=1024,
        pattern=r"^(/|~/)[^\x00-\x1f\x7f]*$",
        description="Template of the working directory. `{namespace}`, `{name}`, `{uid}` (its first eight characters) "
        "and `{user}` are filled in.",
        json_schema_extra=rules(
            {
                "rule": "self.contains('{uid}')",
                "message": "must contain {uid}, or two submissions would share a directory",
            }
        ),
    )
    launch: Launch = Field(Launch(mode=LaunchMode.AUTO), description="How scripts are started.")


class Commands(Model):
    """Absolute paths on the login nodes. Nothing is ever looked up in PATH."""

    sbatch: AbsolutePath = Field("/usr/bin/sbatch", description="sbatch.")
    squeue: AbsolutePath = Field("/usr/bin/squeue", description="squeue.")
    sacct: AbsolutePath = Field("/usr/bin/sacct", description="sacct.")
    scancel: AbsolutePath = Field("/usr/bin/scancel", description="scancel.")
    scontrol: AbsolutePath = Field("/usr/bin/scontrol", description="scontrol.")
    sinfo: AbsolutePath = Field("/usr/bin/sinfo", description="sinfo.")
    srun: AbsolutePath = Field("/usr/bin/srun", description="srun, on the compute nodes.")


class Limits(Model):
    """How hard the cluster may be asked."""

    poll_interval_seconds: int = Field(
        5, ge=1, le=3600, description="Seconds between two looks at the queue while something changes."
    )
    idle_poll_interval_seconds: int = Field(
        30,
        ge=1,
        le=3600,
        description="While nothing changes they become more, up to these: a tenth of the time for which nothing has changed. "
        "With no more than `pollIntervalSeconds` the pace is steady.",
    )
    command_timeout_seconds: int = Field(
        60, ge=5, le=600, description="Longest run of one Slurm command. Keep it above slurm.conf's MessageTimeout."
    )
    deletion_deadline_seconds: int = Field(
        600,
        ge=10,
        le=86400,
        description="For so long it is tried to cancel the job of a deleted submission. Then the object goes all the same, "
        "with a warning event.",
    )
    sweep_interval_seconds: int = Field(
        300, ge=10, le=86400, description="Seconds between two searches for jobs whose submission is gone."
    )
    lost_after_seconds: int = Field(
        600,
        ge=10,
        le=86400,
        description="After so many seconds in which squeue and sacct answered, and a job was neither in the queue nor had an "
        "end, it is shown as `Lost`: never as failed, and it is looked for on. Accounting may lag by that much after slurmdbd "
        "was away.",
    )


class StrayJobs(StrEnum):
    """What becomes of jobs in Slurm whose submission is gone."""

    REPORT = "Report"
    CANCEL = "Cancel"


class SlurmClusterSpec(Model):
    """How a Slurm cluster is reached, who is who on it, and what may be done there."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            {
                "rule": "has(self.ssh.certificates) || !has(self.identity.singleUser) || "
                "has(self.identity.singleUser.privateKeySecretRef)",
                "message": "identity.singleUser.privateKeySecretRef must be set without ssh.certificates",
            }
        )
    )

    ssh: Ssh = Field(description="How the cluster is reached.")
    identity: Identity = Field(description="Who is who on the cluster.")
    access: Access = Field(Access(), description="Who may use the cluster, and what of it.")
    defaults: Defaults = Field(Defaults(), description="What a submission gets that neither it nor its script asks for.")
    commands: Commands = Field(Commands(), description="Absolute paths of Slurm's commands on the login nodes.")
    limits: Limits = Field(Limits(), description="How hard the cluster may be asked.")
    stray_jobs: StrayJobs = Field(
        StrayJobs.REPORT,
        description="What becomes of jobs that this installation submitted and whose JobSubmission is gone, because somebody "
        "took its finalizer off or its job could not be cancelled in time: `Report` (condition `NoStrayJobs`) or `Cancel`. "
        "Jobs left behind on purpose (deletionPolicy: Orphan) are none.",
    )
    jobbergate: Jobbergate | None = Field(
        None, description="The Jobbergate API whose submissions for this cluster run here, in place of the Jobbergate Agent."
    )
    allow_options: tuple[OptionName, ...] = Field(
        (),
        max_length=64,
        description="Long names of sbatch options that are refused by default and allowed here, for example `chdir`. "
        "Options that change the identity or the wrapper (uid, gid, wrap, parsable, test-only, ...) cannot be allowed.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    deny_options: tuple[OptionName, ...] = Field(
        (),
        max_length=64,
        description="Long names of further sbatch options to refuse, in arguments and in `#SBATCH` lines.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class PartitionStatus(Model):
    """One partition."""

    name: str = Field(description="Its name.")
    state: str = Field(description="Slurm's word: up, down, drain or inactive.")
    nodes: int = Field(description="Number of nodes.")
    cpus: int = Field(description="Number of CPUs.")
    gpus: int = Field(0, description="Number of GPUs.")


class SlurmClusterStatus(Model):
    """What the operator knows of the cluster. Written by the operator alone."""

    slurm_version: str | None = Field(None, description="Version of Slurm.")
    cluster_name: str | None = Field(None, description="ClusterName in slurm.conf.")
    mapped_users: int | None = Field(None, description="Number of usable entries in the user mapping file.")
    partitions: tuple[PartitionStatus, ...] = Field((), description="Its partitions.", json_schema_extra=keyed_list("name"))
    jobbergate_version: str | None = Field(None, description="Version of the Jobbergate API.")
    conditions: Conditions = ()
    observed_generation: int | None = Field(None, description="The metadata.generation that this status speaks of.")


class SlurmCluster(Model):
    """A Slurm cluster that submissions can be sent to."""

    KIND: ClassVar = "SlurmCluster"
    PLURAL: ClassVar = "slurmclusters"

    metadata: Metadata
    spec: SlurmClusterSpec
    status: SlurmClusterStatus = SlurmClusterStatus()

    @model_validator(mode="before")
    @classmethod
    def _absent_status(cls, body: object) -> object:
        return {**body, "status": body.get("status") or {}} if isinstance(body, dict) else body
