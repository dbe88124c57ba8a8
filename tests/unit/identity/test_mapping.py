import base64
import json
from pathlib import Path

import asyncssh
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.identity.entry import Entry, InlineKey, SecretKey
from slurmgate.identity.mapping import Identity, Mapping, NotMapped, Problem, changes, parse
from slurmgate.ssh.credentials import PrivateKey

KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
LOCKED_KEY = asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", passphrase="x")

EXAMPLE = Path(__file__).parents[3] / "ssh_mapping.example.yaml"


def b64(key: bytes) -> str:
    return base64.b64encode(key).decode()


def entry(name: str = "ada", **fields: object) -> dict[str, object]:
    secret = {"name": f"{name}-key", "key": "id"}
    written = {"mail": f"{name}@example.org", "mapped_user": name, "ssh_private_key_secret": secret, **fields}
    return {field: value for field, value in written.items() if value is not None}


def document(*entries: object) -> str:
    return json.dumps({"users_id_mapping": entries}, indent=1)  # JSON is YAML


def parsed(*entries: object, inline_keys: bool = True) -> Mapping:
    return parse(document(*entries), inline_keys=inline_keys)


def test_the_example_teaches_what_works() -> None:
    mapping = parse(EXAMPLE.read_text(), inline_keys=False)
    assert mapping.problems == ()
    assert [(entry.mail, entry.mapped_user) for entry in mapping.entries] == [
        ("ada.lovelace@example.org", "ada"),
        ("grace.hopper@example.org", "ghopper"),
        ("katherine.johnson@example.org", "orbit"),
        ("dorothy.vaughan@example.org", "orbit"),
    ]


def test_the_jarvice_form() -> None:
    text = f"""\
users_id_mapping:
  - user: Benoit Leveugle
    jarvice_user: bleveugleb
    mail: Benoit@Example.org
    mapped_user: kirby
    ssh_private_key_b64: "{b64(KEY)}"
"""
    place = "users_id_mapping[0] (benoit@example.org), line 2"
    assert parse(text, inline_keys=True) == Mapping(
        (Entry(place, "benoit@example.org", "kirby", InlineKey(PrivateKey.parse(KEY))),)
    )


def test_a_folded_inline_key_is_read() -> None:
    folded = "\n".join(f"      {line.decode()}" for line in base64.encodebytes(KEY).splitlines())
    text = f"users_id_mapping:\n- mail: a@b.c\n  mapped_user: ada\n  ssh_private_key_b64: |\n{folded}\n"
    assert parse(text, inline_keys=True).problems == ()


@pytest.mark.parametrize("text", ["users_id_mapping:", "users_id_mapping: []", "users_id_mapping: ~"])
def test_an_empty_mapping_is_a_mapping(text: str) -> None:
    assert parse(text, inline_keys=False) == Mapping()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "user mapping: line 1: expected one field `users_id_mapping:` with a list"),
        ("- mail: x", "user mapping: line 1: expected one field `users_id_mapping:` with a list"),
        ("users_id_mapping: ada", "user mapping: line 1: `users_id_mapping` is not a list"),
        (
            "users_id_mapping: []\nusers_id_mapping: []",
            "user mapping: line 1: expected one field `users_id_mapping:` with a list",
        ),
        ("users_id_mapping: [", "user mapping: line 2: not YAML: did not find expected node content"),
    ],
)
def test_a_text_that_is_no_mapping(text: str, message: str) -> None:
    mapping = parse(text, inline_keys=False)
    assert not mapping.readable
    assert [str(problem) for problem in mapping.problems] == [message]


