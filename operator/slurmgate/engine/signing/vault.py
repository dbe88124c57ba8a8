"""Has certificates signed by the SSH secrets engine of a Vault or OpenBao (`POST /v1/:mount/sign/:role`).

Wire format: https://openbao.org/api-docs/secret/ssh/#sign-ssh-key, which is Vault's.
"""

import json
from dataclasses import dataclass

from pydantic import BaseModel, Field, ValidationError

from slurmgate.engine.ports import References
from slurmgate.engine.signing.reading import read_authority, read_secret
from slurmgate.http.client import Answer, Http, address
from slurmgate.http.errors import HttpError, shortened
from slurmgate.resources.ssh import Vault
from slurmgate.ssh.certificates import Grant
from slurmgate.ssh.credentials import KeyUnavailable

_DEADLINE = 8.0
"""Seconds. Who waits for the key gives up after ten (ssh.endpoint.Endpoint.connect_timeout)."""
_LARGEST_ANSWER = 64 * 1024
_OK = 200


class _Data(BaseModel):
    signed_key: str = Field(max_length=_LARGEST_ANSWER)


class _Signed(BaseModel):
    data: _Data


@dataclass(frozen=True)
class VaultSigner:
    """One role of a Vault. Its token is read for each certificate, and then forgotten."""

    vault: Vault
    references: References

    async def sign(self, public_key: str, grant: Grant) -> str:
        """The certificate for a public key. Raises KeyUnavailable."""
        place = f"{self.vault.mount}/sign/{self.vault.role} of {self.vault.url}"
        token = await self._token()
        authority = await read_authority(self.references, self.vault.certificate_authority)
        try:
            url = address(self.vault.url, what="address of the Vault") / "v1" / self.vault.mount / "sign" / self.vault.role
            headers, body = self._headers(token), _request(public_key, grant)
            async with Http(authority=authority, deadline=_DEADLINE) as http:
                answer = await http.send("POST", url, headers=headers, body=body, largest=_LARGEST_ANSWER)
        except HttpError as error:
            raise KeyUnavailable(f"no certificate from {place}: {error}") from None
        if answer.status != _OK:
            words = _refusal(answer)
            raise KeyUnavailable(f"no certificate from {place}: {shortened(words.replace(token, '…') if token else words)}")
        try:
            return _Signed.model_validate_json(answer.body).data.signed_key
        except ValidationError:
            raise KeyUnavailable(f"no certificate from {place}: its answer has no data.signed_key") from None

    async def _token(self) -> str:
        reference = self.vault.token_secret_ref
        token = (await read_secret(self.references, reference.name, reference.key)).decode(errors="replace").strip()
        if not token.isascii() or not token.isprintable() or not token:
            raise KeyUnavailable(f"Secret {reference.name}, key {reference.key}: this is not a token of a Vault")
        return token

    def _headers(self, token: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": "application/json", "X-Vault-Request": "true"}
        if self.vault.namespace:
            headers["X-Vault-Namespace"] = self.vault.namespace
        return {**headers, "X-Vault-Token": token}


def _request(public_key: str, grant: Grant) -> bytes:
    fields = {
        "public_key": public_key,
        "cert_type": "user",
        "valid_principals": grant.user,
        "ttl": f"{grant.seconds}s",
        "key_id": grant.key_id,
        "critical_options": dict(grant.critical_options),
        "extensions": dict(grant.extensions),
    }
    return json.dumps({name: value for name, value in fields.items() if value}).encode()


def _refusal(answer: Answer) -> str:
    """Why it does not sign, in its words if it has some."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    match said:
        case {"errors": [*words]} if words:
            return f"{'; '.join(str(each) for each in words)} (HTTP {answer.status})"
        case _:
            return f"HTTP {answer.status}"
