import base64
import json
from pathlib import Path

import asyncssh
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.identity.entry import Entry, InlineKey, SecretKey
from slurmgate.identity.mapping import File, Identity, Mapping, NotMapped, Problem, changes, merged, parse
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


def inline(key: bytes) -> dict[str, object]:
    return {"ssh_private_key_secret": None, "ssh_private_key_b64": b64(key)}


def document(*entries: object) -> str:
    return json.dumps({"users_id_mapping": entries}, indent=1)  # JSON is YAML


def read(text: str, *, inline_keys: bool) -> Mapping:
    return merged([parse(text, inline_keys=inline_keys)])


def parsed(*entries: object, inline_keys: bool = True) -> Mapping:
    return read(document(*entries), inline_keys=inline_keys)


def teams(**files: list[object]) -> Mapping:
    """A mapping of several files."""
    return merged(
        parse(yaml.safe_dump({"users_id_mapping": entries}), inline_keys=True, source=name) for name, entries in files.items()
    )


def test_the_example_teaches_what_works() -> None:
    mapping = read(EXAMPLE.read_text(), inline_keys=False)
    assert mapping.problems == ()
    assert [(entry.mail, entry.mapped_user) for entry in mapping.entries] == [
        ("ada.lovelace@example.org", "ada"),
        ("grace.hopper@example.org", "ghopper"),
        ("annie.easley@example.org", "aeasley"),
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
    assert read(text, inline_keys=True) == Mapping(
        (Entry(place, "benoit@example.org", "kirby", InlineKey(PrivateKey.parse(KEY))),)
    )


def test_a_folded_inline_key_is_read() -> None:
    folded = "\n".join(f"      {line.decode()}" for line in base64.encodebytes(KEY).splitlines())
    text = f"users_id_mapping:\n- mail: a@b.c\n  mapped_user: ada\n  ssh_private_key_b64: |\n{folded}\n"
    assert read(text, inline_keys=True).problems == ()


@pytest.mark.parametrize("text", ["users_id_mapping:", "users_id_mapping: []", "users_id_mapping: ~"])
def test_an_empty_mapping_is_a_mapping(text: str) -> None:
    assert read(text, inline_keys=False) == Mapping()


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
    file = parse(text, inline_keys=False)
    assert not file.readable
    assert [str(problem) for problem in file.problems] == [message]


def test_an_unknown_field_beside_the_list_is_named_and_harmless() -> None:
    mapping = read(f"version: 2\nusers_id_mapping: [{json.dumps(entry())}]", inline_keys=False)
    assert mapping.problems == (Problem("line 1", "unknown field version"),)
    assert len(mapping.entries) == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        pytest.param(entry(mail=None), "mail is missing", id="no mail"),
        pytest.param(entry(mail="ada"), "mail: is not an e-mail address", id="mail"),
        pytest.param(entry(mail="ada@exämple.org"), "mail: is not an e-mail address", id="mail outside ASCII"),
        pytest.param(entry(mail="\u212aate@example.org"), "mail: is not an e-mail address", id="mail with a Kelvin sign"),
        pytest.param(
            entry(mail=".*@example.org"),
            "mail: is a pattern: patterns are not read, write an entry for each person",
            id="regex",
        ),
        pytest.param(
            entry(mail="(ada|eve)@example.org"),
            "mail: is a pattern: patterns are not read, write an entry for each person",
            id="a regular expression",
        ),
        pytest.param(
            entry(mail="*@example.org"), "mail: is a pattern: patterns are not read, write an entry for each person", id="glob"
        ),
        pytest.param(
            entry(slurm_account="a,b"),
            "slurm_account: String should match pattern '^[A-Za-z0-9_.:+-]{1,64}$'",
            id="two accounts",
        ),
        pytest.param(
            entry(work_directory="jobs/{uid}"),
            "work_directory: is neither absolute nor below ~/, or is longer than 1024 characters",
            id="a relative directory",
        ),
        pytest.param(
            entry(work_directory="/scratch/{user}"),
            "work_directory: must contain {uid}, or two submissions would share a directory",
            id="one directory for all",
        ),
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
            "ssh_private_key_b64: the private key has a passphrase: store it without one (ssh-keygen -p), "
            "or in a Secret with a reference to its passphrase",
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
    assert [str(problem) for problem in read(text, inline_keys=True).problems] == [
        "users_id_mapping[0] (a@b.c), line 2: mapped_user is written twice (line 4)"
    ]


def test_an_alias_spoils_only_its_entry() -> None:
    text = document(entry("ada"), entry("grace")).replace('"grace-key"', "*x")
    mapping = read(text, inline_keys=True)
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


def test_an_entry_may_say_account_and_directory() -> None:
    mapping = parsed(
        entry("ada", slurm_account="orbit", work_directory="/scratch/{user}/{uid}"), entry("eve", slurm_account="")
    )
    assert mapping.problems == ()
    assert [(each.slurm_account, each.work_directory) for each in mapping.entries] == [
        ("orbit", "/scratch/{user}/{uid}"),
        (None, None),
    ]


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


def certified(*entries: object) -> Mapping:
    return merged([parse(document(*entries), inline_keys=False, certified=True)])


def test_with_certificates_nobody_needs_a_key_and_none_is_looked_at() -> None:
    without = entry("grace", ssh_private_key_secret=None)
    inline = entry("alan", ssh_private_key_secret=None, ssh_private_key_b64="c2VjcmV0")
    shared = entry("lovelace", mapped_user="ada")
    mapping = certified(entry(), without, inline, shared)
    assert mapping.problems == ()
    assert mapping.keys == {"ada": None, "grace": None, "alan": None}
    (problem,) = parsed(without).problems
    assert problem.message == "give either ssh_private_key_secret (recommended) or ssh_private_key_b64"


def test_with_certificates_who_is_gone_is_gone() -> None:
    assert changes(certified(entry(), entry("grace")), certified(entry("grace"))) == {"ada"}
    assert changes(certified(entry()), certified(entry(ssh_private_key_secret=None))) == frozenset()


def test_a_passphrase_is_another_key_of_the_same_secret() -> None:
    locked = {"name": "ada-key", "key": "id", "passphraseKey": "words"}
    assert parsed(entry(ssh_private_key_secret=locked)).keys == {"ada": SecretKey("ada-key", "id", "words")}
    (problem,) = parsed(entry(ssh_private_key_secret={**locked, "passphraseKey": "no such key"})).problems
    assert "ssh_private_key_secret.passphraseKey: String should match pattern" in str(problem)


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


# Several files -------------------------------------------------------------------------------------------------------


def test_files_are_one_mapping() -> None:
    mapping = teams(physics=[entry("ada"), entry("grace")], chemistry=[entry("marie")])
    assert mapping.problems == ()
    assert [(entry.source, entry.place) for entry in mapping.entries] == [
        ("physics", "physics: users_id_mapping[0] (ada@example.org), line 2"),
        ("physics", "physics: users_id_mapping[1] (grace@example.org), line 7"),
        ("chemistry", "chemistry: users_id_mapping[0] (marie@example.org), line 2"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"mapped_user": "eve"},
        {"ssh_private_key_secret": {"name": "eve", "key": "id"}},
        {"slurm_account": "evil"},
        {"work_directory": "/evil/{uid}"},
        {"mail": " ADA@example.org", "mapped_user": "eve"},
        {"shell": "/bin/evil"},
    ],
    ids=str,
)
@pytest.mark.parametrize("order", [1, -1])
def test_whom_two_files_claim_differently_is_nobody(change: dict[str, object], order: int) -> None:
    files: dict[str, list[object]] = {
        "physics": [entry("ada"), entry("grace")],
        "chemistry": [entry("marie"), entry("ada", **change)],
    }
    mapping = teams(**dict([*files.items()][::order]))
    assert sorted(entry.mapped_user for entry in mapping.entries) == ["grace", "marie"]
    found = mapping.resolve("ada@example.org")
    assert isinstance(found, NotMapped)
    assert found.wrong
    said = "\n".join(str(problem) for problem in mapping.problems)
    assert "physics: users_id_mapping[0] (ada@example.org), line 2: ada@example.org is written 2 times" in said
    assert "chemistry: users_id_mapping[1] (ada@example.org), line 7: ada@example.org is written 2 times" in said


