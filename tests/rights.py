"""What the operator may ask of the API server, and what the API server's audit log says that it did.

The list is held against the chart (tests/chart/test_rights.py), against whatever any test's operator asked
(tests/world.py), and against one that did everything there is to do (tests/security/test_whole_life.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Right(NamedTuple):
    """As RBAC has it."""

    verb: str
    resource: str
    """With the subresource, for example `jobsubmissions/status`."""


def rights(resource: str, *verbs: str) -> frozenset[Right]:
    return frozenset(Right(verb, resource) for verb in verbs)


EVERYWHERE = (
    rights("jobsubmissions", "get", "list", "watch", "patch")
    | rights("slurmclusters", "get", "list", "watch")
    | rights("jobsubmissions/status", "patch")
    | rights("slurmclusters/status", "patch")
    | rights("namespaces", "get")
    | rights("events", "create")
)
OWN_NAMESPACE = (
    rights("configmaps", "get", "list", "watch")
    | rights("secrets", "get", "list", "watch")
    | rights("leases", "create", "get", "update")
)
SUBMISSIONS = rights("configmaps", "get") | rights("secrets", "get")
"""In each of `submissionNamespaces`."""
JOBBERGATE = rights("jobsubmissions", "create", "delete") | rights("configmaps", "create", "get")
"""In each of `jobbergate.namespaces`."""
GROUPS = {"": {"configmaps", "events", "namespaces", "secrets"}, "coordination.k8s.io": {"leases"}}
"""All others are in our own."""


@dataclass(frozen=True)
class Asked:
    """One thing that somebody asked of the API server."""

    right: Right
    namespace: str
    """Empty for what has none, and for lists of all namespaces."""
    name: str
    """Also of a list that is of one object by its selector, as RBAC sees it; empty if it is of any."""
    forbidden: bool
    """By RBAC; an admission that says no is something else."""


def asked(audit_log: Path, user: str) -> Iterator[Asked]:
    """What a user asked for, oldest first; of what the audit policy writes down."""
    for line in audit_log.read_text().splitlines():
        if user not in line:
            continue
        entry = json.loads(line)
        about = entry.get("objectRef")
        if entry["user"]["username"] == user and about:
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            decision = entry.get("annotations", {}).get("authorization.k8s.io/decision")
            yield Asked(Right(entry["verb"], resource), about.get("namespace", ""), about.get("name", ""), decision == "forbid")


def unlisted(audit_log: Path, user: str) -> set[Right]:
    """Rights that the operator tried to use and that are in no list."""
    return {each.right for each in asked(audit_log, user)} - EVERYWHERE - OWN_NAMESPACE - SUBMISSIONS - JOBBERGATE
