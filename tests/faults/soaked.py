"""A brief soak, judged. The long one is `make soak`."""

import os

from tests.faults.soak.course import BRIEF, Result, Terms, soak
from tests.faults.soak.report import told

INJECTIONS = 50


def soaked(seed: int, terms: Terms, injections: int) -> Result:
    """What comes of it, on a bed of its own."""
    return soak(f"soak-{seed}-{os.getpid()}", seed=seed, injections=injections, terms=terms)


def stays_clean(seed: int, terms: Terms = BRIEF) -> None:
    """Fails, and says how to repeat it, if the judge finds anything."""
    result = soaked(seed, terms, INJECTIONS)

    assert not result.failures, f"make soak SEED={seed}\n{told(result)}"
    assert len(result.history.injections) == INJECTIONS
