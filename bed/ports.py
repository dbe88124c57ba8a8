"""Free TCP ports, remembered so that no two beds choose the same ones.

A port that the kernel hands out (bind to port 0) comes from the range of outgoing connections: while a daemon is down for
a test, any client may get its port. So the choice is made below that range. And because such a stopped daemon leaves its
port free for another bed to choose, beds look at each other's notes.
"""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

from bed import state
from bed.errors import BedError
from bed.locks import locked

_NOTE = "ports-*"
_LOWEST = 10_000
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ANY = "0.0.0.0"  # noqa: S104  # looked at, never listened on
_SOCKETS = Path("/proc/net/tcp")
_LISTEN = "0A"


def reserve(bed: Path, part: str, count: int) -> list[int]:
    """`count` free ports for a part of the bed whose folder is `bed`, until the folder is removed."""
    with locked(state.root()):
        taken = {int(port) for note in state.root().glob(f"*/{_NOTE}") for port in note.read_text().split()}
        ports: list[int] = []
        for port in _candidates():
            if len(ports) == count:
                break
            if port not in taken and _free(port):
                ports.append(port)
        if len(ports) < count:
            raise BedError(f"There are not {count} free TCP ports on this machine.")
        (bed / _NOTE.replace("*", part)).write_text(" ".join(map(str, ports)))
        return ports


def _candidates() -> Iterator[int]:
    ephemeral = int(_EPHEMERAL.read_text().split()[0])
    # A machine tuned to use almost every port for outgoing connections leaves us no quiet range; then we live with the risk.
    ports = range(_LOWEST, ephemeral if ephemeral > _LOWEST + 1000 else 32_768)
    return iter(random.sample(ports, len(ports)))


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As the daemons do: what is left of closed connections does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_ANY, port))
        except OSError:
            return False
        return True


def listening(address: str, port: int) -> bool:
    """Whether a server listens there. Nobody connects to find out: daemons log that, and sshd counts it."""
    addresses = {socket.inet_aton(each)[::-1].hex().upper() for each in (address, _ANY)}
    wanted = {f"{each}:{port:04X}" for each in addresses}
    sockets = (line.split() for line in _SOCKETS.read_text().splitlines()[1:])
    return any(local in wanted and state == _LISTEN for _, local, _, state, *_ in sockets)
