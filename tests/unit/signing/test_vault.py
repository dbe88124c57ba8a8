"""Certificates signed by a Vault: what it is asked, and what is said when it does not sign."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from bed.keys import server_key
from slurmgate.core.reasons import Reason
from slurmgate.engine.ports import ReferenceProblem
from slurmgate.engine.signing import vault as module
from slurmgate.engine.signing.vault import VaultSigner
from slurmgate.resources import ssh as resources
from slurmgate.ssh.certificates import NO_COMMAND, Grant, certified_key
from slurmgate.ssh.credentials import KeyUnavailable
from tests.unit.signing.references import Secrets
from tests.unit.signing.vault import TOKEN, Vault, refusal

GRANT = Grant(user="kirby", key_id="slurmgate/x cluster=valhalla user=kirby", seconds=300)


@pytest.fixture
async def vault() -> AsyncIterator[Vault]:
    vault = Vault()
    await vault.start()
    yield vault
    await vault.stop()


@pytest.fixture
def secrets() -> Secrets:
    return Secrets({("Secret", "vault", "token"): f"{TOKEN}\n".encode()})


def signer(vault: Vault, secrets: Secrets, **more: object) -> VaultSigner:
    spec = {
        "url": vault.url,
        "mount": "team/ssh",
        "role": "slurmgate",
        "tokenSecretRef": {"name": "vault", "key": "token"},
        **more,
    }
    return VaultSigner(resources.Vault.model_validate(spec), secrets)


async def why(signer: VaultSigner, grant: Grant = GRANT) -> str:
    with pytest.raises(KeyUnavailable) as refusal:
        await certified_key(signer, grant)
    assert TOKEN not in str(refusal.value)
    return str(refusal.value)


async def test_it_is_asked_in_its_own_words(vault: Vault, secrets: Secrets) -> None:
    restricted = replace(GRANT, source_addresses=("10.0.0.0/8",), force_command="/bin/sh")
    key = await certified_key(signer(vault, secrets, namespace="site/hpc"), restricted)

    assert (key.user, key.authority) == ("kirby", vault.key.get_fingerprint())
    (asked,) = vault.asked
    assert asked.pop("public_key").startswith("ssh-ed25519 ")
    assert asked == {
        "cert_type": "user",
        "valid_principals": "kirby",
        "ttl": "300s",
        "key_id": "slurmgate/x cluster=valhalla user=kirby",
        "critical_options": {"force-command": "/bin/sh", "source-address": "10.0.0.0/8"},
    }
    (headers,) = vault.headers
    assert headers["X-Vault-Token"] == TOKEN
    assert headers["X-Vault-Namespace"] == "site/hpc"


async def test_for_a_jump_host_it_is_asked_to_allow_forwarding_and_no_command(vault: Vault, secrets: Secrets) -> None:
    await certified_key(signer(vault, secrets), replace(GRANT, jumps=True))
    (asked,) = vault.asked
    assert asked["extensions"] == {"permit-port-forwarding": ""}
    assert asked["critical_options"] == {"force-command": NO_COMMAND}


async def test_a_new_token_counts_at_once(vault: Vault, secrets: Secrets) -> None:
    place, good = ("Secret", "vault", "token"), secrets.content["Secret", "vault", "token"]
    secrets.content[place] = b"expired"
    assert "permission denied (HTTP 403)" in await why(signer(vault, secrets))
    secrets.content[place] = good
    await certified_key(signer(vault, secrets), GRANT)


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ({"allow_user_key_ids": False}, "setting key_id is not allowed by role (HTTP 400)"),
        ({"allowed_users": "mario"}, "kirby is not a valid value for valid_principals (HTTP 400)"),
        ({"max_ttl": 60}, "ttl is larger than maximum allowed 60 (HTTP 400)"),
        ({"sealed": True}, "Vault is sealed (HTTP 503)"),
        ({"answer": web.Response(status=404, body=b"<html>")}, "HTTP 404"),
        ({"answer": refusal(400, f"bad token {TOKEN}")}, "bad token … (HTTP 400)"),
        ({"answer": web.json_response({"data": {}})}, "its answer has no data.signed_key"),
        ({"answer": web.Response(body=b"x" * 100_000)}, "answers with more than 65536 bytes"),
        ({"answer": web.Response(status=307, headers={"Location": "http://elsewhere/"})}, "HTTP 307"),
    ],
)
async def test_why_it_does_not_sign_is_said_in_its_words(
    vault: Vault, secrets: Secrets, role: dict[str, object], words: str
) -> None:
    for name, value in role.items():
        setattr(vault, name, value)
    message = await why(signer(vault, secrets))
    assert message.startswith(f"no certificate from team/ssh/sign/slurmgate of {vault.url}: ")
    assert words in message


async def test_a_role_that_gives_terminals_is_not_used(vault: Vault, secrets: Secrets) -> None:
    vault.default_extensions = ("permit-pty",)
    assert "it has permit-pty: take these out of the role's default_extensions" in await why(signer(vault, secrets))


async def test_one_that_is_not_there_or_silent_is_waited_for_so_long_and_not_longer(
    vault: Vault, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DEADLINE", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until we hang up
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        there = signer(vault, secrets, url=f"http://127.0.0.1:{port}")
        assert await why(there) == (
            f"no certificate from team/ssh/sign/slurmgate of http://127.0.0.1:{port}: "
            f"http://127.0.0.1:{port} gave no answer within 0.2 s"
        )
    await vault.stop()
    assert "cannot be reached" in await why(signer(vault, secrets))


async def test_its_certificate_is_checked_against_the_authority_that_is_named(secrets: Secrets, tmp_path: Path) -> None:
    pair = server_key(tmp_path / "vault.key", "127.0.0.1")
    (tmp_path / "vault.pem").write_text(pair.public)
    vault = Vault()
    await vault.start(tmp_path / "vault.pem")
    secrets.content["ConfigMap", "authority", "ca.crt"] = pair.public.encode()
    authority = {"configMapKeyRef": {"name": "authority", "key": "ca.crt"}}
    try:
        await certified_key(signer(vault, secrets, certificateAuthority=authority), GRANT)
        assert "certificate verify failed" in await why(signer(vault, secrets))
        assert len(vault.headers) == 1  # nobody else has seen the token
    finally:
        await vault.stop()


@pytest.mark.parametrize("token", [b"", b"\n", b"two\nlines", "tökèn".encode()])
async def test_what_is_no_token_is_not_sent(vault: Vault, secrets: Secrets, token: bytes) -> None:
    secrets.content["Secret", "vault", "token"] = token
    assert await why(signer(vault, secrets)) == "Secret vault, key token: this is not a token of a Vault"
    assert vault.headers == []


async def test_what_is_missing_is_named(vault: Vault) -> None:
    assert await why(signer(vault, Secrets({}))) == "Secret vault has no key token"
    problem = ReferenceProblem(Reason.REFERENCE_UNREADABLE, "the API server is away")
    assert await why(signer(vault, Secrets({}, problem))) == "the API server is away"


def test_what_is_sent_is_json() -> None:
    assert json.loads(module._request("ssh-ed25519 AAAA", GRANT))["ttl"] == "300s"
