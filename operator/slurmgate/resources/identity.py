"""Who is who on a Slurm cluster: where that is looked up."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from slurmgate.resources.base import (
    CertificateAuthority,
    DataKey,
    KeyReference,
    Model,
    ObjectName,
    SingleLine,
    exactly_one_of,
    rules,
)
from slurmgate.resources.ssh import LoginName

PluginName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$")]
DirectoryUrl = Annotated[
    str, Field(max_length=300, pattern=r"^ldaps?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[1-9][0-9]{0,4})?$")
]
Filter = Annotated[str, Field(max_length=1024, pattern=r"^\([^\x00-\x1f\x7f]+\)$")]
Attribute = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9-]*$")]


class MappingFile(Model):
    """Where a user mapping file is."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("configMap", "secret")))

    config_map: ObjectName | None = Field(None, description="Name of a ConfigMap in the operator's namespace.")
    secret: ObjectName | None = Field(None, description="Name of a Secret in the operator's namespace.")
    key: DataKey = Field("ssh_mapping.yaml", description="The key that holds the file.")


class MappingSource(MappingFile):
    """Where the user mapping is: a file, or several."""

    allow_inline_keys_in_config_map: bool = Field(
        default=False,
        description="Accept `ssh_private_key_b64` from a ConfigMap, where anybody who may read it can take the keys.",
    )
    more: tuple[MappingFile, ...] = Field(
        (),
        max_length=63,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Further files, for example one of each team. Together they are one mapping: a person, or a Slurm user's "
        "key, that two of them give differently is used from neither. One that is not there or cannot be read harms nobody "
        "in the others.",
    )

    @property
    def files(self) -> tuple[MappingFile, ...]:
        """All of them, in their order."""
        return (self, *self.more)


class IdentityPlugin(Model):
    """A plugin that is asked who is who."""

    name: PluginName = Field(
        description="Name of an entry point `slurmgate.identity` that the chart value `plugins` allows, "
        "see docs/reference/plugins.md."
    )
    parameters: Mapping[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, max_length=64, description="What it is told. Everybody who may read SlurmClusters can read it."
    )


class BindMethod(StrEnum):
    """How the operator says to the directory who it is."""

    SIMPLE = "Simple"
    NTLM = "NTLM"


