"""The programs that login-node/slurmgate-shell lets through."""

import hashlib
import re
from importlib.metadata import version
from pathlib import Path

from slurmgate.slurm import remote

SHELL = Path(__file__).parents[1] / "login-node" / "slurmgate-shell"
_BLOCK = re.compile(r"(?<=# BEGIN programs\n).*?(?=# END programs\n)", re.DOTALL)


def shell() -> str:
    """slurmgate-shell with the digests of this version's programs. Those of versions before it stay: it is upgraded first."""
    text, ours = SHELL.read_text(), version("slurmgate")
    known = [arm for arm in _BLOCK.findall(text)[0].splitlines() if not arm.endswith(f"# {ours}")]
    for name in remote.PROGRAMS:
        digest = hashlib.sha256(remote.program(name).encode()).hexdigest()
        known.append(f"{digest}) _program={name} ;; # {ours}")
    block = "".join(f"{arm}\n" for arm in known)
    return _BLOCK.sub(lambda _: block, text)
