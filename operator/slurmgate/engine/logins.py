"""What the users of a cluster log in with: keys of their own, or certificates made for each connection."""

from functools import partial

from slurmgate.engine.people.people import People, Residents
from slurmgate.engine.ports import ReferenceProblem, References
from slurmgate.engine.signing.authority import Authority
from slurmgate.engine.signing.reading import read_secret
from slurmgate.engine.signing.vault import VaultSigner
from slurmgate.identity.source import secret_key
from slurmgate.resources import ssh as resources
from slurmgate.ssh.certificates import Grant, Signer, certified_key
from slurmgate.ssh.credentials import Credential, KeyUnavailable
from slurmgate.ssh.endpoint import Host, JumpHost

_MOST_OWNERS = 5
"""Named in the id of a certificate."""


class Logins:
    """Of one cluster. A KeySource; nothing is kept."""

    def __init__(
        self, cluster: str, ssh: resources.Ssh, people: People, *, references: References, residents: Residents
    ) -> None:
        self._cluster = cluster
        self._ssh = ssh
        self._people = people
        self._references = references
        self._residents = residents
        self._signer = _signer(ssh.certificates, references)

    async def private_key(self, user: str) -> Credential:
        """What a user logs in to the cluster with; raises KeyUnavailable.

        The service user has a Secret of its own, everybody else what people are known by, or else certificates.
        """
        service = self._ssh.service_user
        if service and service.name == user:
            return await self._named(service, user, jumps=False)
        if self._ssh.certificates is None:
            return await self._people.private_key(user)
        await self._people.confirm(user)
        return await self._certified(user, jumps=False)

    @property
    def jump_hosts(self) -> tuple[JumpHost, ...]:
        """The way to the cluster."""
        return tuple(
            JumpHost(Host(jump.host, jump.port), jump.user, partial(self._jump_key, jump)) for jump in self._ssh.jump_hosts
        )

    async def _jump_key(self, jump: resources.JumpHost, user: str) -> Credential:
        if jump.user is None and self._ssh.certificates is None:
            return await self.private_key(user)
        return await self._named(jump, user, jumps=True)

    async def _named(self, account: resources.ServiceUser | resources.JumpHost, user: str, *, jumps: bool) -> Credential:
        reference, passphrase = account.private_key_secret_ref, account.passphrase_secret_ref
        if reference is None:
            return await self._certified(user, jumps=jumps)
        return await secret_key(
            partial(read_secret, self._references),
            reference.name,
            reference.key,
            passphrase=(passphrase.name, passphrase.key) if passphrase else None,
        )

    async def _certified(self, user: str, *, jumps: bool) -> Credential:
        certificates = self._ssh.certificates
        if certificates is None or self._signer is None:
            raise KeyUnavailable("the SlurmCluster names neither a key nor spec.ssh.certificates")
        grant = Grant(
            user=user,
            key_id=await self._key_id(user),
            seconds=certificates.validity_seconds,
            source_addresses=certificates.source_addresses,
            force_command=certificates.force_command,
            jumps=jumps,
        )
        return await certified_key(self._signer, grant)

    async def _key_id(self, user: str) -> str:
        """What sshd writes into its log: which operator it is, and for whom it comes."""
        try:
            installation = await self._references.installation()
        except ReferenceProblem as problem:
            raise KeyUnavailable(str(problem)) from None
        words = [f"slurmgate/{installation}", f"cluster={self._cluster}", f"user={user}"]
        if owners := sorted({owner for owner, his in self._residents() if his == user}):
            more = [f"and-{len(owners) - _MOST_OWNERS}-more"] if len(owners) > _MOST_OWNERS else []
            words.append(f"owners={','.join([*owners[:_MOST_OWNERS], *more])}")
        return " ".join(words)


def _signer(certificates: resources.Certificates | None, references: References) -> Signer | None:
    match certificates:
        case resources.Certificates(authority=resources.SigningKey() as key):
            return Authority(key, references)
        case resources.Certificates(vault=resources.Vault() as vault):
            return VaultSigner(vault, references)
        case _:
            return None
