"""Jobbergate's API and the S3 that it keeps files in, from PyPI: installed once, in an environment kept in the user's cache."""

import hashlib
import subprocess
import sys
from functools import partial
from pathlib import Path

from bed import state
from bed.errors import BedError
from bed.locks import once
from bed.report import say

VERSION = "5.8.0"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_DONE = "installed"


def python() -> Path:
    """The Python that can import `jobbergate_api` and `moto`."""
    content = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    folder = state.cache() / f"jobbergate-{VERSION}-{content}"
    busy = f"Waiting for another process that installs Jobbergate in {folder}"
    once(folder, busy, (folder / _DONE).exists, partial(_install, folder))
    return folder / "bin" / "python"


def _install(folder: Path) -> None:
    say(f"Installing Jobbergate {VERSION} from PyPI: once, into {folder} (a hundred packages, some minutes)")
    _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
    pip = [sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}", "install", "--quiet", "--require-hashes"]
    _run([*pip, "--disable-pip-version-check", f"--requirement={REQUIREMENTS}"])
    (folder / _DONE).touch()


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedError(f"Installing Jobbergate {VERSION} failed: {' '.join(argv)}\n{done.stdout}{done.stderr}")
