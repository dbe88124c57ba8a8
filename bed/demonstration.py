"""A demonstration: a bed, the operator on it, and somebody who does something there that has to end in a certain way."""

import time
from collections.abc import Callable
from typing import Any

from bed.errors import BedError
from bed.life import Bed, down, up
from bed.operator import install
from bed.report import say

Json = dict[str, Any]


def shown(name: str, values: Callable[[Bed], Json], play: Callable[[Bed], list[str]], *, jobbergate: bool = False) -> int:
    """Give it on a bed of this name. `values` puts things into place and returns the chart's values, `play` what went wrong.

    Returns the exit code: 0 if nothing did.
    """
    began = time.monotonic()
    try:
        wrong = _given(up(name, jobbergate=jobbergate), values, play)
    except BedError as error:
        say(str(error))
        return 1
    finally:
        down(name)
    for problem in wrong:
        say(f"WRONG: {problem}")
    if not wrong:
        say(f"All of it ended as it should, after {time.monotonic() - began:.0f} s.")
    return bool(wrong)


def _given(bed: Bed, values: Callable[[Bed], Json], play: Callable[[Bed], list[str]]) -> list[str]:
    operator = install(bed, values(bed)).start()
    say(f"The operator runs, with the rights and settings of the chart. Its log: {operator.log}")
    if bed.description.jobbergate:
        say(f"Jobbergate {bed.description.jobbergate.version} runs, too: {bed.description.jobbergate.url}")
    try:
        wrong = play(bed)
    finally:
        status = operator.stop()
    return [*wrong, f"the operator ended with exit code {status}"] if status else wrong
