"""What the operator and people may do: exactly this."""

from typing import Any

from tests.chart.support import Helm, one

ACCOUNT = {"kind": "ServiceAccount", "name": "slurmgate", "namespace": "slurmgate-system"}


def rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def test_operator_everywhere(helm: Helm) -> None:
    manifests = helm.template({"submissionNamespaces": ["physics"]})
    assert one(manifests, "ClusterRole", "slurmgate")["rules"] == [
        rule("slurmgate.dev", ["jobsubmissions"], ["get", "list", "watch", "patch"]),
        rule("slurmgate.dev", ["slurmclusters"], ["get", "list", "watch"]),
        rule("slurmgate.dev", ["jobsubmissions/status", "slurmclusters/status"], ["patch"]),
        rule("", ["namespaces"], ["get"]),
        rule("", ["events"], ["create"]),
    ]
    assert one(manifests, "ClusterRoleBinding", "slurmgate")["subjects"] == [ACCOUNT]


def test_operator_in_its_own_namespace(helm: Helm) -> None:
    manifests = helm.template()
    role = one(manifests, "Role", "slurmgate")
    assert role["metadata"]["namespace"] == "slurmgate-system"
    assert role["rules"] == [
        rule("", ["configmaps", "secrets"], ["get", "list", "watch"]),
        rule("coordination.k8s.io", ["leases"], ["create"]),
        {**rule("coordination.k8s.io", ["leases"], ["get", "update"]), "resourceNames": ["slurmgate"]},
    ]
    assert one(manifests, "RoleBinding", "slurmgate")["subjects"] == [ACCOUNT]


def test_operator_in_the_namespaces_of_submissions(helm: Helm) -> None:
    manifests = helm.template({"submissionNamespaces": ["physics", "chemistry"]})
    ours = [each for each in manifests if each["metadata"]["name"] == "slurmgate-submissions"]
    roles = [each for each in ours if each["kind"] == "Role"]
    bindings = [each for each in ours if each["kind"] == "RoleBinding"]
    assert [each["metadata"]["namespace"] for each in roles] == ["physics", "chemistry"]
    assert [each["metadata"]["namespace"] for each in bindings] == ["physics", "chemistry"]
    assert all(each["rules"] == [rule("", ["configmaps", "secrets"], ["get"])] for each in roles)
    assert all(each["subjects"] == [ACCOUNT] for each in bindings)
    assert all(each["roleRef"]["name"] == "slurmgate-submissions" for each in bindings)


def test_people(helm: Helm) -> None:
    manifests = helm.template()
    view, edit = one(manifests, "ClusterRole", "slurmgate-view"), one(manifests, "ClusterRole", "slurmgate-edit")
    assert view["rules"] == [rule("slurmgate.dev", ["jobsubmissions", "slurmclusters"], ["get", "list", "watch"])]
    verbs = ["create", "update", "patch", "delete", "deletecollection"]
    assert edit["rules"] == [rule("slurmgate.dev", ["jobsubmissions"], verbs)]
    assert aggregated(view) == {"view", "edit", "admin"}
    assert aggregated(edit) == {"edit", "admin"}


def test_nothing_in_the_chart_has_more(helm: Helm) -> None:
    manifests = helm.template({"submissionNamespaces": ["physics"]})
    roles = [each for each in manifests if each["kind"] in {"ClusterRole", "Role"}]
    rules = [(role["kind"], each) for role in roles for each in role["rules"]]
    assert not [each for _, each in rules if "*" in each["verbs"] + each["resources"] + each["apiGroups"]]
    assert not [each for kind, each in rules if kind == "ClusterRole" and {"secrets", "configmaps"} & set(each["resources"])]
    assert not [each for _, each in rules if each["apiGroups"] not in ([""], ["slurmgate.dev"], ["coordination.k8s.io"])]


def aggregated(role: dict[str, Any]) -> set[str]:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    return {label.removeprefix(prefix) for label in role["metadata"]["labels"] if label.startswith(prefix)}