def test_an_unknown_field_beside_the_list_is_named_and_harmless() -> None:
    mapping = parse(f"version: 2\nusers_id_mapping: [{json.dumps(entry())}]", inline_keys=False)
    assert mapping.problems == (Problem("line 1", "unknown field version"),)
    assert len(mapping.entries) == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(entry(mail=None), "mail is missing", id="no mail"),
        pytest.param(entry(mail="ada"), "mail: is not an e-mail address", id="mail"),
        pytest.param(entry(mail="ada@exämple.org"), "mail: is not an e-mail address", id="mail outside ASCII"),
        pytest.param(entry(mail="\u212aate@example.org"), "mail: is not an e-mail address", id="mail with a Kelvin sign"),
        pytest.param(entry(mail=["ada@example.org"]), "mail: Input should be a valid string", id="mail is a list"),
        pytest.param(entry(mapped_user=""), "mapped_user is missing", id="empty user"),
        pytest.param(
            entry(mapped_user="Ada L"),
            "mapped_user: is not a user name (lower case letters, digits, _ . -, at most 32)",
            id="user name",
        ),
        pytest.param(entry(mapped_user="root"), "mapped_user: root is a system account: jobs belong to people", id="root"),
        pytest.param(entry(mapped_user="slurm"), "mapped_user: slurm is a system account: jobs belong to people", id="slurm"),
        pytest.param(
            entry(mapped_user="systemd-network"),
            "mapped_user: systemd-network is a system account: jobs belong to people",
            id="systemd",
        ),
        pytest.param(entry(shell="/bin/sh"), "unknown field shell", id="unknown field"),
        pytest.param(entry(**{b64(KEY): ""}), "unknown field (a name not shown here)", id="a key where a name should be"),
        pytest.param(
            entry(ssh_private_key_secret=None),
            "give either ssh_private_key_secret (recommended) or ssh_private_key_b64",
            id="no key",
        ),
        pytest.param(
            entry(ssh_private_key_b64=b64(KEY)),
            "give either ssh_private_key_secret (recommended) or ssh_private_key_b64",
            id="two keys",
        ),
        pytest.param(
            entry(ssh_private_key_secret={"name": "x"}), "ssh_private_key_secret.key is missing", id="no key in Secret"
        ),
        pytest.param(
            entry(ssh_private_key_secret=None, ssh_private_key_b64="%%%"),
            "ssh_private_key_b64 is not base64: use the output of `base64 -w0 KEYFILE`",
            id="base64",
        ),
        pytest.param(
            entry(ssh_private_key_secret=None, ssh_private_key_b64="ü"),
            "ssh_private_key_b64 is not base64: use the output of `base64 -w0 KEYFILE`",
            id="base64 outside ASCII",
        ),
        pytest.param(
            entry(ssh_private_key_secret=None, ssh_private_key_b64=b64(LOCKED_KEY)),
            "ssh_private_key_b64: the private key has a passphrase: store it without one (ssh-keygen -p)",
            id="passphrase",
        ),
        pytest.param(
            entry(ssh_private_key_secret=None, ssh_private_key_b64=b64(KEY[:90])),
            "ssh_private_key_b64: the private key is damaged or incomplete",
            id="damaged key",
        ),
        pytest.param("ada@example.org", "not an entry with fields", id="a word"),
        pytest.param({}, "mail is missing; mapped_user is missing", id="nothing"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_are_used(bad: object, message: str) -> None:
    mapping = parsed(entry("grace"), bad, entry("kat"))
    assert [entry.mapped_user for entry in mapping.entries] == ["grace", "kat"]
    assert [problem.message for problem in mapping.problems] == [message]
    assert mapping.problems[0].place.startswith("users_id_mapping[1]")


def test_a_field_written_twice() -> None:
    text = "users_id_mapping:\n- mail: a@b.c\n  mapped_user: ada\n  mapped_user: root\n"
    assert [str(problem) for problem in parse(text, inline_keys=True).problems] == [
        "users_id_mapping[0] (a@b.c), line 2: mapped_user is written twice (line 4)"
    ]


def test_an_alias_spoils_only_its_entry() -> None:
    text = document(entry("ada"), entry("grace")).replace('"grace-key"', "*x")
    mapping = parse(text, inline_keys=True)
    assert [entry.mapped_user for entry in mapping.entries] == ["ada"]
    assert [problem.message for problem in mapping.problems] == ["aliases and tags are not used here (line 15)"]


def test_inline_keys_only_where_they_are_allowed() -> None:
    inline = entry(ssh_private_key_secret=None, ssh_private_key_b64=b64(KEY))
    assert parsed(inline, inline_keys=True).problems == ()
    assert [problem.message for problem in parsed(inline, inline_keys=False).problems] == [
        "ssh_private_key_b64 is not accepted from a ConfigMap: put the key into a Secret (ssh_private_key_secret)"
    ]


def test_a_mail_written_twice_is_nobody() -> None:
    mapping = parsed(entry("ada"), entry("grace"), entry("eve", mail="ADA@example.org"))
    assert [entry.mapped_user for entry in mapping.entries] == ["grace"]
    assert [problem.place for problem in mapping.problems] == [
        "users_id_mapping[0] (ada@example.org), line 3",
        "users_id_mapping[2] (ada@example.org), line 19",
    ]
    assert isinstance(mapping.resolve("ada@example.org"), NotMapped)


def test_a_mail_counts_as_written_twice_even_if_one_entry_is_bad() -> None:
    mapping = parsed(entry("ada"), entry("ada", shell="x"))
    assert mapping.entries == ()


def test_people_may_share_a_user_with_one_key() -> None:
    one, two = entry("ada", mapped_user="orbit"), entry("grace", mapped_user="orbit")
    assert [problem.mail for problem in parsed(one, two).problems] == ["ada@example.org", "grace@example.org"]
    two["ssh_private_key_secret"] = one["ssh_private_key_secret"]
    mapping = parsed(one, two)
    assert mapping.problems == ()
    assert mapping.keys == {"orbit": SecretKey("ada-key", "id")}


def test_owners_are_found_without_regard_to_case() -> None:
    mapping = parsed(entry("kate"))
    assert mapping.resolve(" Kate@Example.ORG ") == Identity("kate")


@pytest.mark.parametrize("owner", ["\u212aate@example.org", "", " ", "kate", "kate@example.org\u0000"])
def test_nobody_becomes_somebody_else(owner: str) -> None:
    assert isinstance(parsed(entry("kate")).resolve(owner), NotMapped)


def test_an_owner_hears_what_is_wrong_with_his_entry() -> None:
    outcome = parsed(entry("ada", mapped_user="root")).resolve("ada@example.org")
    assert isinstance(outcome, NotMapped)
    assert "root is a system account" in outcome.message


def test_changes_are_users_gone_and_keys_changed() -> None:
    old = parsed(entry("same"), entry("gone"), entry("moved"), entry("inline", **inline(KEY)), entry("still", **inline(KEY)))
    new = parsed(
        entry("same", mail="other@example.org"),
        entry("moved", ssh_private_key_secret={"name": "elsewhere", "key": "id"}),
        entry("inline", **inline(OTHER_KEY)),
        entry("still", **inline(KEY)),
        entry("new"),
    )
    assert changes(old, new) == {"gone", "moved", "inline"}
    assert changes(new, new) == frozenset()


def inline(key: bytes) -> dict[str, object]:
    return {"ssh_private_key_secret": None, "ssh_private_key_b64": b64(key)}


WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["root", "ada", "ada@example.org", b64(KEY), b64(LOCKED_KEY), "~", "null", "<<", "*a", "&a", ""]),
)
NAMES = st.one_of(
    WORDS,
    st.sampled_from(
        ["user", "jarvice_user", "mail", "mapped_user", "ssh_private_key_b64", "ssh_private_key_secret", "name", "key"]
    ),
)
ANYTHING = st.recursive(
    st.one_of(WORDS, st.none(), st.booleans(), st.integers()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=12,
)
ALMOST = st.fixed_dictionaries(
    {"mail": st.just("ada@example.org"), "mapped_user": st.just("ada")},
    optional={"ssh_private_key_b64": WORDS, "ssh_private_key_secret": ANYTHING},
)
ENTRIES = st.lists(ALMOST | ANYTHING, max_size=3)


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("-:[]{}&*!|>'\"%@`#, \n\t"))), st.booleans())
def test_any_text_is_parsed(text: str, inline_keys: bool) -> None:
    for start in ("", "users_id_mapping:\n- ", "users_id_mapping:\n- mail: "):
        for problem in parse(start + text, inline_keys=inline_keys).problems:
            assert str(problem)


@given(ENTRIES, ENTRIES)
def test_what_stands_around_good_entries_does_not_touch_them(before: list[object], after: list[object]) -> None:
    good = entry("good", mail="good@good.example", mapped_user="good")
    mapping = parse(yaml.safe_dump({"users_id_mapping": [*before, good, *after]}), inline_keys=True)
    assert mapping.readable
    assert mapping.resolve("good@good.example") == Identity("good")
    assert len(mapping.problems) + len(mapping.entries) >= len(before) + len(after) + 1


@given(ENTRIES)
def test_no_problem_and_no_repr_shows_a_key(entries: list[object]) -> None:
    text = yaml.safe_dump({"users_id_mapping": [*entries, entry("good", **inline(KEY))]})
    shown = repr(parse(text, inline_keys=True))
    for secret in (b64(KEY), b64(LOCKED_KEY), KEY.decode().splitlines()[1]):
        assert secret not in shown
