"""Who may use a Slurm cluster, and what of it. What is not set is not restricted; Slurm's own limits hold as ever."""

from typing import Annotated

from pydantic import Field, JsonValue

from slurmgate.resources.base import Model
from slurmgate.resources.ssh import LoginName

NamespacePattern = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$")]
OwnerPattern = Annotated[str, Field(max_length=254, pattern=r"^(\*|[!-)+-?A-~]+)@[!-)+-?A-~]+$")]
SlurmName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x20,\x7f]+$")]

_SET: dict[str, JsonValue] = {"x-kubernetes-list-type": "set"}


class Access(Model):
    """Who may use the cluster, and what of it."""

    namespaces: tuple[NamespacePattern, ...] | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Namespaces whose submissions may run here; `*` stands for any letters, as in `physics-*`. Not set: all.",
        json_schema_extra=_SET,
    )
    owners: tuple[OwnerPattern, ...] | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="People who may use the cluster, as mail addresses or `*@domain`; the namespace's annotation "
        "`slurmgate.dev/owners` has to name them besides. Not set: everybody.",
        json_schema_extra=_SET,
    )
    accounts: tuple[SlurmName, ...] | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Slurm accounts that may be used. Who asks for none gets the one of his entry in the user mapping or of "
        "spec.defaults; where there is none either he is refused, for Slurm's default may be any. Not set: all.",
        json_schema_extra=_SET,
    )
    partitions: tuple[SlurmName, ...] | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="Partitions that may be used: all of them where several are asked for, as in `a,b`. Who asks for none gets "
        "the one of spec.defaults; where there is none he is refused, for Slurm's default may be any. Not set: all.",
        json_schema_extra=_SET,
    )
    qos: tuple[SlurmName, ...] | None = Field(
        None,
        min_length=1,
        max_length=128,
        description="QOS that may be used, with the same rule. Not set: all.",
        json_schema_extra=_SET,
    )
    system_users: tuple[LoginName, ...] = Field(
        (),
        max_length=128,
        description="Further accounts as which nobody's jobs run, besides root, slurm and other well-known ones.",
        json_schema_extra=_SET,
    )
    minimum_uid: int = Field(
        1000,
        ge=1,
        description="Accounts with a smaller uid on the cluster are system accounts, as which nobody's jobs run. The login "
        "node itself is asked, whenever something is placed there.",
    )
