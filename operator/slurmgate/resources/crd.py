"""Makes the CustomResourceDefinitions from the models, so that schema, documentation and code cannot drift apart.

`make generate` writes them. Kubernetes wants structural schemas: no references, no null,
a type at every level (KEP-1693), which is what `structural` turns pydantic's JSON Schema into.
"""

from typing import Any

from slurmgate.resources.base import GROUP, VERSION, Model
from slurmgate.resources.cluster import SlurmCluster, SlurmClusterSpec, SlurmClusterStatus
from slurmgate.resources.submission import JobSubmission, JobSubmissionSpec, JobSubmissionStatus

Json = dict[str, Any]

_RULES = "x-kubernetes-validations"


def structural(model: type[Model]) -> Json:
    """The model's structural schema."""
    schema = model.model_json_schema(by_alias=True)
    return _resolve(schema, schema.get("$defs", {}))


def _resolve(node: Json, definitions: Json) -> Json:
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[1]]
        rules = [*target.get(_RULES, ()), *node.get(_RULES, ())]  # those of the model and those of the field that has it
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}, **({_RULES: rules} if rules else {})}
    if "anyOf" in node:
        return _resolve(_without_union(node), definitions)
    resolved: Json = {}
    for key, value in node.items():
        match key:
            case "properties":
                resolved[key] = {name: _resolve(field, definitions) for name, field in value.items()}
            case "items":
                resolved[key] = _resolve(value, definitions)
            case "default" if value not in (None, [], {}):
                resolved[key] = _without_unset(value)
            case "description":
                resolved[key] = _reflowed(value)
            case "additionalProperties" if isinstance(value, dict):
                resolved[key] = _resolve(value, definitions)
            case "title" | "$defs" | "additionalProperties" | "default":
                pass
            case _:
                resolved[key] = value
    return resolved


def _without_unset(default: Any) -> Any:
    if not isinstance(default, dict):
        return default
    return {key: _without_unset(value) for key, value in default.items() if value not in (None, [])}


def _reflowed(text: str) -> str:
    """A docstring's paragraphs without its line breaks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _without_union(node: Json) -> Json:
    """`X | None` is an optional X; `int | str` is Kubernetes' int-or-string, whose bounds each hold for one of the two."""
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if node.get("x-kubernetes-int-or-string"):
        bounds = {key: value for option in options for key, value in option.items() if key != "type"}
        return {**bounds, **rest}
    (only,) = options
    return {**only, **rest}


def _column(name: str, path: str, *, kind: str = "string", wide: bool = False, description: str = "") -> Json:
    column: Json = {"name": name, "type": kind, "jsonPath": path}
    if description:
        column["description"] = description
    if wide:
        column["priority"] = 1
    return column


_AGE = _column("Age", ".metadata.creationTimestamp", kind="date")
_READY_REASON = '.status.conditions[?(@.type=="Ready")].reason'


def _definition(
    resource: type[JobSubmission] | type[SlurmCluster],
    *,
    spec: type[Model],
    status: type[Model],
    short_name: str,
    namespaced: bool,
    columns: list[Json],
    selectable: tuple[str, ...] = (),
) -> Json:
    singular = resource.KIND.lower()
    version: Json = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": resource.__doc__,
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": structural(spec),
                    "status": structural(status),
                },
            }
        },
    }
    if selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "kind": resource.KIND,
                "listKind": f"{resource.KIND}List",
                "plural": resource.PLURAL,
                "singular": singular,
                "shortNames": [short_name],
                "categories": ["slurm"],
            },
            "versions": [version],
        },
    }


def definitions() -> dict[str, Json]:
    """File name -> CustomResourceDefinition."""
    submission = _definition(
        JobSubmission,
        spec=JobSubmissionSpec,
        status=JobSubmissionStatus,
        short_name="jsub",
        namespaced=True,
        selectable=(".spec.clusterRef.name",),
        columns=[
            _column("Cluster", ".spec.clusterRef.name"),
            _column("User", ".status.user", description="The Slurm user it runs as"),
            _column("JobID", ".status.slurm.jobId", description="Slurm's job id"),
            _column("Phase", ".status.phase"),
            _column("State", ".status.slurm.state", description="Slurm's state"),
            _column("Reason", _READY_REASON, description="Why it stands where it stands"),
            _column("Partition", ".status.slurm.partition", wide=True),
            _column("Nodes", ".status.slurm.nodes", wide=True),
            _column("Exit", ".status.slurm.exitCode", kind="integer", wide=True),
            _column("Start", ".status.slurm.startTime", kind="date", wide=True),
            _AGE,
        ],
    )
    cluster = _definition(
        SlurmCluster,
        spec=SlurmClusterSpec,
        status=SlurmClusterStatus,
        short_name="slurmc",
        namespaced=False,
        columns=[
            _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
            _column("Reason", _READY_REASON),
            _column("Slurm", ".status.slurmVersion", description="Version of Slurm"),
            _column("Users", ".status.mappedUsers", kind="integer", description="Usable entries in the user mapping"),
            _column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
            _AGE,
        ],
    )
    return {
        f"{GROUP}_{resource.PLURAL}.yaml": body for resource, body in ((JobSubmission, submission), (SlurmCluster, cluster))
    }
