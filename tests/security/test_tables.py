"""The list of attempts is whole: by name, by defence, and by field."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.api import Json
from tests.security.attempts.everything import ATTEMPTS, THEMES
from tests.security.attempts.text import LINE_ENDS, MAY_HAVE_LINES
from tests.security.mutants import MUTANTS

DEFINITION = Path(__file__).parents[2] / "crds" / "slurmgate.dev_jobsubmissions.yaml"


def texts(schema: Json, path: str = "") -> Iterator[str]:
    """The paths of all fields that are free text."""
    if schema.get("type") == "array":
        yield from texts(schema["items"], f"{path}[]")
    for name, field in schema.get("properties", {}).items():
        yield from texts(field, f"{path}.{name}".lstrip("."))
    is_text = schema.get("type") == "string" or schema.get("x-kubernetes-int-or-string")
    if is_text and "enum" not in schema:
        yield path


def test_each_attempt_has_a_name_of_its_own() -> None:
    assert len({attempt.slug for attempt in ATTEMPTS}) == len(ATTEMPTS) >= 150
    assert all(theme.ATTEMPTS for theme in THEMES)


def test_each_attempt_has_a_defence_and_each_defence_an_attempt() -> None:
    assert {attempt.without.title for attempt in ATTEMPTS} == {mutant.title for mutant in MUTANTS}


def test_a_line_end_is_tried_in_every_field_that_is_text() -> None:
    definition = yaml.safe_load(DEFINITION.read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert set(texts(spec)) == set(LINE_ENDS) | MAY_HAVE_LINES
