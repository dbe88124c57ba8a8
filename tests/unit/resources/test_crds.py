"""The CRDs keep the rules that the API server has, and those that make `kubectl` pleasant."""

import re
from collections.abc import Iterator

import pytest

from generate.files import stale
from slurmgate.resources.submission import MUTABLE
from tests.unit.resources.schema import CRDS, FILES, Json, definition, schema, version, walk

KINDS = tuple(FILES)
PARTS = ("spec", "status")

KEYWORDS = {
    *("type", "description", "properties", "required", "items", "enum", "format", "default"),
    *("minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems", "maxProperties"),
    "additionalProperties",
    *("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-int-or-string"),
}
"""Those of apiextensions.k8s.io/v1 JSONSchemaProps that we use. `const`, `examples` and `$ref` are not of them."""


def nodes() -> Iterator[tuple[str, Json]]:
    for kind in KINDS:
        for part in PARTS:
            for path, node in walk(schema(kind, part), part):
                yield f"{kind} {path}", node


NODES = dict(nodes())
FIELDS = {path: node for path, node in NODES.items() if not path.endswith("[]")}
LISTS = {path: node for path, node in NODES.items() if node.get("type") == "array"}


def test_the_files_are_what_the_models_say() -> None:
    assert not [path.name for path in stale() if path.suffix == ".yaml"], "run `make generate`"


def test_there_is_no_other_crd() -> None:
    assert {path.name for path in CRDS.iterdir()} == set(FILES.values())


@pytest.mark.parametrize("path", NODES)
def test_every_level_is_structural(path: str) -> None:
    node = NODES[path]
    assert node.keys() <= KEYWORDS
    if node.get("x-kubernetes-int-or-string"):
        assert "type" not in node
    else:
        assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}
    assert (("properties" in node) != ("additionalProperties" in node)) == (node.get("type") == "object")
    assert ("items" in node) == (node.get("type") == "array")
    assert set(node.get("required", [])) <= node.get("properties", {}).keys()


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_explained(path: str) -> None:
    description = FIELDS[path].get("description", "")
    assert description, "kubectl explain would show nothing"
    assert "\n" not in description.replace("\n\n", ""), "line breaks of the source"
    assert description[0].isupper() or description.startswith(
        ("`", "sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun")
    )
    assert description.endswith((".", ")", "sbatch.lines"))


@pytest.mark.parametrize("path", LISTS)
def test_lists_of_named_things_are_merged_by_name(path: str) -> None:
    node = LISTS[path]
    fields = node["items"].get("properties", {})
    if not fields or node.get("x-kubernetes-list-type") == "atomic":
        assert node.get("x-kubernetes-list-type") in {None, "set", "atomic"}
        return
    keys = node["x-kubernetes-list-map-keys"]
    assert node["x-kubernetes-list-type"] == "map"
    assert keys
    for key in keys:
        assert key in node["items"].get("required", []) or "default" in fields[key], "a key that may be missing"


@pytest.mark.parametrize("path", [path for path in LISTS if " spec" in path])
def test_lists_that_people_write_have_an_end(path: str) -> None:
    """CEL rules inside would cost too much otherwise, and objects would grow without bounds."""
    assert LISTS[path]["maxItems"] <= 128


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if " spec" in path and node.get("type") == "string"])
def test_texts_that_people_write_have_an_end(path: str) -> None:
    assert "enum" in NODES[path] or NODES[path]["maxLength"] <= 1024 * 1024


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if "pattern" in node])
def test_patterns_are_whole_and_can_be_read_by_go(path: str) -> None:
    pattern = NODES[path]["pattern"]
    re.compile(pattern)
    assert not re.search(r"\(\?[=!<P]|\\[1-9]|\\[zZ]", pattern), "look-around and back-references do not exist in RE2"
    assert pattern.startswith("^")
    assert pattern.endswith("$")


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if "enum" in node])
def test_choices_are_words_without_repetition(path: str) -> None:
    choices = NODES[path]["enum"]
    assert len(set(choices)) == len(choices)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", choice) for choice in choices)


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if "x-kubernetes-validations" in node])
def test_every_rule_says_what_is_wrong(path: str) -> None:
    for rule in NODES[path]["x-kubernetes-validations"]:
        assert rule.keys() == {"rule", "message"}
        assert rule["message"]
        assert "\n" not in rule["message"]


@pytest.mark.parametrize("path", [path for path, node in NODES.items() if path.split(".")[-1].endswith("Time")])
def test_times_are_times(path: str) -> None:
    assert NODES[path]["format"] == "date-time"


