"""How long to wait before trying again."""

import random
from collections.abc import Iterator


def delays(*, first: float, most: float) -> Iterator[float]:
    """Seconds before each further try: doubling from `first` to `most`, each 50 to 100 % of that so that crowds disperse."""
    step = first
    while True:
        yield step * random.uniform(0.5, 1)  # noqa: S311  # not for secrets
        step = min(step * 2, most)
