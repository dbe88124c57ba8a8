"""An admission webhook, usually on the operator's writes of status: by it the real API server refuses them, or takes its time.

What it answers in the place of Kubernetes' own reasons comes to the operator as that would: with its code, reason and words.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.unit.kube.fake import make_certificate
from tests.world import World

TIMEOUT_SECONDS = 2
"""The API server waits so long for the webhook and answers 500 then."""
_CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/reviewer"


@dataclass(frozen=True)
class Trouble:
    """What becomes of a write."""

    status: Mapping[str, Any] | None = None
    """`Status` with which it is refused; None: it is let through."""
    seconds: float = 0
    """After so long."""
    breaks: bool = False
    """The webhook itself fails."""
    until: threading.Event | None = None
    """When this is set."""


@dataclass
class Reviewer:
    """Makes trouble for submissions, by name: one after the other for each write, and then no more."""

    plan: dict[str, list[Trouble]]
    resource: str = "jobsubmissions/status"
    operation: str = "UPDATE"
    timeout_seconds: int = TIMEOUT_SECONDS
    refused: dict[str, int] = field(default_factory=dict)

    def review(self, name: str) -> Trouble:
        """What becomes of this write."""
        waiting = self.plan.get(name)
        if not waiting:
            return Trouble()
        self.refused[name] = self.refused.get(name, 0) + 1
        return waiting.pop(0)

    @contextmanager
    def reviewing(self, world: World, folder: Path) -> Iterator[None]:
        """Be asked for every such write."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.socket = make_certificate(folder).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            world.kubectl(
                "apply", "--server-side", "--filename=-", stdin=world.yaml(_configuration(self, server.server_port, folder))
            )
            yield
        finally:
            world.api.delete(_CONFIGURATION, wait=True)
            server.shutdown()
            server.server_close()
            thread.join()


def _handler(reviewer: Reviewer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            trouble = reviewer.review(review["request"]["name"])
            time.sleep(trouble.seconds)
            if trouble.until:
                trouble.until.wait(reviewer.timeout_seconds)
            response: dict[str, Any] = {"uid": review["request"]["uid"], "allowed": trouble.status is None}
            if trouble.status is not None:
                response["status"] = trouble.status
            content = json.dumps({**review, "request": None, "response": response}).encode()
            self.send_response(500 if trouble.breaks else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        @override
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


def _configuration(reviewer: Reviewer, port: int, folder: Path) -> dict[str, Any]:
    rule = {
        "apiGroups": ["slurmgate.dev"],
        "apiVersions": ["v1alpha1"],
        "resources": [reviewer.resource],
        "operations": [reviewer.operation],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "reviewer"},
        "webhooks": [
            {
                "name": "reviewer.example.org",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/",
                    "caBundle": base64.b64encode((folder / "ca.crt").read_bytes()).decode(),
                },
                "rules": [rule],
                "failurePolicy": "Fail",
                "timeoutSeconds": reviewer.timeout_seconds,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
