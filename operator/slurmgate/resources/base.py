"""What all resource models share: camelCase on the wire, frozen, and nothing unknown accepted."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "slurmgate.dev"
VERSION = "v1alpha1"
FINALIZER = f"{GROUP}/slurm-job"
OWNERS_ANNOTATION = f"{GROUP}/owners"
ADOPT_ANNOTATION = f"{GROUP}/adopt"
USE_LABEL = f"{GROUP}/use"
JOBBERGATE_CLUSTER_LABEL = f"{GROUP}/jobbergate-cluster"
"""On what was made for submissions in Jobbergate: the SlurmCluster."""
JOBBERGATE_SUBMISSION_LABEL = f"{GROUP}/jobbergate-submission"
JOBBERGATE_SCRIPT_LABEL = f"{GROUP}/jobbergate-script"
JOBBERGATE_TEMPLATE_LABEL = f"{GROUP}/jobbergate-template"


class Model(BaseModel):
    """Base of every part of our resources."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",  # the API server prunes what the schema does not know; newer CRDs may have more than this operator
        frozen=True,
        serialize_by_alias=True,
    )

    def wire(self) -> dict[str, Any]:
        """As it stands in the API: camelCase, unset fields left out, plain JSON types."""
        return self.model_dump(mode="json", exclude_none=True)


def exactly_one_of(*fields: str) -> dict[str, str]:
    """A CEL rule: one of these fields and no other (KEP-2876)."""
    present = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return {"rule": f"{present} == 1", "message": f"exactly one of {', '.join(fields)} must be set"}


def rules(*validations: dict[str, str]) -> dict[str, Any]:
    """Attach CEL rules to a model or a field."""
    return {"x-kubernetes-validations": list(validations)}


def keyed_list(*keys: str) -> dict[str, Any]:
    """A list whose items are told apart by these fields, so that server-side apply merges them."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
SingleLine = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""Text without newlines or other control characters: it ends up in command lines and log lines."""


class KeyReference(Model):
    """One key of a ConfigMap or Secret."""

    name: ObjectName = Field(description="Name of the ConfigMap or Secret.")
    key: DataKey = Field(description="Key inside it.")


WebAddress = Annotated[str, Field(max_length=1024, pattern=r"^https?://[^\s\x00-\x1f\x7f?#@]+$")]


class CertificateAuthority(Model):
    """Certificates (PEM) that are trusted instead of the system's."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("configMapKeyRef", "secretKeyRef")))

    config_map_key_ref: KeyReference | None = Field(None, description="A ConfigMap in the operator's namespace.")
    secret_key_ref: KeyReference | None = Field(None, description="A Secret in the operator's namespace.")


class Condition(Model):
    """One entry of `status.conditions`, as all Kubernetes resources have them (KEP-1623)."""

    type: str = Field(max_length=316, description="What this condition is about, in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Stable CamelCase word for programs. docs/reference/conditions.md lists them all.",
    )
    message: str = Field(
        max_length=32768, description="For people: what happened, in Slurm's or SSH's own words where there are any."
    )
    last_transition_time: datetime = Field(description="When the status last changed.")
    observed_generation: int | None = Field(None, description="The metadata.generation this was decided for.")


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        description="What is known, one entry for each type.",
        json_schema_extra=keyed_list("type"),
    ),
]
