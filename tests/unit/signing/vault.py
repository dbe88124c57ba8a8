"""A Vault with an SSH secrets engine, as its API is documented (https://openbao.org/api-docs/secret/ssh/, sign SSH key)."""

import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from aiohttp import web

TOKEN = "hvs.CAESIJ-a-token"

Json = dict[str, Any]


@dataclass
class Vault:
    """Its key, its one role, and what it was asked."""

    key: asyncssh.SSHKey = field(default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519"))
    allow_user_key_ids: bool = True
    allowed_users: str = "*"
    allowed_extensions: tuple[str, ...] = ("permit-port-forwarding",)
    default_extensions: tuple[str, ...] = ()
    max_ttl: int = 300
    sealed: bool = False
    answer: web.Response | None = None
    asked: list[Json] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def start(self, certificate: Path | None = None) -> None:
        app = web.Application()
        app.router.add_post("/v1/team/ssh/sign/slurmgate", self._sign)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        context = None
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}"

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _sign(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        if self.answer:
            return self.answer
        if self.sealed:
            return refusal(503, "Vault is sealed")
        if request.headers.get("X-Vault-Token") != TOKEN:
            return refusal(403, "permission denied")
        asked = await request.json()
        self.asked.append(asked)
        if problem := self._problem(asked):
            return refusal(400, problem)
        extensions = asked.get("extensions") or dict.fromkeys(self.default_extensions, "")
        options = asked.get("critical_options", {})
        now = int(time.time())
        signed = self.key.generate_user_certificate(
            asyncssh.import_public_key(asked["public_key"]),
            asked["key_id"],
            serial=0xF65ED2FD21443D5C,
            principals=asked["valid_principals"].split(","),
            valid_after=now - 30,
            valid_before=now + int(asked["ttl"].removesuffix("s")),
            force_command=options.get("force-command"),
            source_address=options["source-address"].split(",") if "source-address" in options else None,
            permit_x11_forwarding="permit-X11-forwarding" in extensions,
            permit_agent_forwarding="permit-agent-forwarding" in extensions,
            permit_port_forwarding="permit-port-forwarding" in extensions,
            permit_pty="permit-pty" in extensions,
            permit_user_rc="permit-user-rc" in extensions,
        )
        data = {"serial_number": "f65ed2fd21443d5c", "signed_key": signed.export_certificate().decode()}
        return web.json_response({"lease_id": "", "renewable": False, "lease_duration": 0, "data": data, "auth": None})

    def _problem(self, asked: Json) -> str:
        if asked["cert_type"] != "user":
            return "cert_type must be either 'user' or 'host'"
        if asked.get("key_id") and not self.allow_user_key_ids:
            return "setting key_id is not allowed by role"
        if self.allowed_users != "*" and asked["valid_principals"] not in self.allowed_users.split(","):
            return f"{asked['valid_principals']} is not a valid value for valid_principals"
        if int(asked["ttl"].removesuffix("s")) > self.max_ttl:
            return f"ttl is larger than maximum allowed {self.max_ttl}"
        if more := [name for name in asked.get("extensions", {}) if name not in self.allowed_extensions]:
            return f"extensions {more} are not on allowed list"
        return ""


def refusal(status: int, *words: str) -> web.Response:
    return web.json_response({"errors": list(words)}, status=status)
