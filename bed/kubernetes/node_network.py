"""The two ends of the wire between this machine and a node, and addresses that nobody else here uses."""

import json
import subprocess
from dataclasses import dataclass
from ipaddress import ip_network

from bed.errors import BedError

_NUMBERS = range(97, 117)


@dataclass(frozen=True)
class Network:
    """Addresses of one node."""

    number: int

    @property
    def whole(self) -> str:
        """All of them."""
        return f"10.{self.number}.0.0/16"

    @property
    def host(self) -> str:
        """This machine, as the node and its Pods reach it."""
        return f"10.{self.number}.0.1"

    @property
    def node(self) -> str:
        """The node."""
        return f"10.{self.number}.0.2"

    @property
    def pods(self) -> str:
        """Where Pods get their addresses."""
        return f"10.{self.number}.1.0/24"

    @property
    def services(self) -> str:
        """Where Services get theirs; only the API server's is real, as there is no kube-proxy."""
        return f"10.{self.number}.2.0/24"

    @property
    def api(self) -> str:
        """The API server, as Pods reach it."""
        return f"10.{self.number}.2.1"

    @property
    def host_end(self) -> str:
        """The wire's end on this machine."""
        return f"slurmgate{self.number}"

    @property
    def node_end(self) -> str:
        """The wire's end that moves into the node."""
        return f"sgnode{self.number}"

    def connect(self, init: int) -> None:
        """Lead the wire into the namespaces of the process `init`."""
        _ip("link", "set", self.node_end, "netns", str(init))
        _ip("address", "add", f"{self.host}/30", "dev", self.host_end)
        _ip("link", "set", self.host_end, "up")
        _ip("route", "add", self.whole, "via", self.node, "dev", self.host_end)

    def release(self) -> None:
        """Give the addresses back. Dying connections could keep the wire for a minute longer than its node."""
        subprocess.run(["ip", "link", "delete", self.host_end], capture_output=True, check=False)


def claim() -> Network:
    """A network that no other node has and this machine has no route to. Making the wire is what claims it."""
    destinations = {route["dst"] for route in json.loads(_ip("-json", "-4", "route"))} - {"default"}
    for number in _NUMBERS:
        network = Network(number)
        if any(ip_network(destination).overlaps(ip_network(network.whole)) for destination in destinations):
            continue
        wire = ["ip", "link", "add", network.host_end, "type", "veth", "peer", "name", network.node_end]
        if subprocess.run(wire, capture_output=True, check=False).returncode == 0:
            return network
    candidates = f"{Network(_NUMBERS[0]).whole} to {Network(_NUMBERS[-1]).whole}"
    raise BedError(f"Of the networks {candidates} none is free for a node: `ip link` and `ip route` show who has them.")


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
