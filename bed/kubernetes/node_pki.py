"""Certificates of a bed's node: its own authority, servers known by address, clients known by name and group."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = timedelta(days=30)
_CLOCK_SKEW = timedelta(minutes=5)
_SIGNS = {
    "digital_signature": True,
    "key_cert_sign": True,
    "crl_sign": True,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "encipher_only": False,
    "decipher_only": False,
}


class Authority:
    """Signs what lies in one folder: `NAME.crt` and `NAME.key` for every certificate, its own are `ca`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slurmgate-bed")])
        certificate = self._unsigned(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._finish("ca", self._key, certificate.add_extension(x509.KeyUsage(**_SIGNS), critical=True))

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self._folder / "ca.crt"

    def issue(self, name: str, *, user: str, group: str | None = None, addresses: tuple[str, ...] = ()) -> None:
        """A certificate for a client, `user` in `group` (Kubernetes, X509 client certificates), or a server at `addresses`."""
        key = generate_private_key(SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = self._unsigned(subject, key).add_extension(usage, critical=False)
        if addresses:
            alternatives = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address)) for address in addresses])
            certificate = certificate.add_extension(alternatives, critical=False)
        self._finish(name, key, certificate)

    def _unsigned(self, subject: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _CLOCK_SKEW,
            not_valid_after=now + _LIFE,
        )

    def _finish(self, name: str, key: EllipticCurvePrivateKey, certificate: x509.CertificateBuilder) -> None:
        signed = certificate.sign(self._key, SHA256()).public_bytes(Encoding.PEM)
        (self._folder / f"{name}.crt").write_bytes(signed)
        private = self._folder / f"{name}.key"
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self._folder / f"{name}.pub").write_bytes(public)
