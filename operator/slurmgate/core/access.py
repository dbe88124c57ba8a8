"""What `spec.access` of a SlurmCluster lets through: whose submissions, from where, for which account, partition and QOS."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.owners import listed
from slurmgate.core.reasons import Reason
from slurmgate.resources.access import Access

LIMITED: Final = ("account", "partition", "qos")
"""sbatch options that can be limited, which are also the names of fields of spec and spec.defaults."""
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What a submission asks for by an option, and where that stands."""

    value: str | None
    where: str


def limits(access: Access) -> dict[str, Collection[str]]:
    """The options that are limited, with what they may be."""
    allowed = {"account": access.accounts, "partition": access.partitions, "qos": access.qos}
    return {option: values for option, values in allowed.items() if values is not None}


def refused_visitor(access: Access, *, namespace: str, owner: str) -> Refused | None:
    """Why nobody from this namespace, or not this owner, may use the cluster; None if they may."""
    if access.namespaces is not None and not any(fnmatchcase(namespace, pattern) for pattern in access.namespaces):
        return _denied(
            f"metadata.namespace: submissions from {namespace} do not run on this cluster, only those from "
            f"{_shown(access.namespaces)} (spec.access.namespaces of the SlurmCluster)"
        )
    if access.owners is not None and not listed(owner, access.owners):
        return _denied(
            f"spec.owner: {owner} is not among those who may use this cluster (spec.access.owners of the SlurmCluster)"
        )
    return None


def refused_user(access: Access, user: str) -> Refused | None:
    """Why nobody's jobs run as this Slurm user; None if they may."""
    if user not in access.system_users:
        return None
    return _denied(f"spec.owner: is mapped to {user}, a system account (spec.access.systemUsers of the SlurmCluster)")


def refused_choice(access: Access, chosen: Mapping[str, Choice], *, part: str = "") -> Refused | None:
    """Why account, partition or QOS may not be what they would be.

    Args:
        access: The rules.
        chosen: By option; one that is not in here would be Slurm's own default, which may be any.
        part: Words for the component of a heterogeneous job that this is about.
    """
    for option, allowed in limits(access).items():
        rule = f"{_shown(allowed)} (spec.access.{_field(option)} of the SlurmCluster)"
        choice = chosen.get(option)
        if choice is None:
            return _denied(
                f"spec.{option}: is not set{part}, and Slurm's own default is not used on this cluster, which allows {rule}. "
                f"Set it{part or f', or have an admin set spec.defaults.{option}'}."
            )
        unknown = [value for value in (choice.value or "").split(",") if value not in allowed]
        if unknown:
            return _denied(f"{choice.where}: --{option}={choice.value} is not allowed on this cluster, which allows {rule}")
    return None


def refused_login(access: Access, user: str, *, login: str, uid: int | None) -> Refused | NotNow:
    """What it means that the log-in as `user` has this name and uid on the cluster, and is not to be used.

    A name that is not known there now (the directory behind it may be away) says nothing for good.
    """
    if not login or uid is None:
        return NotNow(Reason.COMMAND_FAILED, f"id: the login node does not say as whom one is logged in as {user}")
    if login != user:
        return Refused(
            Reason.WRONG_LOGIN,
            f"Logged in as {user} one is {login} on the cluster, so nothing was placed there. An admin has to put right the "
            "entry in the user mapping, or the login node.",
        )
    return Refused(
        Reason.WRONG_LOGIN,
        f"{user} has uid {uid} on the cluster: below {access.minimum_uid} (spec.access.minimumUid of the SlurmCluster) are "
        "system accounts, and jobs belong to people.",
    )


def _field(option: str) -> str:
    return option if option == "qos" else f"{option}s"


def _shown(allowed: Collection[str]) -> str:
    names = sorted(allowed)
    return ", ".join(names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")


def _denied(message: str) -> Refused:
    return Refused(Reason.ACCESS_DENIED, message)
