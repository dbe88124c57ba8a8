"""What is looked at before a certificate is shown to a host, whoever signed it. What sshd makes of them: tests/integration."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import asyncssh
import pytest

from slurmgate.ssh.certificates import SKEW_SECONDS, Grant, certified_key, sign
from slurmgate.ssh.credentials import CertifiedKey, KeyUnavailable, PrivateKey

CA = asyncssh.generate_private_key("ssh-ed25519")
AUTHORITY = PrivateKey.parse(CA.export_private_key())
GRANT = Grant(user="kirby", key_id="slurmgate/x user=kirby", seconds=300)
RESTRICTED = replace(GRANT, source_addresses=("10.0.0.0/8", "fd00::/8"), force_command="/usr/bin/slurmgate-shell")


@dataclass
class Signing:
    """A signer that does as it is told."""

    how: Callable[[str, Grant], str]

    async def sign(self, public_key: str, grant: Grant) -> str:
        return self.how(public_key, grant)


def here(public_key: str, grant: Grant) -> str:
    return sign(AUTHORITY, public_key, grant)


def otherwise(**changes: Any) -> Callable[[str, Grant], str]:
    """Signs something else than what was asked for."""

    def how(public_key: str, grant: Grant) -> str:
        now = int(time.time())
        wanted: dict[str, Any] = {
            "principals": [grant.user],
            "valid_before": now + grant.seconds,
            "force_command": grant.force_command,
            "source_address": grant.source_addresses,
            **dict.fromkeys([f"permit_{what}" for what in ("x11_forwarding", "agent_forwarding", "port_forwarding")], False),
            **dict.fromkeys(["permit_pty", "permit_user_rc"], False),
            **changes,
        }
        key = asyncssh.import_public_key(public_key)
        return CA.generate_user_certificate(key, grant.key_id, **wanted).export_certificate().decode()

    return how


async def made(grant: Grant = GRANT, how: Callable[[str, Grant], str] = here) -> CertifiedKey:
    return await certified_key(Signing(how), grant)


@pytest.mark.parametrize("grant", [GRANT, RESTRICTED, replace(RESTRICTED, jumps=True)])
async def test_what_is_signed_here_is_what_was_asked_for(grant: Grant) -> None:
    key = await made(grant)
    assert (key.user, key.key_id, key.authority) == ("kirby", grant.key_id, CA.get_fingerprint())


def test_it_begins_a_minute_ago_because_clocks_differ_and_ends_in_time() -> None:
    public_key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    now, certificate = time.time(), asyncssh.import_certificate(here(public_key, GRANT))
    assert certificate._valid_after == pytest.approx(now - SKEW_SECONDS, abs=5)  # type: ignore[attr-defined]
    assert certificate._valid_before == pytest.approx(now + 300, abs=5)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp384", "ssh-rsa"])
async def test_an_authority_may_have_a_key_of_any_kind(kind: str) -> None:
    authority = PrivateKey.parse(asyncssh.generate_private_key(kind).export_private_key())
    key = await made(how=lambda public_key, grant: sign(authority, public_key, grant))
    assert key.authority == authority.fingerprint


@pytest.mark.parametrize(
    ("grant", "how", "words"),
    [
        (GRANT, otherwise(principals=["kirby", "root"]), "it is for kirby, root"),
        (GRANT, otherwise(principals=["mario"]), "it is for mario"),
        (GRANT, otherwise(principals=[]), "it is for everybody"),
        (GRANT, otherwise(valid_before=int(time.time()) - 5), "compare the clocks"),
        (GRANT, otherwise(valid_before=int(time.time()) + 3600), "s instead of 300 s"),
        (GRANT, otherwise(valid_before=0xFFFFFFFFFFFFFFFF), "s instead of 300 s"),
        (GRANT, otherwise(permit_pty=True), "it has permit-pty: take these out of the role's default_extensions"),
        (GRANT, otherwise(permit_port_forwarding=True, permit_user_rc=True), "it has permit-port-forwarding, permit-user-rc"),
        (RESTRICTED, otherwise(force_command=None), "its force-command is not what was asked for"),
        (RESTRICTED, otherwise(source_address=["0.0.0.0/0"]), "its source-address is not what was asked for"),
    ],
)
async def test_what_allows_more_than_was_asked_for_is_not_used(
    grant: Grant, how: Callable[[str, Grant], str], words: str
) -> None:
    with pytest.raises(KeyUnavailable) as refusal:
        await made(grant, how)
    assert str(refusal.value).startswith("the certificate for kirby is not used: ")
    assert words in str(refusal.value)


async def test_what_restricts_it_further_is_the_authoritys_business() -> None:
    await made(how=otherwise(source_address=["10.0.0.0/8"], force_command="/usr/bin/true"))


def for_another_key(public_key: str, grant: Grant) -> str:
    del public_key
    return here(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode(), grant)


def for_a_host(public_key: str, grant: Grant) -> str:
    key = asyncssh.import_public_key(public_key)
    certificate = CA.generate_host_certificate(key, "x", principals=[grant.user], valid_before=int(time.time()) + 300)
    return certificate.export_certificate().decode()


def damaged(public_key: str, grant: Grant) -> str:
    line = here(public_key, grant).strip()
    return line[:-6] + "AAAAA="


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (for_another_key, "it is for another key"),
        (for_a_host, "the certificate for kirby is not used"),
        (damaged, "what was signed for kirby is no certificate that can be read"),
        (lambda key, grant: "", "what was signed for kirby is no certificate that can be read"),
        (lambda key, grant: "<html>", "what was signed for kirby is no certificate that can be read"),
        (lambda key, grant: key, "what was signed for kirby is no certificate that can be read"),
    ],
)
async def test_what_is_no_certificate_for_the_key_is_not_used(how: Callable[[str, Grant], str], words: str) -> None:
    with pytest.raises(KeyUnavailable, match=words):
        await made(how=how)


async def test_certificates_of_one_authority_for_one_user_count_as_the_same_key() -> None:
    """So that a host that refuses one is not shown the next at once."""
    first, again, other = await made(), await made(), await made(replace(GRANT, user="mario"))
    assert first == again
    assert first != other
    stranger = PrivateKey.parse(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    assert first != await made(how=lambda public_key, grant: sign(stranger, public_key, grant))


async def test_no_repr_shows_a_key() -> None:
    key = await made()
    assert "PRIVATE" not in repr(key)
    assert "_pair" not in repr(key)
