"""Whom to trust about a server that is reached by TLS, read from the operator's namespace whenever it is needed."""

from slurmgate.engine.ports import References
from slurmgate.kube.content import Kind
from slurmgate.resources.base import CertificateAuthority


async def certificates(references: References, source: CertificateAuthority | None) -> str | None:
    """The certificates (PEM) to trust instead of the system's, None for those of the system. Raises ReferenceProblem."""
    if source is None:
        return None
    kind, reference = (
        (Kind.SECRET, source.secret_key_ref) if source.secret_key_ref else (Kind.CONFIG_MAP, source.config_map_key_ref)
    )
    if reference is None:
        return None
    content = await references.of_operator(kind, reference.name, reference.key)
    return content.decode(errors="replace")  # what is no text is refused by whoever it is for
