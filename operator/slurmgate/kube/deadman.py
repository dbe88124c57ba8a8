"""Ends the process when it has not been told in time that it may go on.

The kernel keeps the time (SIGALRM), because a check of our own would come too late somewhere: a process that was stopped, or
starved, for longer than it may gets the signal before it runs on, wherever it is. What was on its way stays unsent.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from typing import NoReturn

EXIT_STATUS = 3

_log = logging.getLogger(__name__)


def end(why: str) -> NoReturn:
    """Say why and be gone, without finishing anything."""
    try:
        _log.critical("%s", why)
    finally:
        os._exit(EXIT_STATUS)


class Deadman:
    """Made in the main thread, where signals arrive. Its moment is by `time.monotonic`."""

    def __init__(self, last_words: Callable[[], str]) -> None:
        """`last_words` says why it came to this."""
        # A handler of Python's own: the default would end every process but the first of a container.
        signal.signal(signal.SIGALRM, lambda _number, _frame: end(last_words()))

    def put_off(self, moment: float) -> None:
        """The process may live until then."""
        left = moment - time.monotonic()
        # Stopped just here, the time that is left would begin only now: so it is counted once more.
        signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6))
        if time.monotonic() >= moment:
            signal.raise_signal(signal.SIGALRM)

    def retire(self) -> None:
        """The process may live for as long as it likes."""
        signal.setitimer(signal.ITIMER_REAL, 0)
