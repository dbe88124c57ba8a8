"""The proxy itself: it breaks what it says, and mends it."""

import socket
import threading
import time
from collections.abc import Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
from typing_extensions import override

from tests.faults.proxy import Proxy

HELLO = b"hello"


class Echo(BaseRequestHandler):
    @override
    def handle(self) -> None:
        while data := self.request.recv(1000):
            self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            host, port = server.server_address[:2]
            with Proxy((str(host), port)).relaying() as made:
                yield made
        finally:
            server.shutdown()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def test_what_is_frozen_arrives_after_the_thaw(proxy: Proxy) -> None:
    with connect(proxy) as old:
        proxy.freeze()
        with connect(proxy) as new:
            for client in (old, new):
                client.sendall(HELLO)
                client.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    client.recv(100)
                client.settimeout(5)
            proxy.thaw()

            assert [client.recv(100) for client in (old, new)] == [HELLO, HELLO]


def test_who_is_refused_comes_again_to_the_same_port(proxy: Proxy) -> None:
    with connect(proxy) as old:
        old.sendall(HELLO)
        assert old.recv(100) == HELLO  # it is let in, and does not wait in the kernel
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        old.sendall(HELLO)
        assert old.recv(100) == HELLO
    proxy.accept()
    with connect(proxy) as new:
        new.sendall(HELLO)
        assert new.recv(100) == HELLO


def test_what_is_throttled_takes_its_time(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(HELLO)
        assert client.recv(100) == HELLO
        proxy.throttle(10)
        began = time.monotonic()
        for _ in range(2):
            client.sendall(HELLO)
            client.recv(100)

        assert time.monotonic() - began >= len(HELLO) / 10


def test_where_nobody_listens_nobody_is_let_in() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Proxy(unused.getsockname()).relaying() as proxy, pytest.raises(ConnectionResetError), connect(proxy) as client:
            client.recv(100)
