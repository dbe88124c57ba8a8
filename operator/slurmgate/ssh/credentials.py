"""Private keys: read, refused where they cannot work, and never shown."""

import math
import re
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol, Self

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

    good_until: ClassVar[float] = math.inf

    @classmethod
    def parse(cls, material: bytes, passphrase: bytes | None = None) -> Self:
        """Read an OpenSSH or PEM private key. With a passphrase that takes half a second of CPU: call it in a thread.

        Raises:
            KeyUnavailable: it is not one, the passphrase does not fit, or it is of a kind that servers refuse.
        """
        material = material.strip()
        # Checked here because asyncssh makes a regular expression of whatever stands in the first line.
        if not _HEADER.match(material):
            raise KeyUnavailable("this is not a private key in OpenSSH or PEM format (-----BEGIN ... PRIVATE KEY-----)")
        try:
            # Without validation: it takes 0.6 s of CPU for RSA 4096, at every log-in, and protects only from one's own key.
            key = asyncssh.import_private_key(material, passphrase, unsafe_skip_rsa_key_validation=True)
        except Exception as error:  # noqa: BLE001 - damage shows itself as OverflowError, UnicodeDecodeError and many more
            if passphrase is not None and (isinstance(error, asyncssh.KeyEncryptionError) or "decrypt" in str(error)):
                raise KeyUnavailable("the passphrase does not open the private key") from None
            if "assphrase" in str(error):
                words = "store it without one (ssh-keygen -p), or in a Secret with a reference to its passphrase"
                raise KeyUnavailable(f"the private key has a passphrase: {words}") from None
            raise KeyUnavailable("the private key is damaged or incomplete") from None
        algorithm = key.get_algorithm()
        if algorithm == "ssh-dss":
            raise KeyUnavailable("DSA keys are refused by every current sshd: use ed25519")
        if algorithm == "ssh-rsa" and (bits := getattr(key.pyca_key, "key_size", 0)) < SHORTEST_RSA:
            raise KeyUnavailable(f"the RSA key has {bits} bits, at least {SHORTEST_RSA} are needed: use ed25519")
        if algorithm.startswith("sk-"):
            raise KeyUnavailable("the key needs its hardware token present at every log-in: use ed25519")
        return cls(key.get_fingerprint(), algorithm, key)

    @property
    def if_refused(self) -> str:
        """What was refused when sshd lets nobody in with it, and what to do."""
        return (
            f"the {self.algorithm} key {self.fingerprint}: its public half belongs into authorized_keys, "
            "and the account must exist and be open"
        )

    def use(self) -> asyncssh.SSHKey:
        """The key itself, for logging in."""
        return self._key


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A key that was made for one connection, and a certificate that says as whom it may log in.

    Those that one authority signed for one user are equal: sshd refuses, or takes, all of them alike.
    """

    user: str
    """The principal."""
    authority: str
    """`SHA256:...` of the key that signed the certificate."""
    key_id: str = field(compare=False)
    """What sshd writes into its log."""
    good_until: float = field(compare=False)
    """On the event loop's clock."""
    _pair: asyncssh.SSHKeyPair = field(repr=False, compare=False)

    @property
    def if_refused(self) -> str:
        """As for private keys."""
        return (
            f"a certificate for {self.user} signed by {self.authority}: that authority must be in TrustedUserCAKeys and not "
            "revoked, the principal in AuthorizedPrincipalsFile of the account, our address in sourceAddresses, and the host's "
            f"clock right; the account must exist and be open. The host's log calls the certificate {self.key_id}"
        )

    def use(self) -> asyncssh.SSHKeyPair:
        """Key and certificate, for logging in."""
        return self._pair


Credential = PrivateKey | CertifiedKey
"""What a user logs in with. `good_until` is when it may not be shown any more: the refusal would count against the user."""


class KeySource(Protocol):
    """Where users' private keys come from. Asked anew for every connection, so that a new key needs no restart."""

    async def private_key(self, user: str) -> Credential:
        """The key of a user of the cluster, perhaps with a certificate.

        Raises:
            KeyUnavailable: there is none, or it cannot be used or read now.
        """
        ...
