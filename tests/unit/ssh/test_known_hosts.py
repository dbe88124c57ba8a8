import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.ssh.endpoint import Host
from slurmgate.ssh.known_hosts import HostKeys, KnownHosts
from slurmgate.ssh.outcome import Cause, DidNotRun


def public(kind: str = "ssh-ed25519") -> str:
    return asyncssh.generate_private_key(kind).export_public_key().decode().strip()


KEY, OTHER = public(), public()
# ssh-keygen -H makes this form of `login1`
HASHED = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg="


def fingerprints(text: str, host: Host) -> str:
    found = KnownHosts(text).of(host)
    assert isinstance(found, HostKeys), found
    return str(found)


def fingerprint(key: str) -> str:
    return asyncssh.import_public_key(key).get_fingerprint()


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (f"login1 {KEY}", Host("login1")),
        (f"login1,10.0.0.1 {KEY} a comment", Host("10.0.0.1")),
        (f"  login1\t{KEY}  ", Host("login1")),
        (f"*.example.org,!login9.example.org {KEY}", Host("login1.example.org")),
        (f"[login1]:2222 {KEY}", Host("login1", 2222)),
        (f"login1 {KEY}", Host("login1", 2222)),
        (f"# a comment\n\nlogin1 {KEY}\n", Host("login1")),
    ],
    ids=["name", "address", "blanks", "pattern", "port", "any port", "after a comment"],
)
def test_a_host_is_found(line: str, host: Host) -> None:
    assert fingerprints(line, host) == fingerprint(KEY)


def test_all_its_keys_are_known() -> None:
    assert fingerprints(f"login1 {KEY}\nlogin1 {OTHER}\nlogin2 {public()}", Host("login1")) == (
        f"{fingerprint(KEY)} or {fingerprint(OTHER)}"
    )


def test_an_authority_is_known() -> None:
    assert fingerprints(f"@cert-authority *.example.org {KEY}", Host("a.example.org")) == (
        f"a certificate signed by {fingerprint(KEY)}"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "`ssh-keyscan -p 22 login1`.", id="nothing"),
        pytest.param(f"login2 {KEY}", "`ssh-keyscan -p 22 login1`.", id="another host"),
        pytest.param(f"[login1]:2222 {KEY}", "`ssh-keyscan -p 22 login1`.", id="another port"),
        pytest.param(f"*.example.org,!login1 {KEY}", "`ssh-keyscan -p 22 login1`.", id="excluded"),
        pytest.param(f"@revoked login1 {KEY}", "`ssh-keyscan -p 22 login1`.", id="revoked only"),
        pytest.param("login1", "line 1: expected host names, key type and key", id="no key"),
        pytest.param(f"\nlogin1 {KEY[:-9]}", "line 2: the ssh-ed25519 key is damaged or of an unknown type", id="damaged"),
        pytest.param(
            "login1 ssh-future AAAA", "line 1: the ssh-future key is damaged or of an unknown type", id="unknown type"
        ),
        pytest.param(f"@trusted login1 {KEY}", "line 1: unknown marker @trusted", id="marker"),
        pytest.param(f"|1|x|y {KEY}", "line 1: the ssh-ed25519 key is damaged", id="damaged hash"),
        pytest.param(f"login1 {KEY}\n@revoked * ssh-ed25519 A", "line 2: ", id="a revocation that cannot be read"),
    ],
)
def test_without_a_usable_key_there_is_no_connection(text: str, words: str) -> None:
    outcome = KnownHosts(text).of(Host("login1"))
    assert isinstance(outcome, DidNotRun)
    assert outcome.cause is Cause.NO_HOST_KEYS
    assert words in outcome.message


def test_a_line_that_cannot_be_read_does_not_spoil_the_others() -> None:
    assert fingerprints(f"nonsense\nlogin1 {KEY}\nlogin1 ssh-future AAAA", Host("login1")) == fingerprint(KEY)


@given(st.text())
def test_any_text_trusts_nobody(text: str) -> None:
    assert isinstance(KnownHosts(text).of(Host("login1")), DidNotRun)


@given(st.text(alphabet=st.characters(exclude_characters="\n"), max_size=40), st.sampled_from([KEY, KEY[:40], "ssh-rsa AAAA"]))
def test_any_line_is_read_or_named(start: str, key: str) -> None:
    KnownHosts(f"{start} {key}").of(Host("login1"))
