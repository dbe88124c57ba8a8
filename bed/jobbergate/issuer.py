"""`python -m bed.jobbergate.issuer REALM URL PORT`: an OIDC issuer whose pages lie where Keycloak has them.

What it says is the realm's (realm.py). It is a program of its own so that it can be stopped and frozen.
"""

import json
import secrets
import sys
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bed.jobbergate.realm import Realm

_KEYS = "/protocol/openid-connect/certs"
_TOKEN = "/protocol/openid-connect/token"  # noqa: S105  # a path
_CONFIGURATION = "/.well-known/openid-configuration"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    realm: Realm

    def do_GET(self) -> None:
        url = self.realm.url
        pages = {
            _CONFIGURATION: {"issuer": url, "jwks_uri": url + _KEYS, "token_endpoint": url + _TOKEN},
            _KEYS: self.realm.key_set(),
        }
        page = pages.get(self._page())
        self._answer(HTTPStatus.OK if page else HTTPStatus.NOT_FOUND, page or {"error": "not_found"})

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        if self._page() != _TOKEN:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "not_found"})
            return
        time.sleep(self.realm.settings.delay_seconds)
        self._answer(*self._token(**{name: values[0] for name, values in form.items()}))

    def _token(
        self, grant_type: str = "", client_id: str = "", client_secret: str = "", **_: str
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        """RFC 6749, 4.4; errors in Keycloak's words."""
        settings = self.realm.settings
        if grant_type != "client_credentials":
            return HTTPStatus.BAD_REQUEST, {"error": "unsupported_grant_type", "error_description": "Unsupported grant_type"}
        client = settings.clients.get(client_id)
        if client is None:
            wrong = {"error": "invalid_client", "error_description": "Invalid client or Invalid client credentials"}
            return HTTPStatus.UNAUTHORIZED, wrong
        if not secrets.compare_digest(client.secret, client_secret):
            wrong = {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"}
            return HTTPStatus.UNAUTHORIZED, wrong
        return HTTPStatus.OK, {
            "access_token": self.realm.machine_token(client_id),
            "expires_in": settings.token_seconds,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "profile email",
        }

    def _page(self) -> str:
        return self.path.removeprefix(urlsplit(self.realm.url).path)

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    folder, url, port = sys.argv[1:]
    _Handler.realm = Realm(Path(folder), url)
    ThreadingHTTPServer(("127.0.0.1", int(port)), _Handler).serve_forever()
