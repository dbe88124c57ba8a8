"""Values that are refused, and that every value is explained."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from bed.operator import CHART
from tests.chart.support import Helm

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
CLUSTER_SPEC: dict[str, Any] = {"ssh": {}}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        pytest.param({"replica": 2}, "additional properties 'replica' not allowed", id="an option that does not exist"),
        pytest.param(
            {"leaderElection": {"leaseDuration": 9}}, "renewDeadline has to be less", id="a Lease shorter than its deadline"
        ),
        pytest.param({"leaderElection": {"retryPeriod": 6}}, "at most half of", id="a Lease that is hardly ever renewed"),
        pytest.param({"image": {"name": "x"}}, "at '/image': additional properties 'name'", id="a misspelt one further down"),
        pytest.param({"image": {"repository": ""}}, "at '/image/repository'", id="no image"),
        pytest.param({"image": {"tag": "a b"}}, "at '/image/tag'", id="a tag with a space"),
        pytest.param({"image": {"digest": "sha256:123"}}, "at '/image/digest'", id="a short digest"),
        pytest.param({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy'", id="an unknown pull policy"),
        pytest.param({"crds": {"keep": "yes"}}, "at '/crds/keep'", id="text for a switch"),
        pytest.param({"submissionNamespaces": ["Team"]}, "at '/submissionNamespaces/0'", id="a namespace in capitals"),
        pytest.param({"submissionNamespaces": ["a", "a"]}, "at '/submissionNamespaces'", id="a namespace twice"),
        pytest.param(
            {"jobbergate": {"namespaces": ["team-{user}"]}}, "at '/jobbergate/namespaces/0'", id="a namespace of a template"
        ),
        pytest.param({"admission": {"ownerIsCreator": "yes"}}, "at '/admission/ownerIsCreator'", id="text for a rule"),
        pytest.param({"admission": {"usernamePrefix": "a b"}}, "at '/admission/usernamePrefix'", id="a prefix with a space"),
        pytest.param(
            {"admission": {"ownerIsCreator": True}},
            "this API server has no ValidatingAdmissionPolicy",
            id="a rule nobody keeps",
        ),
        pytest.param({"jobbergate": {"url": "x"}}, "at '/jobbergate': additional properties 'url'", id="a cluster's setting"),
        pytest.param({"networkPolicy": {"jobbergatePorts": [0]}}, "at '/networkPolicy/jobbergatePorts/0'", id="port 0"),
        pytest.param({"clusters": [{"spec": CLUSTER_SPEC}]}, "missing property 'name'", id="a cluster without name"),
        pytest.param({"clusters": [{"name": "hpc"}]}, "missing property 'spec'", id="a cluster without spec"),
        pytest.param({"clusters": [{"name": "HPC", "spec": CLUSTER_SPEC}]}, "at '/clusters/0/name'", id="a cluster's name"),
        pytest.param({"mapping": {"create": True}}, "at '/mapping/content'", id="a mapping without content"),
        pytest.param({"plugins": ["a,b"]}, "at '/plugins/0'", id="two plugins in one"),
        pytest.param({"log": {"level": "debug"}}, "at '/log/level'", id="a level in small letters"),
        pytest.param({"extraEnv": [{"name": "A B"}]}, "at '/extraEnv/0/name'", id="a variable with a space"),
        pytest.param({"networkPolicy": {"sshPorts": []}}, "at '/networkPolicy/sshPorts'", id="no way to any login node"),
        pytest.param({"networkPolicy": {"sshPorts": [65536]}}, "at '/networkPolicy/sshPorts/0'", id="a port that cannot be"),
        pytest.param({"resources": {"cpu": 1}}, "at '/resources'", id="resources without limits or requests"),
        pytest.param({"podLabels": {"a": 1}}, "at '/podLabels/a'", id="a number for a label"),
    ],
)
def test_refused(helm: Helm, values: dict[str, Any], complaint: str) -> None:
    done = helm.run("template", "slurmgate", CHART, values=values)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_helm_may_hand_over_what_a_parent_chart_has(helm: Helm) -> None:
    assert helm.template({"global": {"registry": "x"}})


def test_every_value_is_in_the_schema_with_a_description() -> None:
    assert {path for path, _ in properties(SCHEMA)} >= set(leaves(VALUES))
    assert not [path for path, schema in properties(SCHEMA) if "description" not in schema]


def test_objects_in_the_schema_are_closed() -> None:
    objects = [("", SCHEMA), *((path, schema) for path, schema in properties(SCHEMA) if "properties" in schema)]
    assert not [path for path, schema in objects if schema.get("additionalProperties") is not False]


def test_readme_explains_every_value() -> None:
    readme = (CHART / "README.md").read_text()
    assert not [path for path in leaves(VALUES) if f"`{path}`" not in readme]


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value and name != "resources":
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def properties(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, each in schema.get("properties", {}).items():
        yield prefix + name, each
        yield from properties(each, f"{prefix}{name}.")
        yield from properties(each.get("items", {}), f"{prefix}{name}[].")
