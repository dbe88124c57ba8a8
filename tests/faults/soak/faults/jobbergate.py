"""What happens to Jobbergate: its API, its database, its files, and the issuer of its tokens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random

from bed.jobbergate.service import Service
from tests.faults.soak.ground import Ground

Inject = Callable[[Ground, Random], AbstractContextManager[None]]


def killed(name: str) -> Inject:
    """SIGKILL, or what is that for PostgreSQL; it stays away for a while."""
    return _service(name, Service.kill, Service.start)


def frozen(name: str) -> Inject:
    """SIGSTOP, and after a while SIGCONT."""
    return _service(name, Service.freeze, Service.thaw)


def _service(name: str, begin: Callable[[Service], None], end: Callable[[Service], None]) -> Inject:
    @contextmanager
    def broken(ground: Ground, _: Random) -> Iterator[None]:
        service = ground.bed.jobbergate.service(name)
        begin(service)
        try:
            yield
        finally:
            end(service)

    return broken
