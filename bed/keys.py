"""Key pairs for people, servers and tokens. All are made here for one bed and die with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
    load_ssh_public_key,
)
from cryptography.x509 import (
    BasicConstraints,
    CertificateBuilder,
    IPAddress,
    Name,
    NameAttribute,
    SubjectAlternativeName,
    random_serial_number,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class KeyPair:
    """A private key in a file that only its owner may read, and the public key as one line or PEM text."""

    private: Path
    public: str


def ssh_key(private: Path) -> KeyPair:
    """An ed25519 key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate()
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return KeyPair(private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def host_certificate(host: KeyPair, authority: KeyPair, names: Sequence[str]) -> str:
    """A certificate for a host's ed25519 key, as one line."""
    now = datetime.now(UTC)
    key = load_ssh_private_key(authority.private.read_bytes(), password=None)
    public = load_ssh_public_key(host.public.encode())
    if not isinstance(key, Ed25519PrivateKey) or not isinstance(public, Ed25519PublicKey):
        raise TypeError("not the keys that are made here")
    return (
        SSHCertificateBuilder()
        .public_key(public)
        .serial(1)
        .type(SSHCertificateType.HOST)
        .key_id(b"bed")
        .valid_principals([name.encode() for name in names])
        .valid_after(int((now - timedelta(days=1)).timestamp()))
        .valid_before(int((now + timedelta(days=365)).timestamp()))
        .sign(key)
        .public_bytes()
        .decode()
    )


def token_key(private: Path) -> KeyPair:
    """A key with which an API server signs the tokens of service accounts."""
    key = generate_private_key(SECP256R1())
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private, public.decode())


def issuer_key(private: Path) -> KeyPair:
    """A key with which an OIDC issuer signs the tokens of people and machines."""
    key = generate_rsa_key(public_exponent=65537, key_size=2048)
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private, public.decode())


def server_key(private: Path, address: str) -> KeyPair:
    """A key for a TLS server; its public half is a certificate for `address` that is its own authority."""
    key = generate_private_key(SECP256R1())
    _write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    name, now = Name([NameAttribute(NameOID.COMMON_NAME, "bed")]), datetime.now(UTC)
    certificate = (
        CertificateBuilder(
            subject_name=name, issuer_name=name, public_key=key.public_key(), serial_number=random_serial_number()
        )
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(SubjectAlternativeName([IPAddress(ip_address(address))]), critical=False)
        .add_extension(BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    return KeyPair(private, certificate.public_bytes(Encoding.PEM).decode())


def _write(private: Path, content: bytes) -> None:
    private.touch(mode=0o600)
    private.write_bytes(content)
