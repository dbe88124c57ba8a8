"""Who may use a cluster, and what of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slurmgate.core.access import LIMITED, Choice, refused_choice, refused_login, refused_user, refused_visitor
from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.core.reasons import Reason
from slurmgate.resources.access import Access

KIRBY = "kirby@nintendo.example"


def access(**rules: Any) -> Access:
    return Access.model_validate(rules)


VISITORS: dict[str, tuple[dict[str, Any], str]] = {
    "no rule": ({}, ""),
    "the namespace": ({"namespaces": ["research"]}, ""),
    "one of several": ({"namespaces": ["physics", "research"]}, ""),
    "a pattern": ({"namespaces": ["res*"]}, ""),
    "all by a pattern": ({"namespaces": ["*"]}, ""),
    "another namespace": ({"namespaces": ["physics"]}, "metadata.namespace: submissions from research do not run"),
    "one that only begins alike": ({"namespaces": ["researc"]}, "metadata.namespace"),
    "one that only ends alike": ({"namespaces": ["*-research"]}, "metadata.namespace"),
    "the owner": ({"owners": [KIRBY]}, ""),
    "the owner in capitals": ({"owners": ["Kirby@Nintendo.Example"]}, ""),
    "the owner's domain": ({"owners": ["*@nintendo.example"]}, ""),
    "somebody else": ({"owners": ["mario@nintendo.example"]}, f"spec.owner: {KIRBY} is not among those"),
    "the domain above": ({"owners": ["*@example"]}, "spec.owner"),
    "the one and not the other": ({"namespaces": ["research"], "owners": ["*@sega.example"]}, "spec.owner"),
    "the other and not the one": ({"namespaces": ["physics"], "owners": [KIRBY]}, "metadata.namespace"),
}


@pytest.mark.parametrize(("rules", "words"), VISITORS.values(), ids=VISITORS.keys())
def test_visitors(rules: dict[str, Any], words: str) -> None:
    refused = refused_visitor(access(**rules), namespace="research", owner=KIRBY)
    assert (refused is not None) is bool(words)
    if refused:
        assert refused.reason is Reason.ACCESS_DENIED
        assert refused.message.startswith(words)
        assert "of the SlurmCluster" in refused.message


def test_who_may_use_the_cluster_is_not_told_to_others() -> None:
    refused = refused_visitor(access(owners=["boss@nintendo.example"]), namespace="research", owner=KIRBY)
    assert refused
    assert "boss" not in refused.message


@pytest.mark.parametrize(
    "rules",
    [
        {"namespaces": []},
        {"owners": []},
        {"partitions": []},
        {"accounts": []},
        {"qos": []},
        {"namespaces": ["Physics"]},
        {"namespaces": ["[a-z]*"]},
        {"owners": ["kirby"]},
        {"owners": ["*"]},
        {"owners": ["k*@nintendo.example"]},
        {"owners": ["*@*"]},
        {"partitions": ["a,b"]},
        {"partitions": [""]},
        {"systemUsers": ["Root"]},
        {"minimumUid": 0},
    ],
    ids=str,
)
def test_a_rule_that_could_be_misread_is_none(rules: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        access(**rules)


CHOICES: dict[str, tuple[dict[str, str | None], str]] = {
    "one that is allowed": ({"partition": "cpu"}, ""),
    "several that are": ({"partition": "cpu,debug"}, ""),
    "another": (
        {"partition": "gpu"},
        "spec.partition: --partition=gpu is not allowed on this cluster, which allows cpu, debug",
    ),
    "one of several": ({"partition": "cpu,gpu"}, "spec.partition: --partition=cpu,gpu"),
    "nothing behind the comma": ({"partition": "cpu,"}, "spec.partition: --partition=cpu,"),
    "nothing": ({"partition": ""}, "spec.partition: --partition="),
    "no value": ({"partition": None}, "spec.partition"),
    "a blank before it": ({"partition": "cpu, debug"}, "spec.partition"),
    "capitals": ({"partition": "CPU"}, "spec.partition"),
    "not said at all": ({}, "spec.partition: is not set, and Slurm's own default is not used on this cluster"),
    "another option": ({"qos": "cpu"}, "spec.partition: is not set"),
}


@pytest.mark.parametrize(("chosen", "words"), CHOICES.values(), ids=CHOICES.keys())
def test_choices(chosen: dict[str, str | None], words: str) -> None:
    asked = {option: Choice(value, f"spec.{option}") for option, value in chosen.items()}
    refused = refused_choice(access(partitions=["debug", "cpu"]), asked)
    assert (refused is not None) is bool(words)
    if refused:
        assert refused.reason is Reason.ACCESS_DENIED
        assert refused.message.startswith(words)
        assert "cpu, debug (spec.access.partitions of the SlurmCluster)" in refused.message


def test_each_option_has_a_rule_of_its_own() -> None:
    rules = {"accounts": ["a"], "partitions": ["p"], "qos": ["q"]}
    chosen = {option: Choice(option[0], "") for option in LIMITED}
    assert refused_choice(access(**rules), chosen) is None
    for option in LIMITED:
        assert refused_choice(access(**rules), {**chosen, option: Choice("x", "")})
        assert refused_choice(access(**rules), {name: choice for name, choice in chosen.items() if name != option})


def test_without_rules_everything_is_slurms_own_affair() -> None:
    assert refused_choice(access(), {}) is None
    assert refused_choice(access(), {"partition": Choice("gpu", "")}) is None


NAME = st.text(st.characters(exclude_characters=",", exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(st.sets(NAME, min_size=1), st.text(max_size=12))
def test_only_what_is_allowed_gets_through(allowed: set[str], value: str) -> None:
    refused = refused_choice(access(partitions=sorted(allowed)), {"partition": Choice(value, "")})
    assert (refused is None) == (set(value.split(",")) <= allowed)


def test_further_system_users() -> None:
    assert refused_user(access(systemUsers=["backup-robot"]), "kirby") is None
    refused = refused_user(access(systemUsers=["backup-robot"]), "backup-robot")
    assert refused
    assert "backup-robot, a system account (spec.access.systemUsers" in refused.message


LOGINS: dict[str, tuple[str, int | None, type, str]] = {
    "somebody else": ("mario", 7002, Refused, "Logged in as kirby one is mario on the cluster"),
    "root under another name": ("root", 0, Refused, "Logged in as kirby one is root"),
    "a system account": ("kirby", 999, Refused, "kirby has uid 999 on the cluster: below 1000 (spec.access.minimumUid"),
    "a name that nobody knows now": ("", 7001, NotNow, "id: the login node does not say"),
    "an id that cannot be": ("kirby", None, NotNow, "id: the login node does not say"),
}


@pytest.mark.parametrize(("login", "uid", "kind", "words"), LOGINS.values(), ids=LOGINS.keys())
def test_logins(login: str, uid: int | None, kind: type, words: str) -> None:
    outcome = refused_login(access(), "kirby", login=login, uid=uid)
    assert isinstance(outcome, kind)
    assert outcome.message.startswith(words)
