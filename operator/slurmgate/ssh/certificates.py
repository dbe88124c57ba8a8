"""Certificates for users (OpenSSH's PROTOCOL.certkeys): each for a key that is made for one connection, and soon over.

Whoever signs, what comes of it is looked at here: a certificate that allows more than was asked for is never shown to a host.
"""

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import asyncssh
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
    ssh_key_fingerprint,
)

from slurmgate.ssh.clock import now
from slurmgate.ssh.credentials import CertifiedKey, KeyUnavailable, PrivateKey

SKEW_SECONDS: Final = 60
"""Clocks of hosts may be behind by that much: certificates are valid since so long before they were made."""
NO_COMMAND: Final = "/bin/false"
"""What a certificate for jump hosts runs, whatever was asked for."""

_PERMITS = "permit-"
_FORWARDING = "permit-port-forwarding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a certificate allows: commands as one user, and nothing else that sshd could do for him."""

    user: str
    key_id: str
    seconds: int
    """From now."""
    source_addresses: tuple[str, ...] = ()
    """Networks from which it may be used; none: from everywhere."""
    force_command: str | None = None
    """What is run, whatever was asked for."""
    jumps: bool = False
    """For a jump host instead: connections to other hosts, and no commands."""

    @property
    def critical_options(self) -> Mapping[str, str]:
        """What restricts it, as in PROTOCOL.certkeys."""
        command = NO_COMMAND if self.jumps else self.force_command
        options = {"force-command": command or "", "source-address": ",".join(self.source_addresses)}
        return {name: value for name, value in options.items() if value}

    @property
    def extensions(self) -> Mapping[str, str]:
        """What it permits beyond commands, as there."""
        return {_FORWARDING: ""} if self.jumps else {}


class Signer(Protocol):
    """Signs certificates: in this process, or somewhere else."""

    async def sign(self, public_key: str, grant: Grant) -> str:
        """The certificate for a public key, each as one line in OpenSSH's format. Raises KeyUnavailable."""
        ...


def sign(authority: PrivateKey, public_key: str, grant: Grant) -> str:
    """Sign here, as a Signer does."""
    seconds = int(time.time())
    certificate = authority.use().generate_user_certificate(
        asyncssh.import_public_key(public_key),
        grant.key_id,
        serial=secrets.randbits(63),
        principals=[grant.user],
        valid_after=seconds - SKEW_SECONDS,
        valid_before=seconds + grant.seconds,
        force_command=grant.critical_options.get("force-command"),
        source_address=grant.source_addresses,
        permit_x11_forwarding=False,
        permit_agent_forwarding=False,
        permit_port_forwarding=grant.jumps,
        permit_pty=False,
        permit_user_rc=False,
    )
    return certificate.export_certificate().decode()


async def certified_key(signer: Signer, grant: Grant) -> CertifiedKey:
    """A new key with a certificate for it.

    Raises:
        KeyUnavailable: nobody signed, or not what was asked for.
    """
    began = now()
    key = asyncssh.generate_private_key("ssh-ed25519")
    public_key = key.export_public_key().decode().strip()
    line = (await signer.sign(public_key, grant)).strip()
    try:
        signed = load_ssh_public_identity(line.encode())
        certificate = asyncssh.import_certificate(line)  # checks the signature, too
    except Exception:  # noqa: BLE001 - as for private keys, damage shows itself in many exceptions
        raise KeyUnavailable(f"what was signed for {grant.user} is no certificate that can be read") from None
    if not isinstance(signed, SSHCertificate):
        raise KeyUnavailable(f"what was signed for {grant.user} is a key, and no certificate")
    if problem := "it is for another key" if certificate.key != key.convert_to_public() else _problem(signed, grant):
        raise KeyUnavailable(f"the certificate for {grant.user} is not used: {problem}")
    pair, _ = asyncssh.load_keypairs([(key, certificate)])  # the other one is the key alone
    return CertifiedKey(grant.user, _fingerprint(signed), grant.key_id, began + grant.seconds, pair)


def _problem(signed: SSHCertificate, grant: Grant) -> str:
    """Why a certificate is not what was asked for, and what to do; empty if it is."""
    principals = [name.decode(errors="replace") for name in signed.valid_principals]
    if signed.type is not SSHCertificateType.USER or principals != [grant.user]:
        return f"it is for {', '.join(principals) or 'everybody'}"
    seconds = signed.valid_before - int(time.time())
    if not 0 < seconds <= grant.seconds + SKEW_SECONDS:
        return f"it is good for {seconds} s instead of {grant.seconds} s: compare the clocks, and look at the role's ttl"
    extensions = {name.decode(errors="replace") for name in signed.extensions}
    if more := sorted(name for name in extensions - {*grant.extensions} if name.startswith(_PERMITS)):
        return f"it has {', '.join(more)}: take these out of the role's default_extensions"
    options = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in signed.critical_options.items()}
    if lacking := sorted(name for name, value in grant.critical_options.items() if options.get(name) != value):
        return f"its {', '.join(lacking)} is not what was asked for: look at the role's allowed_critical_options"
    return ""


def _fingerprint(signed: SSHCertificate) -> str:
    digest = ssh_key_fingerprint(signed.signature_key(), SHA256())
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
