"""Getting into one host: the login node of a cluster, or a jump host on the way there."""

import asyncio
import os
from typing import Final

import asyncssh
from typing_extensions import override

from slurmgate.ssh.credentials import Credential
from slurmgate.ssh.endpoint import Endpoint, Host
from slurmgate.ssh.known_hosts import HostKeys
from slurmgate.ssh.outcome import Cause, DidNotRun

_SIGNATURES: Final = "ssh-ed25519,ecdsa-sha2-nistp*,rsa-sha2-512,rsa-sha2-256"
"""What we sign with. Never ssh-rsa, which is SHA-1."""

# asyncssh wants the local user's name and home, of no use here, and fails where the uid has none (as in a small container).
os.environ.setdefault("LOGNAME", "slurmgate")
os.environ.setdefault("HOME", "/nonexistent")


class Visit(asyncssh.SSHClient):
    """The log-in of a user to a host."""

    def __init__(self, endpoint: Endpoint, host: Host, user: str) -> None:
        self._endpoint = endpoint
        self._host = host
        self._user = user
        self._greeted: asyncssh.SSHClientConnection | None = None
        self._limit = asyncio.timeout(endpoint.connect_timeout)
        self._presented = "a host key"

    async def enter(
        self, key: Credential, trusted: HostKeys, through: asyncssh.SSHClientConnection | None = None
    ) -> asyncssh.SSHClientConnection | DidNotRun:
        """Connect, perhaps through another connection, which then ends with this one, and log in; or why that failed."""
        try:
            async with self._limit:
                ssh = await asyncssh.connect(
                    self._host.name,
                    self._host.port,
                    client_factory=lambda: self,
                    config=None,
                    tunnel=through,
                    agent_path=None,
                    known_hosts=trusted.for_asyncssh(),
                    server_host_key_algs=trusted.algorithms,
                    signature_algs=_SIGNATURES,
                    x509_trusted_certs=None,
                    username=self._user,
                    client_keys=[key.use()],
                    preferred_auth="publickey",
                    gss_host=None,
                    keepalive_interval=self._endpoint.keepalive,
                    connect_timeout=None,
                    login_timeout=0,
                )
        except Exception as error:  # noqa: BLE001 - asyncssh passes on whatever the server's bytes made it raise
            return self._explain(error, key, trusted)
        if through is not None:
            ssh.set_tunnel(through)
        return ssh

    def _explain(self, error: Exception, key: Credential, trusted: HostKeys) -> DidNotRun:
        match error:
            case asyncssh.HostKeyNotVerifiable():
                if "revoked" in error.reason:  # asyncssh does not say which
                    self._presented = trusted.revocations
                message = f"{self._host} presented {self._presented}, expected {trusted} ({error.reason})"
                return DidNotRun(Cause.HOST_KEY_MISMATCH, message)
            case asyncssh.PermissionDenied():
                return DidNotRun(Cause.AUTHENTICATION_FAILED, f"{self._user}@{self._host} refused {key.if_refused}")
            case TimeoutError() if self._limit.expired():
                if self._greeted:
                    words = f"no log-in within {self._endpoint.login_timeout:g} s"
                else:
                    words = f"no answer within {self._endpoint.connect_timeout:g} s"
            case OSError(errno=int(number)) if number > 0:
                words = f"{os.strerror(number)} ({error})"
            case asyncssh.ChannelOpenError():
                words = f"the jump host does not connect us to it: {error}"
            case _:
                words = str(error) or type(error).__name__
        if self._greeted and self._greeted.get_server_host_key():  # what comes after the host key is about this user
            return DidNotRun(Cause.NO_LOGIN, f"{self._user}@{self._host}: {words}")
        return DidNotRun(Cause.UNREACHABLE, f"{self._host}: {words}")

    @override
    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._greeted = conn
        self._limit.reschedule(asyncio.get_running_loop().time() + self._endpoint.login_timeout)

    @override
    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._presented = key.get_fingerprint()  # only asked about keys that are not trusted
        return False

    @override
    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._presented = f"a certificate signed by {key.get_fingerprint()}"
        return False
