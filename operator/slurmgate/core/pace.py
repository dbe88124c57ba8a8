"""How often the queue is looked at: often while something changes, seldom while nothing does. Pure."""

_SHARE = 10


def pause(quiet: float, *, least: float, most: float) -> float:
    """Seconds from one look to the next if nothing has changed for `quiet` seconds: a tenth of them, within the limits.

    So news is late by at most a tenth of the time that it took to come.
    """
    return max(least, min(quiet / _SHARE, most))