class Bind(Model):
    """As whom the directory is asked: an account that may search and read, and nothing else."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            {
                "rule": "self.method != 'NTLM' || self.name.contains('\\\\')",
                "message": "with NTLM, name is DOMAIN\\name",
            }
        )
    )

    method: BindMethod = Field(
        BindMethod.SIMPLE,
        description="`NTLM` (NTLMv2) is for an Active Directory that refuses everything else, and for nothing else: its "
        "passwords can be guessed from what is sent, and used without being guessed.",
    )
    name: SingleLine = Field(
        description="Distinguished name; with Active Directory also `slurmgate@ad.example.org`, and with `NTLM` `DOMAIN\\name`."
    )
    password_secret_ref: KeyReference = Field(description="Its password, in a Secret in the operator's namespace.")


class Scope(StrEnum):
    """How deep below the base people are looked for."""

    SUBTREE = "Subtree"
    ONE_LEVEL = "OneLevel"


class Membership(StrEnum):
    """How it is found out whether somebody belongs to a group."""

    MEMBER_OF = "MemberOf"
    IN_CHAIN = "InChain"


class DirectoryGroup(Model):
    """A group of the directory."""

    name: SingleLine = Field(description="Its distinguished name.")
    membership: Membership = Field(
        Membership.MEMBER_OF,
        description="`MemberOf`: the person's attribute `memberOf` has the group, or a group that is in it, at most ten deep "
        "and a hundred groups in all (OpenLDAP with the overlay memberof, 389, FreeIPA). `InChain`: Active Directory is asked, "
        "which follows groups in groups itself (matching rule 1.2.840.113556.1.4.1941).",
    )


class DirectoryCache(Model):
    """For how long answers of the directory hold. Seconds."""

    known_seconds: int = Field(
        300, ge=10, le=86400, description="Who somebody is. For so long somebody who has gone can still submit."
    )
    unknown_seconds: int = Field(60, ge=1, le=86400, description="That somebody is nobody.")
    stale_seconds: int = Field(
        3600,
        ge=0,
        le=604800,
        description="For so long after that, who somebody is holds on while the directory cannot be asked. "
        "Then submissions wait.",
    )


class Ldap(Model):
    """An LDAP directory, or an Active Directory, that is asked who is who."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            {
                "rule": "self.startTls || self.servers.all(server, server.startsWith('ldaps://'))",
                "message": "with ldap:// servers, startTls must be true: nothing is ever said in clear",
            }
        )
    )

    servers: tuple[DirectoryUrl, ...] = Field(
        min_length=1,
        max_length=8,
        description="Servers of the same directory: `ldaps://HOST[:636]`, or `ldap://HOST[:389]` with `startTls`. The one that "
        "answered last is asked, then the next ones. Each has to prove by its certificate that it is HOST.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    start_tls: bool = Field(
        default=False,
        description="Begin TLS (StartTLS) with `ldap://` servers before anything else is said. Has to be true there.",
    )
    certificate_authority: CertificateAuthority | None = Field(
        None, description="Whom to trust about the servers' certificates, if not the authorities of the operator's image."
    )
    bind: Bind = Field(description="As whom it is asked.")
    base: SingleLine = Field(description="Distinguished name below which people are.")
    scope: Scope = Field(Scope.SUBTREE, description="How deep below the base people are looked for.")
    filter: Filter = Field(
        "(mail={mail})",
        description="The filter (RFC 4515) that finds a person. `{mail}` becomes the owner's e-mail address, escaped. "
        "For example `(&(objectClass=user)(|(mail={mail})(userPrincipalName={mail})))`. If it finds two, nobody is meant.",
        json_schema_extra=rules({"rule": "self.contains('{mail}')", "message": "must contain {mail}"}),
    )
    user_attribute: Attribute = Field(
        "uid",
        description="The attribute that has the Slurm user: `sAMAccountName` with Active Directory. Lower case is made of it.",
    )
    home_attribute: Attribute | None = Field(
        None,
        description="The attribute that has the home directory (`homeDirectory`, `unixHomeDirectory`), if `~` in "
        "`defaults.workingDirectory` is to mean that, and not what the login node says.",
    )
    account_attribute: Attribute | None = Field(
        None,
        description="The attribute that has the person's account in Slurm. It goes before `defaults.account`, and what the "
        "submission asks for goes before it.",
    )
    restrict_to_group: DirectoryGroup | None = Field(None, description="Who is not in this group is nobody.")
    cache: DirectoryCache = Field(DirectoryCache(), description="For how long answers hold.")
    timeout_seconds: int = Field(
        5, ge=1, le=60, description="For so long a server is waited for at each step. All of them get twice that."
    )
    key_secret_template: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[a-z0-9]([-a-z0-9.]|\{user\})*$",
        description="Name of the Secret in the operator's namespace that has a user's private key (key `ssh-privatekey`), for "
        "example `slurm-key-{user}`. Not needed where log-ins are certified.",
        json_schema_extra=rules({"rule": "self.contains('{user}')", "message": "must contain {user}"}),
    )


class SingleUser(Model):
    """The one user that everybody is."""

    name: LoginName = Field(description="The Slurm user as whom everybody's jobs run. Each of them can read all of theirs.")
    private_key_secret_ref: KeyReference | None = Field(
        None, description="Its private key, in a Secret in the operator's namespace. Without it, `ssh.certificates` are used."
    )


class Identity(Model):
    """Who is who on the cluster."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one_of("mapping", "plugin", "ldap", "singleUser")))

    mapping: MappingSource | None = Field(
        None, description="The user mapping: a file, or several, see ssh_mapping.example.yaml."
    )
    ldap: Ldap | None = Field(None, description="An LDAP directory or an Active Directory.")
    plugin: IdentityPlugin | None = Field(None, description="A plugin that is asked who is who, in place of the file.")
    single_user: SingleUser | None = Field(
        None, description="Everybody is the same user: for clusters that have nothing but a service account."
    )
