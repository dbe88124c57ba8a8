"""How a SlurmCluster is bound to Jobbergate, and what JobSubmissions keep of it."""

from typing import Annotated

from pydantic import ConfigDict, Field

from slurmgate.resources.base import CertificateAuthority, KeyReference, Model, SingleLine, WebAddress, exactly_one_of, rules

SubmissionId = Annotated[int, Field(ge=1, le=2**31 - 1)]


class JobMetrics(Model):
    """Where Slurm's plugin acct_gather_profile/influxdb writes what jobs use, and how often that is handed to Jobbergate."""

    dsn_secret_ref: KeyReference = Field(
        description="A Secret in the operator's namespace with the address of InfluxDB 1.x, as "
        "`https+influxdb://user:password@host:8086/database`; `influxdb://` is the same without encryption. "
        "The user needs no more than to read the database."
    )
    certificate_authority: CertificateAuthority | None = Field(
        None,
        description="Whom to trust instead of the system's authorities, if the address begins with `https+influxdb://`. "
        "InfluxDB's certificate is always checked.",
    )
    interval_seconds: int = Field(60, ge=10, le=3600, description="Seconds between two looks into InfluxDB.")


class Jobbergate(Model):
    """The Jobbergate API whose submissions for this cluster run here."""

    url: WebAddress = Field(description="Base URL of the API, as the Agent's BASE_API_URL; `/jobbergate` is added to it.")
    oidc_url: WebAddress = Field(
        description="URL of the OIDC realm, for example `https://auth.example.org/realms/site`; "
        "`/protocol/openid-connect/token` is added to it."
    )
    client_id: str = Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\s\x00-\x1f\x7f]+$",
        description="The OIDC client, which for Jobbergate is the cluster: submissions with this `client_id` run here.",
    )
    client_secret_ref: KeyReference = Field(
        description="Its secret, in a Secret in the operator's namespace. Read for every token, so it may change at any time."
    )
    certificate_authority: CertificateAuthority | None = Field(
        None, description="Whom to trust about `url` and `oidcUrl` instead of the system's authorities."
    )
    namespace: str = Field(
        max_length=63,
        pattern=r"^([a-z0-9]|-|\{user\})+$",
        description="Namespace in which the JobSubmissions are made: one for all, or with `{user}` one for each Slurm user, "
        "for example `team-{user}`. Namespaces are made by admins, never by Slurmgate.",
    )
    poll_interval_seconds: int = Field(
        3, ge=1, le=3600, description="Seconds between two questions about what is new in Jobbergate."
    )
    full_interval_seconds: int = Field(
        300, ge=10, le=86400, description="Seconds between two looks at all submissions, which find those that were deleted."
    )
    health_interval_seconds: int = Field(
        60, ge=5, le=3600, description="Seconds between two reports to Jobbergate that the cluster is well."
    )
    retention_seconds: int = Field(
        7 * 86400,
        ge=60,
        description="For so long a JobSubmission stays that has ended and whose end Jobbergate has heard.",
    )
    metrics: JobMetrics | None = Field(None, description="Hand over what jobs use, from Slurm's InfluxDB.")
    collect_garbage: bool = Field(
        default=False,
        description="Have APIs before 5.7 remove unused files once a day, as the Agent's TASK_GARBAGE_COLLECTION_HOUR did.",
    )


class JobbergateFile(Model):
    """A file of a job script in Jobbergate, read when the job is submitted."""

    job_script_id: SubmissionId = Field(description="Id of the job script.")
    filename: str = Field(max_length=1024, description="Name of the file in Jobbergate.")


class Origin(Model):
    """What the submission has to do with Jobbergate."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("submissionId", "register")))

    submission_id: SubmissionId | None = Field(
        None,
        description="Id of the submission in Jobbergate that this one was made for. Written by the operator; from anybody else "
        "it is refused.",
    )
    registers: bool | None = Field(
        None,
        alias="register",
        description="`true`: tell Jobbergate of this submission once Slurm has it, so that it is seen there, too. The client "
        "of the SlurmCluster needs the permission to create submissions, and an e-mail in its token.",
    )


class JobbergateStatus(Model):
    """The submission in Jobbergate."""

    id: SubmissionId = Field(description="Its id.")
    name: SingleLine | None = Field(None, description="Its name.")
    job_script_id: int | None = Field(None, description="Id of its job script.")
    job_script_template_id: int | None = Field(None, description="Id of the template of its job script.")
    reported: str | None = Field(None, description="What Jobbergate has heard last: a Slurm state, or `REJECTED`.")
