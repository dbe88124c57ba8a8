"""What is asked of a directory, and what its answers mean."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import parse_filter
from ldap3.protocol.convert import prepare_filter_for_sending

from slurmgate.identity.asked import Account
from slurmgate.identity.directory import MOST_GROUPS, Hit, UndecidedError, account_of, belongs, in_chain, search_filter, the_one
from slurmgate.identity.mapping import NotMapped
from slurmgate.resources.identity import Ldap

MAIL = "kirby@nintendo.example"
KIRBY = "uid=kirby,ou=people,dc=nintendo"
SOURCE = {
    "servers": ["ldaps://ldap1"],
    "bind": {"name": "cn=slurmgate", "passwordSecretRef": {"name": "a", "key": "b"}},
    "base": "dc=nintendo",
}


def source(**fields: Any) -> Ldap:
    return Ldap.model_validate({**SOURCE, **fields})


def values(query: str) -> list[bytes]:
    """What a server gets to compare, by ldap3's own parser."""
    found: list[bytes] = []
    parse: Any = parse_filter
    decoded: Any = prepare_filter_for_sending
    todo = [parse(query, None, auto_escape=False, auto_encode=None, validator=None, check_names=False)]
    while todo:
        node = todo.pop()
        found += [decoded(node.assertion["value"])] if node.assertion else []
        todo += node.elements or []
    return found


@given(st.text(min_size=1))
def test_whatever_stands_in_an_address_is_looked_for_and_is_no_part_of_the_filter(text: str) -> None:
    template = "(&(objectClass=person)(mail={mail})(!(cn={mail})))"
    assert sorted(values(search_filter(template, text))) == sorted([b"person", text.encode(), text.encode()])


@pytest.mark.parametrize("text", ["*@x", "k)(uid=*)@x", "a\\2a@x", "\0", " k@x "])
def test_not_even_what_means_something_in_a_filter_or_stands_at_its_edge(text: str) -> None:
    for query in (search_filter("(mail={mail})", text), in_chain(text)):
        assert values(query) == [text.encode()]


def test_nobody_is_one_of_two() -> None:
    kirby, mario = Hit(KIRBY, {}), Hit("uid=mario,dc=nintendo", {})
    assert the_one(MAIL, [kirby]) is kirby
    assert the_one(MAIL, []) == NotMapped(f"{MAIL} is nobody in the directory")
    several = f"{MAIL} is several people in the directory: {KIRBY} and uid=mario,dc=nintendo"
    assert the_one(MAIL, [kirby, mario]) == NotMapped(several)


def test_an_account_is_what_the_attributes_say_whatever_their_letters() -> None:
    hit = Hit(KIRBY, {"samaccountname": ["Kirby"], "unixhomedirectory": ["/home/kirby"], "department": ["dreamland"]})
    names = {
        "userAttribute": "sAMAccountName",
        "homeAttribute": "unixHomeDirectory",
        "accountAttribute": "department",
        "keySecretTemplate": "slurm-key-{user}",
    }
    found = account_of(MAIL, hit, source(**names))
    assert isinstance(found, Account)
    assert (found.user, found.home, found.slurm_account) == ("kirby", "/home/kirby", "dreamland")
    assert found.key
    assert (found.key.name, found.key.key) == ("slurm-key-kirby", "ssh-privatekey")


def test_what_the_directory_leaves_out_is_left_out() -> None:
    optional = {"homeAttribute": "homeDirectory", "accountAttribute": "department"}
    assert account_of(MAIL, Hit(KIRBY, {"uid": ["kirby"]}), source(**optional)) == Account(user="kirby")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, f"{MAIL} has no account: {KIRBY} has no uid"),
        ({"uid": ["kirby", "meta"]}, f"{MAIL} cannot be told: {KIRBY} has 2 values of uid"),
        ({"uid": ["root"]}, "cannot be used: user: root is a system account: jobs belong to people"),
        ({"uid": ["kirby;id"]}, "cannot be used: user: is not a user name"),
        ({"uid": ["kirby"], "homedirectory": ["home"]}, "cannot be used: home: String should match pattern"),
        ({"uid": ["kirby"], "homedirectory": ["/a\n"]}, "cannot be used: home: String should match pattern"),
        ({"uid": ["kirby"], "department": ["a b"]}, "cannot be used: slurm_account: String should match pattern"),
        ({"uid": ["kirby"], "department": ["a", "b"]}, f"{KIRBY} has 2 values of department"),
    ],
)
def test_an_account_that_cannot_be_is_nobodys(values: Mapping[str, list[str]], words: str) -> None:
    found = account_of(MAIL, Hit(KIRBY, values), source(homeAttribute="homeDirectory", accountAttribute="department"))
    assert isinstance(found, NotMapped)
    assert words in found.message


GROUPS = {
    "cn=stars,dc=x": ["CN=Nintendo,DC=x"],
    "cn=nintendo,dc=x": ["cn=everybody,dc=x", "cn=circle,dc=x"],
    "cn=circle,dc=x": ["cn=nintendo,dc=x"],
}


@pytest.mark.parametrize(
    ("group", "is_in"),
    [
        ("cn=stars,dc=x", True),
        ("cn=nintendo,dc=x", True),
        ("CN=Everybody, DC=x", True),
        ("cn=circle,dc=x", True),
        ("cn=sega,dc=x", False),
        ("cn=everybody,dc=y", False),
    ],
)
def test_groups_in_groups_are_followed_and_circles_end(group: str, is_in: bool) -> None:
    person = Hit(KIRBY, {"memberof": ["cn=stars,dc=x"]})
    assert belongs(person, group, groups_of=lambda name: GROUPS.get(name.lower(), [])) is is_in


def test_who_is_in_no_group_is_not_in_this_one() -> None:
    assert not belongs(Hit(KIRBY, {}), "cn=stars,dc=x", groups_of=lambda _: [])


def test_too_many_groups_are_not_followed_and_nobody_is_refused_for_that() -> None:
    wide = Hit(KIRBY, {"memberof": [f"cn={number},dc=x" for number in range(MOST_GROUPS + 1)]})
    assert belongs(wide, "cn=7,dc=x", groups_of=lambda _: [])
    with pytest.raises(UndecidedError, match="in more than 100 groups"):
        belongs(wide, "cn=stars,dc=x", groups_of=lambda _: [])
    deep = Hit(KIRBY, {"memberof": ["cn=0,dc=x"]})
    with pytest.raises(UndecidedError, match="more than 10 deep"):
        belongs(deep, "cn=stars,dc=x", groups_of=lambda name: [f"cn={int(name[3:-5]) + 1},dc=x"])
