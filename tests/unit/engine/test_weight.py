"""How much room a submission takes while it is on its way."""

from typing import Any

import pytest

from slurmgate.engine.weight import weight
from tests.unit.core.build import Draft

KEY = {"configMapKeyRef": {"name": "things", "key": "thing"}}
WEIGHTS: dict[str, tuple[dict[str, Any], int]] = {
    "a small one": ({}, 1),
    "with an empty file": ({"files": [{"name": "a", "inline": ""}]}, 1),
    "with contents of 200 KiB": ({"files": [{"name": "a", "inline": "x" * 200 * 1024}]}, 4),
    "with a script that is to be read": ({"script": KEY}, 2),
    "with files that are to be read": ({"files": [{"name": "a", **KEY}, {"name": "b", **KEY}]}, 3),
}


@pytest.mark.parametrize(("spec", "expected"), WEIGHTS.values(), ids=WEIGHTS.keys())
def test_what_is_large_or_unknown_weighs_more(spec: dict[str, Any], expected: int) -> None:
    assert weight(Draft().with_spec(**spec).build().spec) == expected
