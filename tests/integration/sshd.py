"""Debian's own sshd, with accounts that exist only in a mount namespace of their own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bed import state
from bed.ports import reserve
from bed.requirements import require_debian, require_root
from slurmgate.ssh.credentials import KeyUnavailable, PrivateKey
from slurmgate.ssh.endpoint import Endpoint, Host

ACCOUNTS = {"ada": "/bin/bash", "grace": "/bin/bash", "dash": "/bin/sh"}

NAMESPACE = """
mount --make-rprivate /
mount --bind {home}/etc /etc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -f {home}/sshd_config
"""

CONFIG = """{first}
ListenAddress 127.0.0.1:{port}
HostKey {home}/{host_key}
AuthorizedKeysFile {home}/keys/%u
StrictModes no
UsePAM no
PidFile none
MaxSessions 10
MaxStartups 10:30:100
LogLevel VERBOSE
"""


def keygen(path: Path, *options: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", *options, "-f", path], check=True)
    return path


@dataclass
class Sshd:
    """An sshd with its accounts. Started again it keeps its port."""

    home: Path
    port: int
    uids: range
    """No other process of the machine has them."""
    host_key: str = "host_key"
    first: str = ""
    """Lines of its configuration that win over the others; `{home}` is filled in."""
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def prepare(cls) -> Self:
        require_root("sshd")
        require_debian(["openssh-server", "openssh-client"])
        home = Path(tempfile.mkdtemp(prefix="slurmgate-sshd-"))
        home.chmod(0o755)
        (home / "keys").mkdir()
        keygen(home / "host_key")
        keygen(home / "other_host_key")
        keygen(home / "new_kind_of_host_key", "-t", "ecdsa")
        passwd, shadow = "", ""
        uids = range(100_000 + 10 * os.getpid(), 100_010 + 10 * os.getpid())
        for uid, (user, shell) in zip(uids, ACCOUNTS.items(), strict=False):
            keygen(home / user)
            shutil.copy(home / f"{user}.pub", home / "keys" / user)
            place = home / "homes" / user
            place.mkdir(parents=True)
            os.chown(place, uid, uid)
            passwd += f"{user}:x:{uid}:{uid}::{place}:{shell}\n"
            shadow += f"{user}:*:19000:0:99999:7:::\n"
        for kind in ("rsa", "ecdsa"):
            public = keygen(home / kind, "-t", kind).with_suffix(".pub").read_text()
            with (home / "keys" / "ada").open("a") as keys:
                keys.write(public)
        (home / "homes" / "grace" / ".bashrc").write_text("echo welcome to the cluster\necho really >&2\n")
        subprocess.run(["cp", "-a", "/etc", home / "etc"], check=True)
        for name, lines in (("passwd", passwd), ("shadow", shadow)):
            with (home / "etc" / name).open("a") as file:
                file.write(lines)
        home.joinpath("ports").symlink_to(state.root() / home.name)
        (home / "ports").resolve().mkdir(parents=True)
        (port,) = reserve(home / "ports", "sshd", 1)
        return cls(home, port, uids)

    def remove(self) -> None:
        shutil.rmtree((self.home / "ports").resolve())
        shutil.rmtree(self.home)

    def start(self) -> None:
        first = self.first.format(home=self.home)
        config = CONFIG.format(first=first, home=self.home, port=self.port, host_key=self.host_key)
        (self.home / "sshd_config").write_text(config)
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--kill-child", "--fork", "sh", "-euc", NAMESPACE.format(home=self.home)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(3000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return
            time.sleep(0.01)
        raise AssertionError(self.log())

    def stop(self) -> None:
        if self.process is not None:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def processes(self) -> list[int]:
        """The listening sshd and everything below it, the youngest last."""
        assert self.process is not None
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):  # it has just ended
                for task in Path(f"/proc/{pid}/task").glob("*/children"):
                    found += map(int, task.read_text().split())
        return found[1:]

    def running(self, *command: str) -> list[int]:
        """Processes of the accounts with this command line, wherever they hang."""
        wanted = "".join(f"{word}\0" for word in command).encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if path.stat().st_uid in self.uids and (path / "cmdline").read_bytes() == wanted:
                    found.append(int(path.name))
        return found

    def of_connections(self) -> list[int]:
        """The sshd processes that serve connections."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sshd: ada"):
                    found.append(pid)
        return found

    def log(self) -> str:
        return (self.home / "log").read_text()

    @property
    def host(self) -> Host:
        return Host("127.0.0.1", self.port)

    @property
    def known_hosts(self) -> str:
        key = (self.home / "host_key.pub").read_text()
        return f"[127.0.0.1]:{self.port} {key}"

    def endpoint(self) -> Endpoint:
        return Endpoint(name="valhalla", hosts=(self.host,), known_hosts=self.known_hosts)


@dataclass
class Keys:
    """Key files, read each time as the real sources do."""

    home: Path
    files: dict[str, str] = field(default_factory=dict)
    passphrases: dict[str, str] = field(default_factory=dict)
    asked: int = 0

    async def private_key(self, user: str) -> PrivateKey:
        self.asked += 1
        path = self.home / self.files.get(user, user)
        if not path.exists():
            raise KeyUnavailable(f"no key for {user}")
        return PrivateKey.parse(path.read_bytes(), self.passphrases.get(user, "").encode() or None)


def fingerprint(key: Path) -> str:
    return subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True).stdout.split()[1]