def test_whom_two_files_say_alike_is_the_same_in_both() -> None:
    mapping = teams(physics=[entry("ada")], chemistry=[entry("marie"), entry("ada")])
    assert mapping.problems == ()
    assert [(entry.mapped_user, entry.source) for entry in mapping.entries] == [("ada", "physics"), ("marie", "chemistry")]


def test_one_file_says_nobody_twice_not_even_alike() -> None:
    assert parsed(entry("ada"), entry("ada")).entries == ()


def test_a_user_to_whom_two_files_give_different_keys_is_nobodys() -> None:
    other = {"name": "eve-key", "key": "id"}
    mapping = teams(
        physics=[entry("ada", mapped_user="orbit"), entry("grace")],
        chemistry=[entry("eve", mapped_user="orbit", ssh_private_key_secret=other)],
    )
    assert [entry.mapped_user for entry in mapping.entries] == ["grace"]
    assert "orbit" not in mapping.keys
    assert [problem.mail for problem in mapping.problems] == ["ada@example.org", "eve@example.org"]
    assert all("physics: users_id_mapping[0]" in problem.message for problem in mapping.problems)
    assert all("chemistry: users_id_mapping[0]" in problem.message for problem in mapping.problems)


@pytest.mark.parametrize("key", [{}, inline(KEY)], ids=["in a Secret", "inline"])
def test_a_key_that_two_files_use_for_different_users_is_nobodys(key: dict[str, object]) -> None:
    mine = entry("ada", **key)
    theirs = {**mine, "mail": "eve@example.org", "mapped_user": "eve"}
    mapping = teams(physics=[mine, entry("grace")], chemistry=[theirs])
    assert [entry.mapped_user for entry in mapping.entries] == ["grace"]
    assert ["one key is used for ada, eve and for none of them" in problem.message for problem in mapping.problems] == [
        True
    ] * 2


