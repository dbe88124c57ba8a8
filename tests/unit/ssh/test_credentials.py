import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey

ED25519 = asyncssh.generate_private_key("ssh-ed25519")
MATERIAL = ED25519.export_private_key()


@pytest.mark.parametrize(
    "material",
    [
        pytest.param(MATERIAL, id="OpenSSH"),
        pytest.param(ED25519.export_private_key("pkcs8-pem"), id="PKCS 8"),
        pytest.param(MATERIAL.rstrip(), id="no newline at the end"),
        pytest.param(b"\n  " + MATERIAL, id="space around it"),
        pytest.param(MATERIAL.replace(b"\n", b"\r\n"), id="DOS lines"),
    ],
)
def test_a_key_is_read(material: bytes) -> None:
    key = PrivateKey.parse(material)
    assert (key.algorithm, key.fingerprint) == ("ssh-ed25519", ED25519.get_fingerprint())


@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-ed448"])
def test_other_kinds(kind: str) -> None:
    assert PrivateKey.parse(asyncssh.generate_private_key(kind).export_private_key()).algorithm == kind


@pytest.mark.parametrize("form", ["openssh", "pkcs1-pem", "pkcs8-pem"])
def test_rsa(form: str) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    assert PrivateKey.parse(key.export_private_key(form)).fingerprint == key.get_fingerprint()


def test_the_fingerprint_is_the_one_of_ssh_keygen(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(MATERIAL)
    path.chmod(0o600)
    shown = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True).stdout
    assert PrivateKey.parse(MATERIAL).fingerprint == shown.split()[1]


def test_a_passphrase_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", path], check=True)
    with pytest.raises(KeyUnavailable, match=r"has a passphrase: store it without one \(ssh-keygen -p\), or in a Secret"):
        PrivateKey.parse(path.read_bytes())


@pytest.mark.parametrize("form", ["pkcs1-pem", "pkcs8-pem"])
def test_a_passphrase_is_named_in_pem_too(form: str) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    with pytest.raises(KeyUnavailable, match="has a passphrase"):
        PrivateKey.parse(key.export_private_key(form, passphrase="secret"))


@pytest.mark.parametrize("form", ["openssh", "pkcs1-pem", "pkcs8-pem"])
def test_a_passphrase_that_is_another_keys_is_said_to_be(form: str) -> None:
    material = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_private_key(form, passphrase="correct horse")
    assert PrivateKey.parse(material, b"correct horse").algorithm == "ecdsa-sha2-nistp256"
    with pytest.raises(KeyUnavailable, match=r"^the passphrase does not open the private key$"):
        PrivateKey.parse(material, b"another horse")


@pytest.mark.parametrize(
    ("material", "message"),
    [
        pytest.param(b"", "this is not a private key", id="nothing"),
        pytest.param(ED25519.export_public_key(), "this is not a private key", id="public key"),
        pytest.param(b"-----BEGIN (a+)+$ PRIVATE KEY-----\n", "this is not a private key", id="regular expression"),
        pytest.param(MATERIAL[:200], "the private key is damaged or incomplete", id="cut"),
    ],
)
def test_what_cannot_work_is_refused(material: bytes, message: str) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        PrivateKey.parse(material)
    assert str(caught.value).startswith(message)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            lambda: asyncssh.generate_private_key("ssh-rsa", key_size=1024),
            "the RSA key has 1024 bits, at least 2048 are needed: use ed25519",
        ),
        (lambda: asyncssh.generate_private_key("ssh-dss"), "DSA keys are refused by every current sshd: use ed25519"),
    ],
)
def test_kinds_that_servers_refuse(key: Callable[[], asyncssh.SSHKey], message: str) -> None:
    material = key().export_private_key()
    with pytest.raises(KeyUnavailable) as caught:
        PrivateKey.parse(material)
    assert str(caught.value) == message


def test_nothing_of_a_key_is_shown_or_compared() -> None:
    key = PrivateKey.parse(MATERIAL)
    assert repr(key) == f"PrivateKey(fingerprint='{key.fingerprint}', algorithm='ssh-ed25519')"
    assert key == PrivateKey.parse(ED25519.export_private_key("pkcs8-pem"))
    assert key != PrivateKey.parse(asyncssh.generate_private_key("ssh-ed25519").export_private_key())


@given(st.integers(0, len(MATERIAL) - 1), st.binary(max_size=4))
def test_damage_never_raises_anything_else(at: int, damage: bytes) -> None:
    for material in (MATERIAL, ED25519.export_private_key("pkcs8-pem")):
        try:
            key = PrivateKey.parse(material[:at] + damage + material[at + len(damage) :])
        except KeyUnavailable:
            continue
        assert key.fingerprint.startswith("SHA256:")
