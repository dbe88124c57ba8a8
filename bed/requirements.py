"""Debian packages that a part of the bed needs: looked up, and installed by apt-get if they are missing.

Only apt-get changes the system, and only after saying so. The daemons in these packages are not to run on this machine:
the bed starts its own copies, in namespaces of their own.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

from bed.errors import BedError
from bed.locks import locked
from bed.report import say

_POLICY = Path("/usr/sbin/policy-rc.d")
_REFUSE = """\
#!/bin/sh
# Put here by Slurmgate's test bed for the time of one apt-get: do not start what it installs.
exit 101
"""
_REFUSED = 101
# Two parts of a bed, or two beds, may start side by side. apt-get waits for dpkg's own lock, nobody for our policy file.
_ONE_AT_A_TIME = Path("/var/cache/apt/archives")


def require_debian(packages: Sequence[str]) -> None:
    """Return when all `packages` are installed; `BedError` if they are not and cannot be."""
    if wanted := missing(packages):
        if os.geteuid() != 0:
            command = f"apt-get install --no-install-recommends {' '.join(wanted)}"
            raise BedError(f"Some Debian packages are missing. Install them as root: {command}")
        with locked(_ONE_AT_A_TIME, "Waiting for another apt-get of the bed"):
            if wanted := missing(packages):
                _install(wanted)


def missing(packages: Sequence[str]) -> list[str]:
    """Those of `packages` that are not installed."""
    if shutil.which("dpkg-query") is None:
        wanted = ", ".join(packages)
        raise BedError(f"The bed needs Debian's packages {wanted}. Run it on Debian 12, or in a container of it.")
    query = ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages]
    lines = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    installed = {line.removesuffix(" installed") for line in lines if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def require_root(purpose: str) -> None:
    """`BedError` unless we may make namespaces and users."""
    if os.geteuid() != 0:
        raise BedError(f"{purpose} needs root (it makes namespaces, mounts and users). Run it as root, or leave that part out.")


def _install(packages: Sequence[str]) -> None:
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    say(f"Installing with apt-get: {' '.join(packages)}")
    with _nothing_starts():
        done = _apt_get(command)
        if done.returncode != 0:  # package lists that are missing or out of date look like this
            say("apt-get install failed; trying again after apt-get update")
            _apt_get(["apt-get", "update"])
            done = _apt_get(command)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise BedError(f"apt-get could not install {', '.join(packages)}:\n{tail}")


def _apt_get(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    argv = [command[0], "--quiet=2", "--option=DPkg::Lock::Timeout=600", "--option=Dpkg::Use-Pty=0", *command[1:]]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=PIPE, stderr=STDOUT, text=True, check=False)


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Debian's maintainer scripts ask policy-rc.d whether they may start a daemon: for now the answer is no."""
    if _POLICY.exists() and subprocess.run([_POLICY, "any", "start"], capture_output=True, check=False).returncode == _REFUSED:
        yield  # somebody has forbidden it already, as container images do
        return
    aside = _POLICY.with_name("policy-rc.d.before-slurmgate-bed")
    if _POLICY.exists():
        _POLICY.rename(aside)
    try:
        _POLICY.write_text(_REFUSE)
        _POLICY.chmod(0o755)
        yield
    finally:
        _POLICY.unlink()
        if aside.exists():
            aside.rename(_POLICY)
