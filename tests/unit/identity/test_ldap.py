"""A server that is none: it is left alone for a while, and nothing that it says becomes anybody."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from slurmgate.identity.ldap import Access, Directory, DirectoryDown
from slurmgate.resources.identity import Ldap

MAIL = "kirby@nintendo.example"
ACCESS = Access("swordfish", None)


class Impostor:
    """Listens where a directory should, says so many bytes to whoever comes, and hangs up."""

    def __init__(self, said: bytes) -> None:
        self.visits = 0
        self._said = said
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def directory(self, scheme: str = "ldap", clock: float = 0.0) -> Directory:
        self.now = clock
        address = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"
        bind = {"name": "cn=slurmgate", "passwordSecretRef": {"name": "a", "key": "b"}}
        spec = {"servers": [address], "startTls": True, "bind": bind, "base": "dc=nintendo", "timeoutSeconds": 1}
        return Directory(Ldap.model_validate(spec), clock=lambda: self.now)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._socket.accept()
                self.visits += 1
                with visitor, suppress(OSError):
                    visitor.sendall(self._said)
                    visitor.shutdown(socket.SHUT_WR)
                    while visitor.recv(4096):
                        pass


@pytest.fixture
def impostor(request: pytest.FixtureRequest) -> Iterator[Impostor]:
    running = Impostor(getattr(request, "param", b""))
    yield running
    running.close()


def ask(directory: Directory, access: Access = ACCESS) -> str:
    with pytest.raises(DirectoryDown) as down:
        directory.account_of(MAIL, access)
    return str(down.value)


def test_after_a_failure_it_is_left_alone_for_ever_longer_pauses(impostor: Impostor) -> None:
    directory = impostor.directory()
    words = ask(directory)
    assert [ask(directory) for _ in range(5)] == [words] * 5
    assert impostor.visits == 1
    impostor.now += 1
    ask(directory)
    assert impostor.visits == 2
    impostor.now += 1
    ask(directory)
    assert impostor.visits == 2
    impostor.now += 1
    ask(directory)
    assert impostor.visits == 3


def test_another_password_or_authority_is_tried_at_once(impostor: Impostor) -> None:
    directory = impostor.directory()
    ask(directory)
    ask(directory, Access("another", None))
    assert impostor.visits == 2


# The second is a BindResponse that says success, without being asked.
@pytest.mark.parametrize(
    "impostor",
    [
        b"",
        bytes.fromhex("300c02010161070a010004000400"),
        b"0" * 100,
        b"\x30\x84\xff\xff\xff\xff",
        random.Random(7).randbytes(4096),
        b"HTTP/1.1 400\r\n",
    ],
    ids=["silence", "success", "text", "a long message", "noise", "another protocol"],
    indirect=True,
)
@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_garbage_makes_nobody_anybody(impostor: Impostor, scheme: str) -> None:
    words = ask(impostor.directory(scheme))
    assert words.startswith(f"{scheme}://127.0.0.1:")
    assert "\n" not in words
    assert "swordfish" not in words


def test_a_password_is_in_no_repr() -> None:
    assert "swordfish" not in repr(ACCESS)
