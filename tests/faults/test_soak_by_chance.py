"""A small soak that is another one each time. A file of its own: each file is one process's work."""

import random

from tests.faults.soaked import stays_clean


def test_nothing_is_lost_or_sent_twice_or_called_what_it_is_not() -> None:
    stays_clean(random.randrange(1_000_000))
