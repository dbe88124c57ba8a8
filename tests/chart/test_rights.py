"""What the operator and people may do: exactly this."""

from typing import Any

import pytest

from tests.chart.support import Helm, Manifest, one
from tests.rights import EVERYWHERE, GROUPS, JOBBERGATE, OWN_NAMESPACE, SUBMISSIONS, Right

ACCOUNT = {"kind": "ServiceAccount", "name": "slurmgate", "namespace": "slurmgate-system"}


def rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def granted(role: Manifest) -> set[Right]:
    """What a role allows; fails for what is in another group than it is said to be."""
    found = set[Right]()
    for each in role["rules"]:
        (group,) = each["apiGroups"]
        for resource in each["resources"]:
            listed = [name for name, resources in GROUPS.items() if resource.partition("/")[0] in resources]
            assert listed == [group] or (group == "slurmgate.dev" and not listed)
            found |= {Right(verb, resource) for verb in each["verbs"]}
    return found


def test_operator_everywhere(helm: Helm) -> None:
    manifests = helm.template({"submissionNamespaces": ["physics"]})
    role = one(manifests, "ClusterRole", "slurmgate")
    assert granted(role) == EVERYWHERE
    assert not [each for each in role["rules"] if "resourceNames" in each]
    assert one(manifests, "ClusterRoleBinding", "slurmgate")["subjects"] == [ACCOUNT]


def test_operator_in_its_own_namespace(helm: Helm) -> None:
    manifests = helm.template()
    role = one(manifests, "Role", "slurmgate")
    assert role["metadata"]["namespace"] == "slurmgate-system"
    assert granted(role) == OWN_NAMESPACE
    assert [each["resourceNames"] for each in role["rules"] if "resourceNames" in each] == [["slurmgate"]], "its Lease"
    assert one(manifests, "RoleBinding", "slurmgate")["subjects"] == [ACCOUNT]


def test_operator_reads_only_what_is_named_in_its_own_namespace_if_anything_is(helm: Helm) -> None:
    named = {"secrets": ["kirby-ssh-key", "jobbergate-client"], "configMaps": ["slurmgate-mapping"]}
    role = one(helm.template({"readable": named}), "Role", "slurmgate")
    assert granted(role) == OWN_NAMESPACE
    names = {each["resources"][0]: each.get("resourceNames") for each in role["rules"] if each["apiGroups"] == [""]}
    assert names == {"secrets": named["secrets"], "configmaps": named["configMaps"]}


@pytest.mark.parametrize(("kind", "other"), [("secrets", "configmaps"), ("configMaps", "secrets")])
def test_naming_the_one_kind_leaves_the_other_as_it_is(helm: Helm, kind: str, other: str) -> None:
    role = one(helm.template({"readable": {kind: ["a"]}}), "Role", "slurmgate")
    names = {each["resources"][0]: each.get("resourceNames") for each in role["rules"] if each["apiGroups"] == [""]}
    assert names == {kind.lower(): ["a"], other: None}


def test_operator_in_the_namespaces_of_submissions(helm: Helm) -> None:
    manifests = helm.template({"submissionNamespaces": ["physics", "chemistry"]})
    ours = [each for each in manifests if each["metadata"]["name"] == "slurmgate-submissions"]
    roles = [each for each in ours if each["kind"] == "Role"]
    bindings = [each for each in ours if each["kind"] == "RoleBinding"]
    assert [each["metadata"]["namespace"] for each in roles] == ["physics", "chemistry"]
    assert [each["metadata"]["namespace"] for each in bindings] == ["physics", "chemistry"]
    assert all(granted(each) == SUBMISSIONS for each in roles)
    assert all(each["subjects"] == [ACCOUNT] for each in bindings)
    assert all(each["roleRef"]["name"] == "slurmgate-submissions" for each in bindings)


def test_operator_in_the_namespaces_of_jobbergate(helm: Helm) -> None:
    manifests = helm.template({"jobbergate": {"namespaces": ["physics", "chemistry"]}})
    ours = [each for each in manifests if each["metadata"]["name"] == "slurmgate-jobbergate"]
    roles = [each for each in ours if each["kind"] == "Role"]
    bindings = [each for each in ours if each["kind"] == "RoleBinding"]
    assert [each["metadata"]["namespace"] for each in roles] == ["physics", "chemistry"]
    assert [each["metadata"]["namespace"] for each in bindings] == ["physics", "chemistry"]
    assert all(granted(each) == JOBBERGATE for each in roles)
    assert all(each["subjects"] == [ACCOUNT] for each in bindings)
    assert all(each["roleRef"]["name"] == "slurmgate-jobbergate" for each in bindings)


def test_people(helm: Helm) -> None:
    manifests = helm.template()
    view, edit = one(manifests, "ClusterRole", "slurmgate-view"), one(manifests, "ClusterRole", "slurmgate-edit")
    assert view["rules"] == [rule("slurmgate.dev", ["jobsubmissions", "slurmclusters"], ["get", "list", "watch"])]
    verbs = ["create", "update", "patch", "delete", "deletecollection"]
    assert edit["rules"] == [rule("slurmgate.dev", ["jobsubmissions"], verbs)]
    assert aggregated(view) == {"view", "edit", "admin"}
    assert aggregated(edit) == {"edit", "admin"}


def test_nothing_in_the_chart_has_more(helm: Helm) -> None:
    manifests = helm.template({"submissionNamespaces": ["physics"], "jobbergate": {"namespaces": ["physics"]}})
    roles = [each for each in manifests if each["kind"] in {"ClusterRole", "Role"}]
    rules = [(role["kind"], each) for role in roles for each in role["rules"]]
    assert not [each for _, each in rules if "*" in each["verbs"] + each["resources"] + each["apiGroups"]]
    assert not [each for kind, each in rules if kind == "ClusterRole" and {"secrets", "configmaps"} & set(each["resources"])]
    assert not [each for _, each in rules if each["apiGroups"] not in ([""], ["slurmgate.dev"], ["coordination.k8s.io"])]


def aggregated(role: dict[str, Any]) -> set[str]:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {label.removeprefix(prefix) for label in role["metadata"]["labels"] if label.startswith(prefix)}
