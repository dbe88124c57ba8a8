"""The namespace's rule about whom its submissions may run for (annotation `slurmgate.dev/owners`)."""

import re

_SEPARATORS = re.compile(r"[\s,]+")


def allows(annotation: str | None, owner: str) -> bool:
    """Whether a namespace with this annotation lets submissions name this owner.

    The annotation lists e-mails and `*@domain`, separated by commas or spaces. No annotation, nobody. Case is ignored, as
    mail systems do, for ASCII only: a look-alike letter is another letter.
    """
    wanted = _folded(owner)
    domain = "*@" + wanted.rpartition("@")[2]
    listed = {_folded(entry) for entry in _SEPARATORS.split(annotation or "") if entry}
    return wanted in listed or domain in listed


def _folded(text: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
