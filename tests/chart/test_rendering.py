"""What the chart makes of its values."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bed.operator import CHART
from tests.chart.support import Helm, Manifest, one

ROOT = CHART.parents[1]
CLUSTER = {"name": "hpc", "spec": {"ssh": {"hosts": [{"host": "login"}], "knownHosts": {"inline": "login ssh-ed25519 AAAA"}}}}
SERVED = "--api-versions=slurmgate.dev/v1alpha1/SlurmCluster"
POLICIES_SERVED = "--api-versions=admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"


def test_lint_finds_nothing(helm: Helm) -> None:
    done = helm.run("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_are_those_of_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert chart["version"] == chart["appVersion"] == package["project"]["version"]


def test_every_kind_is_made_once_and_nothing_else(helm: Helm) -> None:
    manifests = helm.template()
    assert sorted((each["kind"], each["metadata"]["name"]) for each in manifests) == [
        ("ClusterRole", "slurmgate"),
        ("ClusterRole", "slurmgate-edit"),
        ("ClusterRole", "slurmgate-view"),
        ("ClusterRoleBinding", "slurmgate"),
        ("CustomResourceDefinition", "jobsubmissions.slurmgate.dev"),
        ("CustomResourceDefinition", "slurmclusters.slurmgate.dev"),
        ("Deployment", "slurmgate"),
        ("PodDisruptionBudget", "slurmgate"),
        ("Role", "slurmgate"),
        ("RoleBinding", "slurmgate"),
        ("Service", "slurmgate-metrics"),
        ("ServiceAccount", "slurmgate"),
    ]


def test_objects_of_a_release_with_another_name_do_not_meet_ours(helm: Helm) -> None:
    done = helm.run("template", "blue", CHART, "--set=crds.install=false", POLICIES_SERVED)
    names = {each["metadata"]["name"] for each in yaml.safe_load_all(done.stdout) if each}
    assert names
    assert all(name.startswith("blue-slurmgate") for name in names)


@pytest.mark.parametrize("definition", sorted((ROOT / "crds").glob("*.yaml")), ids=lambda path: path.stem)
def test_definitions_are_the_generated_ones_and_stay(helm: Helm, definition: Path) -> None:
    generated = yaml.safe_load(definition.read_text())
    rendered = one(helm.template(), "CustomResourceDefinition", generated["metadata"]["name"])
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered == generated
    unkept = one(helm.template({"crds": {"keep": False}}), "CustomResourceDefinition", generated["metadata"]["name"])
    assert unkept == generated
    assert (CHART / "files" / "crds" / definition.name).read_bytes() == definition.read_bytes(), "run `make generate`"


def test_definitions_can_come_from_elsewhere(helm: Helm) -> None:
    assert not [each for each in helm.template({"crds": {"install": False}}) if each["kind"] == "CustomResourceDefinition"]


def test_cluster_on_a_cluster_that_knows_the_kind(helm: Helm) -> None:
    cluster = one(helm.template({"clusters": [CLUSTER]}, SERVED), "SlurmCluster", "hpc")
    assert cluster["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert cluster["spec"] == CLUSTER["spec"]


def test_cluster_of_a_first_install_waits_for_its_definition(helm: Helm) -> None:
    cluster = one(helm.template({"clusters": [CLUSTER]}), "SlurmCluster", "hpc")
    assert cluster["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert cluster["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep",
        "helm.sh/hook": "post-install,post-upgrade",
        "meta.helm.sh/release-name": "slurmgate",
        "meta.helm.sh/release-namespace": "slurmgate-system",
    }


@pytest.mark.parametrize(
    "content", ["users_id_mapping: []\n", "  indented: |\n\tx\r\n# {{ not a template }}\n", "a: é # \"'\\"]
)
def test_mapping_arrives_byte_for_byte(helm: Helm, content: str) -> None:
    mapping = one(helm.template({"mapping": {"create": True, "content": content}}), "ConfigMap", "slurmgate-mapping")
    assert mapping["data"] == {"ssh_mapping.yaml": content}


def test_pod_runs_restricted(helm: Helm) -> None:
    pod = pod_spec(helm.template())
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert pod["enableServiceLinks"] is False
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    assert "memory" in container["resources"]["limits"]


def test_only_the_operators_own_pods_get_a_token_of_its_account(helm: Helm) -> None:
    manifests = helm.template()
    assert one(manifests, "ServiceAccount", "slurmgate")["automountServiceAccountToken"] is False
    assert pod_spec(manifests)["automountServiceAccountToken"] is True


def test_no_plugin_may_run_unless_it_is_named(helm: Helm) -> None:
    def allowed(**values: Any) -> list[str]:
        (container,) = pod_spec(helm.template(values))["containers"]
        return [variable["value"] for variable in container["env"] if variable["name"] == "SLURMGATE_PLUGINS"]

    assert allowed() == []
    assert allowed(plugins=["staff", "house-rules"]) == ["staff,house-rules"]


def test_a_second_one_stands_by_also_during_an_upgrade(helm: Helm) -> None:
    manifests = helm.template()
    deployment = one(manifests, "Deployment", "slurmgate")["spec"]
    assert deployment["replicas"] == 2
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    labels = deployment["template"]["metadata"]["labels"]
    (spread,) = pod_spec(manifests)["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway"
    assert spread["labelSelector"]["matchLabels"].items() <= labels.items()
    budget = one(manifests, "PodDisruptionBudget", "slurmgate")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_a_single_one_may_be_drained(helm: Helm) -> None:
    manifests = helm.template({"replicas": 1})
    assert one(manifests, "Deployment", "slurmgate")["spec"]["replicas"] == 1
    assert not [each for each in manifests if each["kind"] == "PodDisruptionBudget"]


def test_operator_is_told_where_it_is_and_probed(helm: Helm) -> None:
    manifests = helm.template({"log": {"level": "DEBUG"}, "extraEnv": [{"name": "HTTPS_PROXY", "value": "x"}]})
    (container,) = pod_spec(manifests)["containers"]
    environment = {each["name"]: each.get("value") or each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"]}
    assert environment == {
        "SLURMGATE_NAMESPACE": "metadata.namespace",
        "SLURMGATE_POD_NAME": "metadata.name",
        "SLURMGATE_LEASE_NAME": "slurmgate",
        "SLURMGATE_LEASE_DURATION": "15",
        "SLURMGATE_LEASE_RENEW_DEADLINE": "10",
        "SLURMGATE_LEASE_RETRY_PERIOD": "2",
        "SLURMGATE_LOG_FORMAT": "json",
        "SLURMGATE_LOG_LEVEL": "DEBUG",
        "HTTPS_PROXY": "x",
    }
    assert container["args"] == ["run"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        pytest.param({}, "slurmgate:0.1.0", id="the chart's own version"),
        pytest.param({"repository": "example.com/slurmgate", "tag": "1.2"}, "example.com/slurmgate:1.2", id="tag"),
        pytest.param({"tag": "1.2", "digest": f"sha256:{'0' * 64}"}, f"slurmgate@sha256:{'0' * 64}", id="digest wins"),
    ],
)
def test_image(helm: Helm, image: dict[str, str], reference: str) -> None:
    assert pod_spec(helm.template({"image": image}))["containers"][0]["image"] == reference


def test_pod_goes_where_the_admin_wants_it(helm: Helm) -> None:
    wanted: dict[str, Any] = {
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "system-cluster-critical",
    }
    manifests = helm.template({**wanted, "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}})
    pod = pod_spec(manifests)
    assert {name: pod[name] for name in wanted} == wanted
    metadata = one(manifests, "Deployment", "slurmgate")["spec"]["template"]["metadata"]
    assert metadata["annotations"] == {"a": "b"}
    assert metadata["labels"]["c"] == "d"


def test_metrics_are_found_by_name_of_port(helm: Helm) -> None:
    manifests = helm.template({"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}})
    service = one(manifests, "Service", "slurmgate-metrics")
    pod = one(manifests, "Deployment", "slurmgate")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    monitor = one(manifests, "ServiceMonitor", "slurmgate")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"] == "http"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def network_policy(helm: Helm, **values: Any) -> dict[str, Any]:
    policy = one(helm.template({"networkPolicy": {"enabled": True, **values}}), "NetworkPolicy", "slurmgate")
    spec: dict[str, Any] = policy["spec"]
    return spec


def test_network_policy_lets_out_what_is_needed_and_nothing_else(helm: Helm) -> None:
    ports = {
        "sshPorts": [22, 2222],
        "jobbergatePorts": [443, 8443],
        "directoryPorts": [636],
        "otherPorts": [8086],
        "vaultPorts": [8200],
    }
    policy = network_policy(helm, **ports)
    out = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    api_server, dns = {("TCP", 443), ("TCP", 6443)}, {("UDP", 53), ("TCP", 53)}
    assert out == dns | api_server | {("TCP", port) for port in (22, 2222, 8443, 636, 8086, 8200)}
    assert policy["ingress"] == [{"ports": [{"port": "http"}]}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_network_policy_can_say_where_login_nodes_are_and_who_reads_metrics(helm: Helm) -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
    policy = network_policy(helm, directoryPorts=[636], clusterCIDRs=["10.20.0.0/24", "fd00::/64"], metricsFrom=[prometheus])
    bound = [rule for rule in policy["egress"] if "to" in rule]
    (clusters,) = bound
    assert [peer["ipBlock"]["cidr"] for peer in clusters["to"]] == ["10.20.0.0/24", "fd00::/64"]
    assert {port["port"] for port in clusters["ports"]} == {22, 636}
    assert policy["ingress"] == [{"ports": [{"port": "http"}], "from": [prometheus]}]


@pytest.mark.parametrize("rule", ["jobbergate", "owners", "creator"])
def test_admission_policies_let_the_releases_own_account_through_where_policies_are_served(helm: Helm, rule: str) -> None:
    kinds = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert not [each for each in helm.template() if each["kind"] in kinds]
    manifests = helm.template({"admission": {"ownerIsCreator": True}}, POLICIES_SERVED)
    policy = one(manifests, "ValidatingAdmissionPolicy", f"slurmgate-{rule}")["spec"]
    binding = one(manifests, "ValidatingAdmissionPolicyBinding", f"slurmgate-{rule}")["spec"]
    (condition,) = policy["matchConditions"]
    assert condition["expression"] == 'request.userInfo.username != "system:serviceaccount:slurmgate-system:slurmgate"'
    assert one(manifests, "ServiceAccount", "slurmgate")["metadata"]["namespace"] == "slurmgate-system"
    assert policy["failurePolicy"] == "Fail"
    assert binding == {"policyName": f"slurmgate-{rule}", "validationActions": ["Deny"]}


def test_who_creates_a_submission_need_not_be_its_owner_unless_that_is_wanted(helm: Helm) -> None:
    policies = [each for each in helm.template(None, POLICIES_SERVED) if each["kind"] == "ValidatingAdmissionPolicy"]
    assert [each["metadata"]["name"] for each in policies] == ["slurmgate-jobbergate", "slurmgate-owners"]


def pod_spec(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = one(manifests, "Deployment", "slurmgate")["spec"]["template"]["spec"]
    return spec
