"""What happens to the connections to login nodes and to the API server."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from random import Random

from tests.faults.proxy import Proxy
from tests.faults.soak.ground import Ground

MOST_BYTES = 20_000
SLOW_BYTES_PER_SECOND = (500, 20_000)

Way = Callable[[Ground, Random], list[Proxy]]


def to_login_nodes(ground: Ground, chance: Random) -> list[Proxy]:
    """To one cluster's, or to both's."""
    return chance.sample(ground.ssh, chance.randint(1, len(ground.ssh)))


def to_api_server(ground: Ground, _: Random) -> list[Proxy]:
    """The only one."""
    return [ground.way_to_api]


def to_jobbergate(ground: Ground, _: Random) -> list[Proxy]:
    """To its API."""
    return [ground.way_to_jobbergate] if ground.way_to_jobbergate else []


Break = Callable[[Way], Callable[[Ground, Random], AbstractContextManager[None]]]


def _on(begin: Callable[[Proxy, Random], None], end: Callable[[Proxy], None] = lambda _: None) -> Break:
    """Something that is done to each connection of a way, and ended."""

    def break_(way: Way) -> Callable[[Ground, Random], AbstractContextManager[None]]:
        @contextmanager
        def broken(ground: Ground, chance: Random) -> Iterator[None]:
            proxies = way(ground, chance)
            for proxy in proxies:
                begin(proxy, chance)
            try:
                yield
            finally:
                for proxy in proxies:
                    end(proxy)

        return broken

    return break_


def _gone(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut()


cut = _on(lambda proxy, _: proxy.cut())
cut_after_bytes = _on(lambda proxy, chance: proxy.cut(again_after=chance.randrange(1, MOST_BYTES)), Proxy.cut)
stalled = _on(lambda proxy, _: proxy.stall(), Proxy.cut)
frozen = _on(lambda proxy, _: proxy.freeze(), Proxy.thaw)
refused = _on(lambda proxy, _: _gone(proxy), Proxy.accept)
throttled = _on(
    lambda proxy, chance: proxy.throttle(chance.randint(*SLOW_BYTES_PER_SECOND)), lambda proxy: proxy.throttle(None)
)
