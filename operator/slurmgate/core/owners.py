"""The namespace's rule about whom its submissions may run for (annotation `slurmgate.dev/owners`)."""

import re
from collections.abc import Iterable

_SEPARATORS = re.compile(r"[\s,]+", re.ASCII)


def allows(annotation: str | None, owner: str) -> bool:
    """Whether a namespace with this annotation lets submissions name this owner.

    The annotation lists e-mails and `*@domain`, separated by commas or spaces. No annotation, nobody. The chart's admission
    policy reads it in the same way.
    """
    return listed(owner, filter(None, _SEPARATORS.split(annotation or "")))


def listed(owner: str, entries: Iterable[str]) -> bool:
    """Whether e-mails and `*@domain` name this owner.

    Case is ignored, as mail systems do, for ASCII only: a look-alike letter is another letter.
    """
    wanted = _folded(owner)
    return not {wanted, "*@" + wanted.rpartition("@")[2]}.isdisjoint(map(_folded, entries))


def _folded(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
