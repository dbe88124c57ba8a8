"""How a Slurm cluster is reached: its login nodes, their host keys, and who logs in to ask."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from slurmgate.resources.base import (
    CertificateAuthority,
    KeyReference,
    Model,
    SingleLine,
    WebAddress,
    exactly_one_of,
    keyed_list,
    rules,
)


def _network(text: str) -> str:
    return str(ip_network(text))


Network = Annotated[str, Field(max_length=64, pattern=r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"), AfterValidator(_network)]
"""An address, or a network as `10.0.0.0/8`, without bits that are set behind its prefix."""
VaultPath = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*$")]
LoginName = Annotated[str, Field(max_length=32, pattern=r"^[a-z_][a-z0-9_.-]*$")]


class LoginNode(Model):
    """A login node."""

    host: str = Field(max_length=253, pattern=r"^[A-Za-z0-9._:-]+$", description="Host name or address.")
    port: int = Field(22, ge=1, le=65535, description="Port of its sshd.")


class KnownHosts(Model):
    """Host keys in the format of OpenSSH's known_hosts file (man sshd, SSH_KNOWN_HOSTS FILE FORMAT)."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("inline", "configMapKeyRef", "secretKeyRef")))

    inline: str | None = Field(None, max_length=65536, description="The lines themselves.")
    config_map_key_ref: KeyReference | None = Field(None, description="A ConfigMap in the operator's namespace.")
    secret_key_ref: KeyReference | None = Field(None, description="A Secret in the operator's namespace.")


class ServiceUser(Model):
    """An account that may see everybody's jobs, and hold, release and cancel them: an operator or coordinator in Slurm."""

    name: LoginName = Field(description="Its login name.")
    private_key_secret_ref: KeyReference | None = Field(
        None, description="Its private key, in a Secret in the operator's namespace. Without it, `certificates` are used."
    )
    passphrase_secret_ref: KeyReference | None = Field(None, description="The passphrase of that key, if it has one.")


class JumpHost(Model):
    """A host that connects us to the next one, as ssh's ProxyJump."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            {
                "rule": "has(self.user) || !has(self.privateKeySecretRef)",
                "message": "privateKeySecretRef is the key of user: name it",
            }
        )
    )

    host: str = Field(max_length=253, pattern=r"^[A-Za-z0-9._:-]+$", description="Host name or address.")
    port: int = Field(22, ge=1, le=65535, description="Port of its sshd.")
    user: LoginName | None = Field(
        None, description="Who logs in there for everybody. Without it, each user does, as on the login node."
    )
    private_key_secret_ref: KeyReference | None = Field(
        None,
        description="The private key of `user`, in a Secret in the operator's namespace. Without it, `certificates` are used.",
    )
    passphrase_secret_ref: KeyReference | None = Field(None, description="The passphrase of that key, if it has one.")


class SigningKey(Model):
    """The key of a user certificate authority. It is read for each certificate and not kept."""

    private_key_secret_ref: KeyReference = Field(description="The private key, in a Secret in the operator's namespace.")
    passphrase_secret_ref: KeyReference | None = Field(None, description="Its passphrase, if it has one.")


class Vault(Model):
    """The SSH secrets engine of a Vault or OpenBao, which signs with a key of its own (docs/how-to/ssh-certificates.md)."""

    url: WebAddress = Field(description="Its address, as `VAULT_ADDR`.")
    mount: VaultPath = Field("ssh", description="Path at which the engine is mounted.")
    role: VaultPath = Field(description="The role that is asked to sign.")
    namespace: VaultPath | None = Field(None, description="Its namespace, if it has such (`X-Vault-Namespace`).")
    token_secret_ref: KeyReference = Field(
        description="A token that may update `<mount>/sign/<role>`, in a Secret in the operator's namespace. Read for each "
        "certificate, so it may change at any time."
    )
    certificate_authority: CertificateAuthority | None = Field(
        None, description="Whom to trust about `url` instead of the system's authorities."
    )


class Certificates(Model):
    """SSH certificates: for every connection a new key, and a certificate for it that is soon over. Nobody needs a key."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("authority", "vault")))

    authority: SigningKey | None = Field(None, description="Sign in the operator, with a key that it may read.")
    vault: Vault | None = Field(None, description="Have a Vault or OpenBao sign, whose key nobody can read.")
    validity_seconds: int = Field(
        300,
        ge=60,
        le=300,
        description="For so long a certificate opens new connections. One that is open stays open, for an hour at most.",
    )
    source_addresses: tuple[Network, ...] = Field(
        (),
        max_length=32,
        description="Addresses or networks from which certificates may be used: where sshd sees the operator's Pods, or "
        "their nodes, come from, and the jump hosts, if there are any. None: from everywhere.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    force_command: SingleLine | None = Field(
        None,
        description="A command on the login node that sshd runs whatever was asked for, which it finds in "
        "`SSH_ORIGINAL_COMMAND`. It decides what may be run, and runs it.",
    )


class Ssh(Model):
    """How the cluster is reached."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            {
                "rule": "has(self.certificates) || !has(self.serviceUser) || has(self.serviceUser.privateKeySecretRef)",
                "message": "serviceUser.privateKeySecretRef must be set without certificates",
            },
            {
                "rule": "has(self.certificates) || !has(self.jumpHosts) || "
                "self.jumpHosts.all(jump, !has(jump.user) || has(jump.privateKeySecretRef))",
                "message": "privateKeySecretRef of jumpHosts with a user must be set without certificates",
            },
        )
    )

    hosts: tuple[LoginNode, ...] = Field(
        min_length=1,
        max_length=8,
        description="Login nodes that see the same files. A new connection goes to the first one that can be reached.",
        json_schema_extra=keyed_list("host", "port"),
    )
    known_hosts: KnownHosts = Field(
        description="The host keys of the login nodes and jump hosts, from `ssh-keyscan` on a trusted network or from the "
        "admins; or, as `@cert-authority`, who signs them. A connection is never made to a host whose key is not listed here."
    )
    jump_hosts: tuple[JumpHost, ...] = Field(
        (),
        max_length=4,
        description="The way to the login nodes, the nearest host first. Without it they are connected to directly.",
        json_schema_extra=keyed_list("host", "port"),
    )
    certificates: Certificates | None = Field(
        None, description="Log in with SSH certificates, as everybody. The keys of users are then neither needed nor looked at."
    )
    service_user: ServiceUser | None = Field(
        None,
        description="The account that asks Slurm about jobs, and that holds, releases and cancels those of users who cannot "
        "log in (any more). It submits nothing. Without it users ask for themselves, and their jobs wait for them: see "
        "docs/how-to/service-user.md.",
    )
    sessions_per_connection: int = Field(
        6, ge=1, le=100, description="Commands at once over one connection. sshd's MaxSessions is 10 and frees late."
    )
    connections_per_user: int = Field(2, ge=1, le=20, description="Connections at once for each user.")
