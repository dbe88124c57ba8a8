"""Install, upgrade and uninstall on a real API server (of its own: the definitions are for the whole cluster)."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bed import life
from bed.life import Bed
from bed.operator import CHART, NAMESPACE
from tests.chart.support import Helm, one

pytestmark = pytest.mark.bed

SPEC: dict[str, Any] = {
    "ssh": {"hosts": [{"host": "login"}], "knownHosts": {"inline": "login ssh-ed25519 AAAA"}},
    "identity": {"mapping": {"configMap": "slurmgate-mapping"}},
}
SUBMISSION = {
    "apiVersion": "slurmgate.dev/v1alpha1",
    "kind": "JobSubmission",
    "metadata": {"name": "precious", "namespace": "physics"},
    "spec": {"clusterRef": {"name": "hpc"}, "owner": "ada@example.com", "script": {"inline": "#!/bin/sh\nhostname\n"}},
}


RIGHTS = {
    ("patch", "jobsubmissions.slurmgate.dev", "anywhere"): True,
    ("patch", "jobsubmissions.slurmgate.dev/status", "anywhere"): True,
    ("create", "jobsubmissions.slurmgate.dev", "anywhere"): False,
    ("delete", "jobsubmissions.slurmgate.dev", "anywhere"): False,
    ("create", "jobsubmissions.slurmgate.dev", "chemistry"): True,
    ("delete", "jobsubmissions.slurmgate.dev", "chemistry"): True,
    ("create", "configmaps", "chemistry"): True,
    ("get", "configmaps", "chemistry"): True,
    ("list", "configmaps", "chemistry"): False,
    ("get", "secrets", "chemistry"): False,
    ("patch", "slurmclusters.slurmgate.dev/status", ""): True,
    ("patch", "slurmclusters.slurmgate.dev", ""): False,
    ("watch", "secrets", NAMESPACE): True,
    ("get", "secrets", "physics"): True,
    ("list", "secrets", "physics"): False,
    ("get", "secrets", "elsewhere"): False,
    ("get", "configmaps", "elsewhere"): False,
    ("create", "leases.coordination.k8s.io", NAMESPACE): True,
    ("update", "leases.coordination.k8s.io", NAMESPACE): False,  # but its own
    ("create", "leases.coordination.k8s.io", "physics"): False,
    ("create", "pods", NAMESPACE): False,
}


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    bed = life.up(f"chart-{os.getpid()}", slurm=False)
    yield bed
    bed.down()


@dataclass(frozen=True)
class Release:
    """A release of the chart, and what it leaves in the cluster."""

    helm: Helm
    bed: Bed

    def do(self, verb: str, *arguments: str | Path, values: dict[str, Any] | None = None, fails: bool = False) -> str:
        where = [f"--kubeconfig={self.bed.kubernetes.kubeconfig}", f"--namespace={NAMESPACE}"]
        done = self.helm.run(verb, *arguments, *where, values=values)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def names(self, kind: str) -> set[str]:
        return {item["metadata"]["name"] for item in self.get(kind, "--all-namespaces")["items"]}

    def get(self, *what: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.kubectl("get", *what, "--output=json"))
        return answer

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        done = self.bed.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def emptied(helm: Helm, bed: Bed) -> Iterator[Release]:
    """No release yet, and nothing of it left afterwards."""
    release = Release(helm, bed)
    for namespace in (NAMESPACE, "physics", "chemistry"):
        bed.kubectl("create", "namespace", namespace)
    release.kubectl("annotate", "--overwrite", "namespace", "physics", "slurmgate.dev/owners=ada@example.com")
    release.kubectl("label", "--overwrite", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    yield release
    helm.run("uninstall", "slurmgate", f"--kubeconfig={bed.kubernetes.kubeconfig}", f"--namespace={NAMESPACE}")
    bed.kubectl("delete", "crd", "--all")


@pytest.fixture
def release(helm: Helm, bed: Bed) -> Iterator[Release]:
    with emptied(helm, bed) as release:
        yield release


@pytest.fixture(scope="class")
def installed(helm: Helm, bed: Bed) -> Iterator[Release]:
    with emptied(helm, bed) as release:
        notes = release.do("install", "slurmgate", CHART, values=values())
        assert "kubectl get slurmclusters" in notes
        assert "slurmgate.dev/owners" in notes
        yield release


def values(**spec: object) -> dict[str, Any]:
    mapping = {"create": True, "content": "users_id_mapping: []\n"}
    return {
        "submissionNamespaces": ["physics"],
        "jobbergate": {"namespaces": ["chemistry"]},
        "clusters": [{"name": "hpc", "spec": {**SPEC, **spec}}],
        "mapping": mapping,
        "networkPolicy": {"enabled": True, "clusterCIDRs": ["10.20.0.0/24"], "metricsFrom": [{"podSelector": {}}]},
    }


class TestInstalled:
    """What one `helm install` gives."""

    def test_definitions_clusters_and_mapping_are_there(self, installed: Release) -> None:
        definitions = {"jobsubmissions.slurmgate.dev", "slurmclusters.slurmgate.dev"}
        assert installed.names("customresourcedefinitions") == definitions
        assert installed.names("slurmclusters") == {"hpc"}
        mapping = installed.get("configmap", "slurmgate-mapping", f"--namespace={NAMESPACE}")
        assert mapping["data"] == {"ssh_mapping.yaml": "users_id_mapping: []\n"}

    def test_the_operator_has_exactly_its_rights(self, installed: Release) -> None:
        assert {question: granted(installed, *question) for question in RIGHTS} == RIGHTS

    def test_the_pod_is_let_into_a_restricted_namespace(self, installed: Release) -> None:
        deployment = one(installed.helm.template(), "Deployment", "slurmgate")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "probe", "namespace": NAMESPACE},
            "spec": deployment["spec"]["template"]["spec"],
        }
        installed.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
        del pod["spec"]["securityContext"]["seccompProfile"]
        refused = installed.bed.kubectl("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))
        assert 'violates PodSecurity "restricted' in refused.stderr

    def test_examples_are_valid(self, installed: Release) -> None:
        notes = installed.do("get", "notes", "slurmgate")
        shown = textwrap.dedent(re.sub(r".*<<EOF\n(.*?)\n *EOF\n.*", r"\1", notes, flags=re.DOTALL))
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        examples = yaml.safe_load(chart["annotations"]["artifacthub.io/crdsExamples"])
        for example in (yaml.safe_load(shown), *examples):
            manifest = json.dumps(example)
            installed.kubectl("create", "--dry-run=server", "--namespace=physics", "--filename=-", stdin=manifest)

    def test_what_is_made_of_an_agents_settings_completes_a_cluster(self, installed: Release) -> None:
        lines = [
            "OIDC_CLIENT_ID=hpc",
            "OIDC_CLIENT_SECRET='s3cr$t # \"x\"'",
            "TASK_JOBS_INTERVAL_SECONDS=30",
            "TASK_GARBAGE_COLLECTION_HOUR=0",
            "SBATCH_PATH=/opt/slurm/bin/sbatch",
            "DEFAULT_SLURM_WORK_DIR=/scratch/{username}",
            "INFLUX_DSN=influxdb://influx/slurm",
        ]
        program = [sys.executable, "-m", "slurmgate", "jobbergate", "import-env", "-"]
        settings = "".join(f"JOBBERGATE_AGENT_{line}\n" for line in lines)
        made = subprocess.run(program, input=settings, capture_output=True, text=True, check=True).stdout
        apply = ("apply", "--server-side", "--dry-run=server", "--filename=-", "--output=json")
        secret, cluster = json.loads(installed.kubectl(*apply, stdin=made))["items"]
        assert base64.b64decode(secret["data"]["client-secret"]).decode() == 's3cr$t # "x"'
        assert cluster["spec"]["jobbergate"]["metrics"]["dsnSecretRef"] == {"name": "hpc-jobbergate", "key": "influxdb"}
        assert cluster["spec"]["jobbergate"]["clientSecretRef"] == {"name": "hpc-jobbergate", "key": "client-secret"}
        assert cluster["spec"]["ssh"]["hosts"] == [{"host": "login", "port": 22}]

    def test_a_misspelt_field_of_a_cluster_is_named(self, installed: Release) -> None:
        complaint = installed.do("upgrade", "slurmgate", CHART, values=values(sssh={}), fails=True)
        assert ".spec.sssh: field not declared in schema" in complaint


@pytest.mark.slow
def test_upgrade_takes_over_what_the_first_install_made(release: Release) -> None:
    release.do("install", "slurmgate", CHART, values=values())
    before = release.get("slurmcluster", "hpc")["metadata"]
    release.do("upgrade", "slurmgate", CHART, values=values(limits={"pollIntervalSeconds": 42}))
    cluster = release.get("slurmcluster", "hpc")
    assert cluster["metadata"]["uid"] == before["uid"]
    assert cluster["spec"]["limits"]["pollIntervalSeconds"] == 42
    assert "helm.sh/hook" not in cluster["metadata"]["annotations"]
    release.do("upgrade", "slurmgate", CHART, values={"clusters": []})
    assert release.names("slurmclusters") == {"hpc"}, "a cluster is not removed together with its value"


@pytest.mark.slow
def test_upgrade_brings_a_new_field_and_its_first_use(release: Release, tmp_path: Path) -> None:
    release.do("install", "slurmgate", CHART, values=values())
    newer = shutil.copytree(CHART, tmp_path / "slurmgate")
    definition = newer / "files" / "crds" / "slurmgate.dev_slurmclusters.yaml"
    body = yaml.safe_load(definition.read_text())
    body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["novelty"] = {"type": "string"}
    definition.write_text("# Generated.\n" + yaml.safe_dump(body, sort_keys=False))
    release.do("upgrade", "slurmgate", newer, values=values(novelty="yes"))
    assert release.get("slurmcluster", "hpc")["spec"]["novelty"] == "yes"


@pytest.mark.slow
def test_uninstall_leaves_what_people_made_and_a_new_install_takes_it_back(release: Release) -> None:
    release.do("install", "slurmgate", CHART, values=values())
    release.kubectl("create", "--filename=-", stdin=json.dumps(SUBMISSION))
    submission = release.get("jobsubmission", "precious", "--namespace=physics")
    cluster = release.get("slurmcluster", "hpc")["metadata"]["uid"]

    release.do("uninstall", "slurmgate")
    assert release.names("customresourcedefinitions") == {"jobsubmissions.slurmgate.dev", "slurmclusters.slurmgate.dev"}
    assert release.get("jobsubmission", "precious", "--namespace=physics") == submission
    assert not release.names("deployments")
    assert not {each for each in release.names("clusterroles") if each.startswith("slurmgate")}

    release.do("install", "slurmgate", CHART, values=values())
    assert release.get("jobsubmission", "precious", "--namespace=physics") == submission
    assert release.get("slurmcluster", "hpc")["metadata"]["uid"] == cluster


@pytest.mark.slow
def test_another_release_does_not_take_over_by_mistake(release: Release) -> None:
    release.do("install", "slurmgate", CHART)
    release.do("uninstall", "slurmgate")
    assert "cannot be imported" in release.do("install", "other", CHART, fails=True)
    release.do("install", "other", CHART, "--take-ownership")
    release.do("uninstall", "other")


def granted(release: Release, verb: str, what: str, namespace: str) -> bool:
    resource, _, subresource = what.partition("/")
    options = [f"--as=system:serviceaccount:{NAMESPACE}:slurmgate"]
    options += [f"--namespace={namespace}"] if namespace else []
    options += [f"--subresource={subresource}"] if subresource else []
    answer = release.bed.kubectl("auth", "can-i", verb, resource, *options)
    return {"yes": True, "no": False}[answer.stdout.strip()]