def test_one_file_may_use_a_key_for_several_users() -> None:
    theirs = entry("eve", ssh_private_key_secret={"name": "ada-key", "key": "id"})
    assert len(parsed(entry("ada"), theirs).entries) == 2


def test_a_file_that_cannot_be_read_harms_no_other() -> None:
    good, broken = (parse(text, inline_keys=True, source=text[:3]) for text in (document(entry("ada")), "users_id_mapping: ["))
    mapping = merged([broken, good])
    assert [entry.mapped_user for entry in mapping.entries] == ["ada"]
    assert [problem.place for problem in mapping.problems] == ["use"]
    assert broken == File(problems=mapping.problems, readable=False)


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
        for problem in read(start + text, inline_keys=inline_keys).problems:
            assert str(problem)


@given(ENTRIES, ENTRIES)
def test_what_stands_around_good_entries_does_not_touch_them(before: list[object], after: list[object]) -> None:
    good = entry("good", mail="good@good.example", mapped_user="good")
    mapping = read(yaml.safe_dump({"users_id_mapping": [*before, good, *after]}), inline_keys=True)
    assert mapping.resolve("good@good.example") == Identity("good")
    assert len(mapping.problems) + len(mapping.entries) >= len(before) + len(after) + 1


@given(ENTRIES, ENTRIES)
def test_nobody_is_two_people_whatever_two_files_say(one: list[object], other: list[object]) -> None:
    mapping = teams(one=one, other=[entry("good", mail="good@good.example", mapped_user="good"), *other])
    assert len({entry.mail for entry in mapping.entries}) == len(mapping.entries)
    assert all(mapping.keys[entry.mapped_user] == entry.key for entry in mapping.entries)
    assert mapping.resolve("good@good.example") == Identity("good")
    assert mapping == teams(one=one, other=[entry("good", mail="good@good.example", mapped_user="good"), *other])


@given(ENTRIES)
def test_no_problem_and_no_repr_shows_a_key(entries: list[object]) -> None:
    text = yaml.safe_dump({"users_id_mapping": [*entries, entry("good", **inline(KEY))]})
    shown = repr(read(text, inline_keys=True))
    for secret in (b64(KEY), b64(LOCKED_KEY), KEY.decode().splitlines()[1]):
        assert secret not in shown