# What defines a job stays --------------------------------------------------------------------------------------------

SPEC = schema("JobSubmission", "spec")
DEFINING = {name: field for name, field in SPEC["properties"].items() if name not in MUTABLE}


def test_only_wishes_may_change() -> None:
    assert set(SPEC["properties"]) - set(DEFINING) == {"suspend", "cancel", "deletionPolicy", "readyWhen"}


@pytest.mark.parametrize("name", DEFINING)
def test_what_defines_the_job_cannot_change(name: str) -> None:
    assert "self == oldSelf" in [rule["rule"] for rule in DEFINING[name]["x-kubernetes-validations"]]


@pytest.mark.parametrize(
    "name", [name for name, field in DEFINING.items() if "default" not in field and name not in SPEC["required"]]
)
def test_what_defines_the_job_can_be_neither_added_nor_removed(name: str) -> None:
    (rule,) = SPEC["x-kubernetes-validations"]
    assert f"has(self.{name}) == has(oldSelf.{name})" in rule["rule"]


def test_there_is_no_way_back_from_a_cancellation() -> None:
    (rule,) = SPEC["properties"]["cancel"]["x-kubernetes-validations"]
    assert rule["rule"] == "self || !oldSelf"


SOURCES = {
    "spec.script": {"inline", "configMapKeyRef", "remotePath", "slurmJobId"},
    "spec.files[]": {"inline", "inlineBase64", "configMapKeyRef", "secretKeyRef", "jobbergate"},
    "spec.jobbergate": {"submissionId", "register"},
    "spec.environment[]": {"value", "valueFrom"},
    "spec.environment[].valueFrom": {"configMapKeyRef", "secretKeyRef"},
}


@pytest.mark.parametrize("path", SOURCES)
def test_exactly_one_source_is_given(path: str) -> None:
    rules = [rule["rule"] for rule in NODES[f"JobSubmission {path}"]["x-kubernetes-validations"]]
    counting = [rule for rule in rules if rule.endswith("== 1")]
    assert len(counting) == 1
    assert set(re.findall(r"has\(self\.(\w+)\)", counting[0])) == SOURCES[path]


# How it looks in kubectl ---------------------------------------------------------------------------------------------

COLUMNS = {
    "JobSubmission": ["Cluster", "User", "JobID", "Phase", "State", "Reason", "Age"],
    "SlurmCluster": ["Ready", "Reason", "Slurm", "Users", "Age"],
}
WIDE = {"JobSubmission": ["Partition", "Nodes", "Exit", "Start"], "SlurmCluster": ["Message"]}


@pytest.mark.parametrize("kind", KINDS)
def test_columns(kind: str) -> None:
    columns = version(kind)["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == COLUMNS[kind]
    assert [column["name"] for column in columns if "priority" in column] == WIDE[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_show_what_is_there(kind: str) -> None:
    for column in version(kind)["additionalPrinterColumns"]:
        part, *names = re.sub(r"\[\?\([^]]*\)\]", "[]", column["jsonPath"]).lstrip(".").split(".")
        if part == "metadata":
            assert names == ["creationTimestamp"]
            continue
        path = f"{kind} {part}"
        for name in names:
            bare = name.removesuffix("[]")
            assert f"{path}.{bare}" in NODES, column
            path = f"{path}.{name}"
        shown = NODES[path]
        assert column["type"] == ("date" if shown.get("format") == "date-time" else shown["type"])


@pytest.mark.parametrize(
    ("kind", "scope", "short"), [("JobSubmission", "Namespaced", "jsub"), ("SlurmCluster", "Cluster", "slurmc")]
)
def test_names(kind: str, scope: str, short: str) -> None:
    spec = definition(kind)["spec"]
    names = spec["names"]
    assert (spec["group"], spec["scope"]) == ("slurmgate.dev", scope)
    assert (names["kind"], names["shortNames"], names["categories"]) == (kind, [short], ["slurm"])
    assert definition(kind)["metadata"]["name"] == f"{names['plural']}.slurmgate.dev"
    assert version(kind)["name"] == "v1alpha1"


@pytest.mark.parametrize("kind", KINDS)
def test_status_is_written_apart_from_spec(kind: str) -> None:
    assert version(kind)["subresources"] == {"status": {}}
    assert version(kind)["schema"]["openAPIV3Schema"]["required"] == ["spec"]


def test_submissions_can_be_selected_by_cluster() -> None:
    assert version("JobSubmission")["selectableFields"] == [{"jsonPath": ".spec.clusterRef.name"}]
    assert NODES["JobSubmission spec.clusterRef.name"]["type"] == "string"
