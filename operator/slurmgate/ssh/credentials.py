"""Private keys: read, refused where they cannot work, and never shown."""

import re
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

import asyncssh

SHORTEST_RSA: Final = 2048

_HEADER = re.compile(rb"-----BEGIN (?:OPENSSH |RSA |EC |DSA |ENCRYPTED )?PRIVATE KEY-----\s")


class KeyUnavailable(Exception):  # noqa: N818 - a state of affairs, read as a sentence where it is caught
    """There is no usable private key. The message says what to do and holds nothing of the key."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key that can be logged in with. Only its public fingerprint is ever printed or compared."""

    fingerprint: str
    """`SHA256:...` as ssh-keygen -l shows it."""
    algorithm: str
    _key: asyncssh.SSHKey = field(repr=False, compare=False)

    @classmethod
    def parse(cls, material: bytes) -> Self:
        """Read an OpenSSH or PEM private key.

        Raises:
            KeyUnavailable: it is not one, has a passphrase, or is of a kind that servers refuse.
        """
        material = material.strip()
        # Checked here because asyncssh makes a regular expression of whatever stands in the first line.
        if not _HEADER.match(material):
            raise KeyUnavailable("this is not a private key in OpenSSH or PEM format (-----BEGIN ... PRIVATE KEY-----)")
        try:
            # Without validation: it takes 0.6 s of CPU for RSA 4096, at every log-in, and protects only from one's own key.
            key = asyncssh.import_private_key(material, unsafe_skip_rsa_key_validation=True)
        except Exception as error:  # noqa: BLE001 - damage shows itself as OverflowError, UnicodeDecodeError and many more
            if "assphrase" in str(error):
                raise KeyUnavailable("the private key has a passphrase: store it without one (ssh-keygen -p)") from None
            raise KeyUnavailable("the private key is damaged or incomplete") from None
        algorithm = key.get_algorithm()
        if algorithm == "ssh-dss":
            raise KeyUnavailable("DSA keys are refused by every current sshd: use ed25519")
        if algorithm == "ssh-rsa" and (bits := getattr(key.pyca_key, "key_size", 0)) < SHORTEST_RSA:
            raise KeyUnavailable(f"the RSA key has {bits} bits, at least {SHORTEST_RSA} are needed: use ed25519")
        if algorithm.startswith("sk-"):
            raise KeyUnavailable("the key needs its hardware token present at every log-in: use ed25519")
        return cls(key.get_fingerprint(), algorithm, key)

    def use(self) -> asyncssh.SSHKey:
        """The key itself, for logging in."""
        return self._key


class KeySource(Protocol):
    """Where users' private keys come from. Asked anew for every connection, so that a new key needs no restart."""

    async def private_key(self, user: str) -> PrivateKey:
        """The key of a user of the cluster.

        Raises:
            KeyUnavailable: there is none, or it cannot be used or read now.
        """
        ...
