"""Signs certificates in this process."""

from dataclasses import dataclass
from functools import partial

from slurmgate.engine.ports import References
from slurmgate.engine.signing.reading import read_secret
from slurmgate.identity.source import secret_key
from slurmgate.resources.ssh import SigningKey
from slurmgate.ssh.certificates import Grant, sign
from slurmgate.ssh.credentials import KeyUnavailable


@dataclass(frozen=True)
class Authority:
    """A user certificate authority whose key is in a Secret. It is read for each certificate, and then forgotten."""

    key: SigningKey
    references: References

    async def sign(self, public_key: str, grant: Grant) -> str:
        """The certificate for a public key. Raises KeyUnavailable."""
        reference, passphrase = self.key.private_key_secret_ref, self.key.passphrase_secret_ref
        try:
            authority = await secret_key(
                partial(read_secret, self.references),
                reference.name,
                reference.key,
                passphrase=(passphrase.name, passphrase.key) if passphrase else None,
            )
        except KeyUnavailable as error:
            raise KeyUnavailable(f"spec.ssh.certificates.authority: {error}") from None
        return sign(authority, public_key, grant)
