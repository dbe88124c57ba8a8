"""Who logs in with what."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncssh
import pytest

from slurmgate.core.outcomes import NotNow, Refused
from slurmgate.engine.logins import Logins
from slurmgate.resources.cluster import Defaults
from slurmgate.resources.ssh import Ssh
from slurmgate.ssh.credentials import CertifiedKey, KeyUnavailable, PrivateKey
from tests.unit.signing.references import Secrets

CA = asyncssh.generate_private_key("ssh-ed25519")
KEYS = {user: asyncssh.generate_private_key("ssh-ed25519") for user in ("kirby", "jarvice", "gate")}
SECRETS = {
    ("Secret", "authority", "key"): CA.export_private_key("pkcs8-pem", passphrase="correct horse"),
    ("Secret", "authority", "words"): b"correct horse",
    ("Secret", "jarvice", "key"): KEYS["jarvice"].export_private_key(),
    ("Secret", "gate", "key"): KEYS["gate"].export_private_key(),
}
AUTHORITY = {
    "privateKeySecretRef": {"name": "authority", "key": "key"},
    "passphraseSecretRef": {"name": "authority", "key": "words"},
}
CERTIFICATES = {"authority": AUTHORITY, "sourceAddresses": ["10.1.2.3"], "forceCommand": "/bin/sh"}


@dataclass
class Everybody:
    """People of whom kirby is one and mario is not."""

    users: Sequence[str] = ("kirby",)

    async def run(self) -> None:
        raise NotImplementedError

    async def user_of(self, owner: str) -> str | Refused | NotNow:
        raise NotImplementedError

    def defaults_of(self, owner: str, defaults: Defaults) -> Defaults:
        raise NotImplementedError

    async def private_key(self, user: str) -> PrivateKey:
        await self.confirm(user)
        return PrivateKey.parse(KEYS[user].export_private_key())

    async def confirm(self, user: str) -> None:
        if user not in self.users:
            raise KeyUnavailable(f"nobody is {user}")


@dataclass
class Cluster:
    """What one SlurmCluster says about logging in."""

    secrets: Secrets = field(default_factory=lambda: Secrets(dict(SECRETS)))
    residents: set[tuple[str, str]] = field(default_factory=set)

    def logins(self, **ssh: Any) -> Logins:
        spec = {"hosts": [{"host": "login1"}], "knownHosts": {"inline": ""}, **ssh}

        def residents() -> Collection[tuple[str, str]]:
            return self.residents

        return Logins("valhalla", Ssh.model_validate(spec), Everybody(), references=self.secrets, residents=residents)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_without_certificates_everybody_has_a_key_of_his_own(cluster: Cluster) -> None:
    key = await cluster.logins().private_key("kirby")
    assert isinstance(key, PrivateKey)
    assert key.fingerprint == KEYS["kirby"].get_fingerprint()


async def test_with_certificates_nobody_has_and_the_authoritys_is_read_for_each(cluster: Cluster) -> None:
    logins = cluster.logins(certificates=CERTIFICATES)
    for reads in (2, 4):
        key = await logins.private_key("kirby")
        assert isinstance(key, CertifiedKey)
        assert key.authority == CA.get_fingerprint()
        assert len(cluster.secrets.reads) == reads


async def test_nobody_gets_a_certificate_who_is_nobody(cluster: Cluster) -> None:
    with pytest.raises(KeyUnavailable, match="nobody is mario"):
        await cluster.logins(certificates=CERTIFICATES).private_key("mario")
    assert cluster.secrets.reads == []


async def test_its_id_names_the_operator_and_for_whom_it_comes(cluster: Cluster) -> None:
    logins = cluster.logins(certificates=CERTIFICATES)
    key = await logins.private_key("kirby")
    assert isinstance(key, CertifiedKey)
    assert key.key_id == "slurmgate/this-installation cluster=valhalla user=kirby"
    cluster.residents = {*((f"{number}@x.org", "kirby") for number in range(7)), ("mario@x.org", "mario")}
    key = await logins.private_key("kirby")
    assert isinstance(key, CertifiedKey)
    assert key.key_id.endswith(" user=kirby owners=0@x.org,1@x.org,2@x.org,3@x.org,4@x.org,and-2-more")


async def test_the_certificate_is_restricted_as_the_spec_says(cluster: Cluster) -> None:
    key = await cluster.logins(certificates=CERTIFICATES).private_key("kirby")
    certificate: Any = key.use()._cert  # type: ignore[union-attr]
    assert certificate.principals == ["kirby"]
    options = {name: str(value) for name, value in certificate.options.items()}
    assert options == {"force-command": "/bin/sh", "source-address": "[IPv4Network('10.1.2.3/32')]"}


async def test_the_service_user_has_a_key_of_his_own_or_a_certificate(cluster: Cluster) -> None:
    own = {"name": "jarvice", "privateKeySecretRef": {"name": "jarvice", "key": "key"}}
    for more in ({}, {"certificates": CERTIFICATES}):
        key = await cluster.logins(serviceUser=own, **more).private_key("jarvice")
        assert isinstance(key, PrivateKey)
        assert key.fingerprint == KEYS["jarvice"].get_fingerprint()
    key = await cluster.logins(serviceUser={"name": "jarvice"}, certificates=CERTIFICATES).private_key("jarvice")
    assert isinstance(key, CertifiedKey)
    assert key.user == "jarvice"


async def test_what_is_wrong_with_the_authoritys_key_is_said(cluster: Cluster) -> None:
    cluster.secrets.content["Secret", "authority", "words"] = b"another horse"
    with pytest.raises(KeyUnavailable) as why:
        await cluster.logins(certificates=CERTIFICATES).private_key("kirby")
    assert str(why.value) == (
        "spec.ssh.certificates.authority: Secret authority, key key: the passphrase does not open the private key"
    )


async def test_on_the_way_everybody_is_who_he_is_there_or_the_one_who_is_named(cluster: Cluster) -> None:
    gate = {"host": "gate", "port": 2222, "user": "gate", "privateKeySecretRef": {"name": "gate", "key": "key"}}
    first, second = cluster.logins(jumpHosts=[gate, {"host": "inner"}]).jump_hosts
    assert (str(first.host), first.user, str(second.host), second.user) == ("[gate]:2222", "gate", "inner", None)
    named, own = await first.key_of("gate"), await second.key_of("kirby")
    assert isinstance(named, PrivateKey)
    assert isinstance(own, PrivateKey)
    assert named.fingerprint == KEYS["gate"].get_fingerprint()
    assert own.fingerprint == KEYS["kirby"].get_fingerprint()


async def test_certificates_for_the_way_open_the_way_and_nothing_else(cluster: Cluster) -> None:
    logins = cluster.logins(jumpHosts=[{"host": "gate", "user": "gate"}, {"host": "inner"}], certificates=CERTIFICATES)
    for jump, user in zip(logins.jump_hosts, ("gate", "kirby"), strict=True):
        key = await jump.key_of(user)
        assert isinstance(key, CertifiedKey)
        options = key.use()._cert.options  # type: ignore[union-attr]
        assert options["permit-port-forwarding"] is True
        assert options["force-command"] == "/bin/false"
        assert key.user == user
