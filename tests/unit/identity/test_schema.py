"""The published schema says of a mapping file what the parser says."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from slurmgate.identity.mapping import parse

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs/reference/ssh_mapping.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
SECRET = {"name": "ada-key", "key": "id"}

WORDS = st.one_of(
    st.sampled_from(
        ["ada", "root", "systemd-x", "ada@example.org", ".*@example.org", "Ada", "ada@b", "/a/{uid}", "~/{uid}", "a"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12),
).map(str.strip)
NAMES = ["user", "jarvice_user", "mail", "mapped_user", "ssh_private_key_secret", "slurm_account", "work_directory", "shell"]
SECRETS = st.dictionaries(st.sampled_from(["name", "key", "x"]), WORDS | st.sampled_from(["id", "a.b"]), max_size=3)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "mail": st.just("ada@example.org") | WORDS,
        "mapped_user": st.just("ada") | WORDS,
        "ssh_private_key_secret": st.just(SECRET) | SECRETS | WORDS | st.none(),
        "slurm_account": st.just("physics") | WORDS | st.none(),
        "work_directory": st.just("/scratch/{uid}") | WORDS | st.none(),
        "user": WORDS | st.integers() | st.booleans() | st.none(),
        "shell": WORDS,
    },
)


def said(entry: dict[str, Any]) -> list[str]:
    """Without a key it may be for certificates, which the schema does not know."""
    text = json.dumps({"users_id_mapping": [entry]}, ensure_ascii=False)
    certified = entry.get("ssh_private_key_secret") is None
    return [problem.message for problem in parse(text, inline_keys=True, certified=certified).problems]


def empty(entry: dict[str, Any]) -> bool:
    """The parser takes an empty text for nothing, which the schema cannot say."""
    return "" in entry.values()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_example_is_as_the_schema_has_it() -> None:
    VALIDATOR.validate(yaml.safe_load((ROOT / "ssh_mapping.example.yaml").read_text()))


def test_every_field_is_explained() -> None:
    fields = SCHEMA["properties"]["users_id_mapping"]["items"]["properties"]
    assert set(fields) == {*NAMES, "ssh_private_key_b64"} - {"shell"}
    assert all(field["description"] for field in fields.values())


@given(ENTRIES)
def test_schema_and_parser_agree_about_every_entry(entry: dict[str, Any]) -> None:
    if empty(entry) or any("\x85" in str(value) or "\ufeff" in str(value) for value in entry.values()):
        return
    problems = said(entry)
    assert VALIDATOR.is_valid({"users_id_mapping": [entry]}) == (not problems), problems


GOOD: dict[str, Any] = {"mail": "ada@example.org", "mapped_user": "ada", "ssh_private_key_secret": SECRET}


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"users_id_mapping": "ada"},
        {"users_id_mapping": ["ada"]},
        {"users_id_mapping": [], "version": 2},
        {"users_id_mapping": [{**GOOD, "ssh_private_key_b64": "AAAA"}]},
    ],
    ids=str,
)
def test_both_refuse(document: object) -> None:
    assert not VALIDATOR.is_valid(document)
    assert parse(json.dumps(document), inline_keys=True).problems


@pytest.mark.parametrize("entries", [None, [], [GOOD], [GOOD, {**GOOD, "mail": "B@example.org"}]], ids=str)
def test_both_accept(entries: object) -> None:
    assert VALIDATOR.is_valid({"users_id_mapping": entries})
    assert not parse(json.dumps({"users_id_mapping": entries}), inline_keys=True).problems
