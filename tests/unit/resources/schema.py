"""The CRDs' schemas, asked the way the API server asks them."""

import copy
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]
CRDS = ROOT / "crds"
FILES = {
    "JobSubmission": "slurmgate.dev_jobsubmissions.yaml",
    "SlurmCluster": "slurmgate.dev_slurmclusters.yaml",
}


@cache
def definition(kind: str) -> Json:
    loaded: Json = yaml.safe_load((CRDS / FILES[kind]).read_text())
    return loaded


def version(kind: str) -> Json:
    (only,) = definition(kind)["spec"]["versions"]
    found: Json = only
    return found


def schema(kind: str, part: str) -> Json:
    found: Json = version(kind)["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def walk(node: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every level of a schema, with the path to it."""
    yield path, node
    for name, field in node.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}".lstrip("."))
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")


def refusal(kind: str, part: str, value: object) -> str | None:
    """Why the API server would refuse this, or drop a part of it; None if it takes all of it. CEL rules are not asked."""
    error = next(_validator(kind, part).iter_errors(value), None)
    return None if error is None else f"{error.json_path}: {error.message}"


@cache
def _validator(kind: str, part: str) -> jsonschema.Draft202012Validator:
    strict = copy.deepcopy(schema(kind, part))
    for _, node in walk(strict):
        if "properties" in node:
            node["additionalProperties"] = False  # it would be pruned: written, and gone
    validator: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {"pattern": _pattern, "x-kubernetes-int-or-string": _int_or_string}
    )
    return validator(strict, format_checker=_FORMATS)


def _pattern(_validator: object, pattern: str, instance: object, _schema: object) -> Iterator[ValidationError]:
    """Go's `$` is the end of the text; Python's may stand before a last line end."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _int_or_string(_validator: object, wanted: bool, instance: object, _schema: object) -> Iterator[ValidationError]:
    if wanted and (isinstance(instance, bool) or not isinstance(instance, int | str)):
        yield ValidationError(f"{instance!r} is neither a number nor text")


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None
