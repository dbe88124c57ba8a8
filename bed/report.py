"""What a bed tells while it works: one plain line at a time, on stderr, so that stdout stays free for results."""

import sys


def say(message: str) -> None:
    """Tell the person at the terminal (or the log of the CI) what is going on."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
