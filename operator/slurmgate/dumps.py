"""No core dump of this process, and nobody of the same user who reads its memory: people's keys are in it."""

import ctypes
import resource
import sys
from typing import Final

_SET_DUMPABLE: Final = 4
"""PR_SET_DUMPABLE of prctl(2). A limit of 0 alone would not do: a core that is piped to a program does not obey it."""


def refuse() -> None:
    """From now on the kernel writes no core of this process, and lets only root attach to it.

    Raises:
        OSError: the kernel does not let us; we go no further then.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE, 0)")
