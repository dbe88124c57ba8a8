"""The realm of a bed's OIDC issuer: who may ask for tokens, and what they say. It is a folder, so it outlives the issuer."""

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

from pydantic import BaseModel, ConfigDict

from bed.jobbergate.tokens import key_set, signed, signing_key
from bed.keys import issuer_key

Claims = dict[str, Any]

AGENT = tuple(
    f"jobbergate:{what}" for what in ("clusters:update", "job-scripts:read", "job-submissions:read", "job-submissions:update")
)
"""What the service account of a cluster may do; all that the Jobbergate Agent needs."""
PERSON = tuple(
    f"jobbergate:{what}:{deed}"
    for what in ("job-templates", "job-scripts", "job-submissions")
    for deed in ("create", "read", "update", "delete")
)
"""What people may do, to what is theirs."""
_PERSON_SECONDS = 3600


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Client(_Model):
    """A machine that gets tokens by client credentials. For Jobbergate, a cluster."""

    secret: str
    permissions: tuple[str, ...] = AGENT
    claims: Claims = {}
    """Said in its tokens besides the usual ones, or instead of them."""


class Settings(_Model):
    """What the issuer goes by; it looks at each request."""

    clients: dict[str, Client] = {}
    token_seconds: int = 300
    """How long machines' tokens live."""
    delay_seconds: float = 0
    """How long it thinks before it answers."""


@dataclass(frozen=True)
class Realm:
    """What the issuer knows, and the power to change it while it runs or not."""

    folder: Path
    url: str
    """The issuer's name, and the root of its pages."""

    @classmethod
    def make(cls, folder: Path, url: str) -> "Realm":
        """A realm without clients."""
        folder.mkdir(parents=True)
        realm = cls(folder, url)
        issuer_key(realm._key)
        realm._save(Settings())
        return realm

    @property
    def settings(self) -> Settings:
        """What is in force now."""
        return Settings.model_validate_json(self._settings.read_bytes())

    def add(self, client_id: str, *permissions: str, **claims: Any) -> str:
        """A client, in place of one that has this id; its secret."""
        client = Client(secret=secrets.token_urlsafe(24), permissions=permissions or AGENT, claims=claims)
        self.change(clients={**self.settings.clients, client_id: client})
        return client.secret

    def rotate(self, client_id: str) -> str:
        """A new secret for a client. The old one is refused at once; tokens given for it live on."""
        client = self.settings.clients[client_id].model_copy(update={"secret": secrets.token_urlsafe(24)})
        self.change(clients={**self.settings.clients, client_id: client})
        return client.secret

    def change(self, **settings: Any) -> None:
        """Change some of the `Settings`."""
        self._save(Settings.model_validate({**dict(self.settings), **settings}))

    def machine_token(self, client_id: str) -> str:
        """What a client gets for its credentials."""
        client = self.settings.clients[client_id]
        account = {"clientId": client_id, "preferred_username": f"service-account-{client_id}"}
        return self.token(client_id, client_id, **account, permissions=client.permissions, **client.claims)

    def person_token(self, email: str, client_id: str = "jobbergate-cli", permissions: tuple[str, ...] = PERSON) -> str:
        """What somebody gets for logging in, good for an hour. The issuer need not run."""
        exp = int(time.time()) + _PERSON_SECONDS
        return self.token(email, client_id, email=email, permissions=permissions, exp=exp)

    def token(self, subject: str, client_id: str, **claims: Any) -> str:
        """A token that this realm's key has signed, with the usual claims and `claims`."""
        now = int(time.time())
        usual = {
            "iss": self.url,
            "sub": str(uuid5(NAMESPACE_DNS, subject)),
            "azp": client_id,
            "iat": now,
            "exp": now + self.settings.token_seconds,
            "jti": str(uuid4()),
            "typ": "Bearer",
        }
        return signed({**usual, **claims}, signing_key(self._key))

    def key_set(self) -> dict[str, Any]:
        """The public half of the key."""
        return key_set(signing_key(self._key))

    @property
    def _key(self) -> Path:
        return self.folder / "issuer.key"

    @property
    def _settings(self) -> Path:
        return self.folder / "realm.json"

    def _save(self, settings: Settings) -> None:
        new = self._settings.with_suffix(".new")
        new.write_text(json.dumps(settings.model_dump(mode="json"), indent=2) + "\n")
        new.rename(self._settings)
