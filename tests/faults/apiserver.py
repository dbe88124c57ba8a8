"""The bed's API server and its etcd, as they are killed, restarted, and made to forget."""

import base64
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from typing_extensions import override

from bed.ports import listening
from bed.processes import Process, gone, launch, recorded, wait_until
from tests.world import World


@contextmanager
def away(world: World, *names: str) -> Iterator[None]:
    """`kill -9` of `kube-apiserver`, `etcd` or both; back again when this is over."""
    folder = world.bed.description.folder / "run"
    lives = {name: _alive(world, name) for name in names}
    commands = {name: _command(life) for name, life in lives.items()}
    for life in lives.values():
        os.kill(life.pid, signal.SIGKILL)
        assert gone(life, 10)
    server = urlsplit(world.bed.kubernetes.server)
    while "kube-apiserver" in names and listening(server.hostname or "", server.port or 0):  # its last threads take a moment
        time.sleep(0.05)
    try:
        yield
    finally:
        if "etcd" in names:
            for address in ("client:1", "peer:1"):  # they outlive their server, and it would not start on them
                (_data(world) / address).unlink(missing_ok=True)
        log = folder.parent / "again.log"
        back = [launch(name, command, records=folder, log=log) for name, command in commands.items()]
        wait_until(lambda: _ready(world), alive=lambda: all(life.alive() for life in back), log=log, what=" and ".join(names))


@contextmanager
def frozen(world: World) -> Iterator[None]:
    """The API server takes connections and answers nobody."""
    server = _alive(world, "kube-apiserver")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def forget_history(world: World) -> None:
    """etcd is compacted: no watch can begin in the past any more."""
    header = _etcd(world, "range", {"key": base64.b64encode(b"nothing").decode()})["header"]
    _etcd(world, "compaction", {"revision": header["revision"], "physical": True})


def _alive(world: World, name: str) -> Process:
    process = recorded(world.bed.description.folder / "run", name)
    assert process
    return process


def _command(process: Process) -> list[str]:
    folder = Path(f"/proc/{process.pid}/cwd").readlink()
    environment = [f"GOGC={value}" for value in _environment(process).get("GOGC", "").split()]
    return [
        "env",
        f"--chdir={folder}",
        *environment,
        *Path(f"/proc/{process.pid}/cmdline").read_text().rstrip("\0").split("\0"),
    ]


def _environment(process: Process) -> dict[str, str]:
    pairs = Path(f"/proc/{process.pid}/environ").read_text().rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def _ready(world: World) -> bool:
    return world.bed.kubectl("get", "--raw", "/readyz").returncode == 0


def _data(world: World) -> Path:
    return (world.bed.description.folder / "kubernetes" / "etcd").resolve()


def _etcd(world: World, call: str, body: object) -> dict[str, dict[str, str]]:
    connection = _UnixConnection(str(_data(world) / "client:1"))
    connection.request("POST", f"/v3/kv/{call}", json.dumps(body))
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, content
    connection.close()
    found: dict[str, dict[str, str]] = json.loads(content)
    return found


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)
