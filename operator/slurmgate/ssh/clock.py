"""The time and the dice of pauses between tries."""

import asyncio
import random


def now() -> float:
    """Seconds, on the event loop's clock."""
    return asyncio.get_running_loop().time()


def chance() -> float:
    """0 to 1."""
    return random.random()  # noqa: S311 - not a secret
