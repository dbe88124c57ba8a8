"""What hosts are recognised by.

Nothing is trusted on first use and nothing outside the given text is looked at. (asyncssh falls back to ~/.ssh/known_hosts
when it is handed anything empty and checks nothing when handed None; it therefore only ever gets the keys chosen here.)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import asyncssh
from typing_extensions import override

from slurmgate.ssh.endpoint import DEFAULT_PORT, Host
from slurmgate.ssh.outcome import Cause, DidNotRun

_KINDS: Final = (
    "ssh-ed25519",
    *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)),
    *(f"rsa-sha2-{bits}" for bits in (512, 256)),
)
"""Signatures of hosts that are taken. Never ssh-rsa, which is SHA-1."""


@dataclass(frozen=True, slots=True)
class HostKeys:
    """What one host may present."""

    keys: tuple[asyncssh.SSHKey, ...]
    authorities: tuple[asyncssh.SSHKey, ...]
    """Keys that sign host certificates."""
    revoked: tuple[asyncssh.SSHKey, ...]

    @override
    def __str__(self) -> str:
        keys = (key.get_fingerprint() for key in self.keys if key not in self.revoked)
        signed = (f"a certificate signed by {key.get_fingerprint()}" for key in self.authorities if key not in self.revoked)
        return " or ".join([*keys, *signed]) or "a key that is not revoked"

    @property
    def revocations(self) -> str:
        """What must not be presented any more, in words."""
        return f"what is revoked: {' or '.join(key.get_fingerprint() for key in self.revoked)}"

    @property
    def algorithms(self) -> list[str]:
        """What the host is asked to prove itself by: what is trusted, if it has that.

        The other kinds follow, so that a host with a new kind of key shows it, and the message can name it.
        """
        trusted = {key.get_algorithm().replace("ssh-rsa", "rsa-sha2") for key in self.keys}
        certificates = [f"{kind}-cert-v01@openssh.com" for kind in _KINDS] if self.authorities else []
        return [*certificates, *sorted(_KINDS, key=lambda kind: not kind.startswith(tuple(trusted)))]

    def for_asyncssh(self) -> tuple[Iterable[asyncssh.SSHKey], ...]:
        """The form of asyncssh's `known_hosts` that is taken as it is."""
        return self.keys, self.authorities, self.revoked, (), (), (), ()


class KnownHosts:
    """A known_hosts text. Lines that cannot be read trust nothing; one that should revoke a key makes the text unusable."""

    def __init__(self, text: str) -> None:
        self._entries = asyncssh.import_known_hosts("")
        self._unread: list[str] = []
        self._unusable = False
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if problem := _problem(line):
                self._unread.append(f"line {number}: {problem}")
                self._unusable |= line.lstrip().startswith("@revoked")
            else:
                self._entries.load(line)

    def of(self, host: Host) -> HostKeys | DidNotRun:
        """The keys written for this name and port; entries without a port serve every port, as in ssh(1)."""
        port = None if host.port == DEFAULT_PORT else host.port
        keys, authorities, revoked, *_ = self._entries.match(host.name, "", port)
        if (keys or authorities) and not self._unusable:
            return HostKeys(tuple(keys), tuple(authorities), tuple(revoked))
        unread = f" Lines that could not be used: {'; '.join(self._unread)}." if self._unread else ""
        advice = f"add one, for example the checked output of `ssh-keyscan -p {host.port} {host.name}`"
        return DidNotRun(Cause.NO_HOST_KEYS, f"no usable host key is configured for {host}: {advice}.{unread}")


def _problem(line: str) -> str | None:
    marker, *fields = line.split() if line.lstrip().startswith("@") else ["", *line.split()]
    if marker not in ("", "@cert-authority", "@revoked"):
        return f"unknown marker {marker}"
    if len(fields) < 3:  # noqa: PLR2004 - the three columns named in the message
        return "expected host names, key type and key"
    try:
        asyncssh.import_public_key(f"{fields[1]} {fields[2]}")
        asyncssh.import_known_hosts(line)
    except Exception:  # noqa: BLE001 - as for private keys, damage shows itself in many exceptions
        return f"the {fields[1]} key is damaged or of an unknown type, or the host name pattern is wrong"
    return None
