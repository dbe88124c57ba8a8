"""What happens to Kubernetes: the API server, etcd, and what an admin writes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random

from bed import valhalla
from tests.faults.soak.ground import Ground
from tests.faults.soak.kinds import USERS

OTHERS = ("jarvice",)
"""Mapped, and without submissions."""


def killed(name: str) -> Callable[[Ground, Random], AbstractContextManager[None]]:
    """SIGKILL; it stays away for a while."""

    @contextmanager
    def broken(ground: Ground, _: Random) -> Iterator[None]:
        daemon = ground.daemons[name]
        daemon.kill()
        try:
            yield
        finally:
            daemon.start()
            ground.insist(lambda: ground.api.get("/api/v1/namespaces/default"))

    return broken


def frozen(name: str) -> Callable[[Ground, Random], AbstractContextManager[None]]:
    """SIGSTOP, and after a while SIGCONT."""

    @contextmanager
    def broken(ground: Ground, _: Random) -> Iterator[None]:
        daemon = ground.daemons[name]
        daemon.freeze()
        try:
            yield
        finally:
            daemon.thaw()

    return broken


@contextmanager
def mapping_edited(ground: Ground, _: Random) -> Iterator[None]:
    """Somebody else goes, and comes back."""
    ground.insist(lambda: valhalla.map_users(ground.bed, USERS))
    try:
        yield
    finally:
        ground.insist(lambda: valhalla.map_users(ground.bed, [*USERS, *OTHERS]))
