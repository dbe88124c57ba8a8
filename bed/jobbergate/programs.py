"""Jobbergate's programs from PyPI, each installed once, in an environment of its own that is kept in the user's cache."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bed import state
from bed.errors import BedError
from bed.locks import once
from bed.report import say

_DONE = "installed"


@dataclass(frozen=True)
class Programs:
    """What a file of locked requirements installs."""

    name: str
    version: str
    requirements: Path

    def python(self) -> Path:
        """The Python that can import them."""
        content = hashlib.sha256(self.requirements.read_bytes()).hexdigest()[:8]
        folder = state.cache() / f"{self.name}-{self.version}-{content}"
        busy = f"Waiting for another process that installs {self.name} in {folder}"
        once(folder, busy, (folder / _DONE).exists, partial(self._install, folder))
        return folder / "bin" / "python"

    def _install(self, folder: Path) -> None:
        packages = self.requirements.read_text().count("==")
        say(f"Installing {self.name} {self.version} from PyPI: once, into {folder} ({packages} packages, some minutes)")
        self._run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
        pip = [sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}", "install", "--quiet", "--require-hashes"]
        self._run([*pip, "--disable-pip-version-check", f"--requirement={self.requirements}"])
        (folder / _DONE).touch()

    def _run(self, argv: list[str]) -> None:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BedError(f"Installing {self.name} {self.version} failed: {' '.join(argv)}\n{done.stdout}{done.stderr}")


_HERE = Path(__file__).parent

API = Programs("jobbergate", "5.8.0", _HERE / "requirements.txt")
"""The API, and moto: the S3 that it keeps files in."""
AGENT = Programs("jobbergate-agent", "5.12.0", _HERE / "requirements-agent.txt")
"""What Jobbergate has in Slurmgate's place."""
