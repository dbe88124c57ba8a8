"""An HTTP relay before Jobbergate's API that loses, cuts, delays or replaces its answers.

The proxies break connections at bytes; this one knows where an answer begins, so that what was asked is done all the same.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from typing_extensions import override

_ADDRESS = "127.0.0.1"
_PATIENCE_SECONDS = 60.0
_ABOUT_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class Harm(StrEnum):
    """What becomes of an answer."""

    LOST = "lost"
    """It is done, and the connection ends without a word."""
    HALF = "half"
    """It is done, and half of what is answered arrives."""
    ERROR = "error"
    """It is not done: HTTP 500, in nobody's words."""
    GARBAGE = "garbage"
    """It is done, and somebody else's page says 200."""
    LATE = "late"
    """It is done, and the answer takes longer than anybody waits."""


LATE_SECONDS = 17.0


@dataclass(eq=False)
class Spell:
    """What happens to the next requests of a kind."""

    harm: Harm
    method: str
    path: re.Pattern[str]
    left: int


@dataclass(eq=False)
class Relay:
    """Faithful until told otherwise."""

    api_port: int
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request, oldest first."""
    done: list[Harm] = field(default_factory=list)
    """What was done to answers, oldest first."""
    port: int = 0
    _spells: list[Spell] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def relaying(self) -> Iterator["Relay"]:
        """Listen: on a free port, if none was given."""
        handler = type("Handler", (_Handler,), {"relay": self})
        with _Server((_ADDRESS, self.port), handler) as server:
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def harm(self, harm: Harm, method: str, path: str, *, times: int = 1) -> None:
        """Do it to the next answers to requests of this method whose path has this in it (a regular expression)."""
        with self._lock:
            self._spells.append(Spell(harm, method, re.compile(path), times))

    def heal(self) -> None:
        """Be faithful again."""
        with self._lock:
            self._spells.clear()

    def met(self, method: str, path: str) -> Harm | None:
        """What is to become of the answer to this request."""
        with self._lock:
            self.asked.append((method, path))
            for spell in self._spells:
                if spell.left > 0 and spell.method == method and spell.path.search(path):
                    spell.left -= 1
                    self.done.append(spell.harm)
                    return spell.harm
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    @override
    def handle_error(self, *_: object) -> None:
        """Whoever asked was killed, or waits no more."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    relay: Relay

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        harm = self.relay.met(self.command, self.path)
        if harm is Harm.ERROR:
            self._answer(500, [("Content-Type", "text/plain")], b"Internal Server Error")
            return
        try:
            status, headers, content = self._asked(body)
        except (OSError, HTTPException):  # the API is away, and so are we
            self.close_connection = True
            return
        if harm is Harm.LATE:
            time.sleep(LATE_SECONDS)
        if harm is Harm.LOST:
            self.close_connection = True
        elif harm is Harm.GARBAGE:
            self._answer(200, [("Content-Type", "text/html")], b"<html>Please log in</html>")
        else:
            self._answer(status, headers, content, half=harm is Harm.HALF)

    do_GET = do_POST = do_PUT = do_DELETE = _relay  # noqa: N815 - http.server looks for these names

    def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _ABOUT_THE_CONNECTION}
        connection = HTTPConnection(_ADDRESS, self.relay.api_port, timeout=_PATIENCE_SECONDS)
        try:
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _ABOUT_THE_CONNECTION]
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, *, half: bool = False) -> None:
        self.send_response_only(status)
        for name, value in (*headers, ("Content-Length", str(len(content)))):
            self.send_header(name, value)
        self.close_connection |= half
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)

    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""
