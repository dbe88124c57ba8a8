"""Keys, passphrases, tokens and authorities from the operator's namespace, read whenever they are needed to log in."""

from slurmgate.engine.authorities import certificates
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.resources.base import CertificateAuthority
from slurmgate.ssh.credentials import KeyUnavailable


async def read_secret(references: References, name: str, key: str) -> bytes:
    """What is in a Secret now. Raises KeyUnavailable with what is missing."""
    try:
        return await references.of_operator("Secret", name, key)
    except ReferenceProblem as problem:
        raise KeyUnavailable(str(problem)) from None


async def read_authority(references: References, source: CertificateAuthority | None) -> str | None:
    """Whom to trust instead of the system's authorities; None: them. Raises KeyUnavailable."""
    try:
        return await certificates(references, source)
    except ReferenceProblem as problem:
        raise KeyUnavailable(str(problem)) from None
