"""What travels on stdin to remote/stage.sh: a few lines, then a tar archive. Pure.

Members: `files/...` (they go into the working directory), `script`, `batch` if that starts the script, `environment`, `origin`
(the submission, for the day when it is gone), `submit`, and last `complete`, which holds the digest of all others: an archive
cut short is never taken for a whole one.
"""

import hashlib
import io
import shlex
import tarfile
from collections.abc import Iterator

from slurmgate.slurm.gateway import Package


def stdin(package: Package, *, sbatch: str) -> bytes:
    """The lines that remote/stage.sh reads, and the archive."""
    members = list(_members(package, sbatch=sbatch))
    digest = hashlib.sha256()
    for name, mode, content in members:
        digest.update(f"{name}\0{mode}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
        for name, mode, content in (*members, ("complete", 0o600, digest.hexdigest().encode())):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = mode, len(content)
            tar.addfile(entry, io.BytesIO(content))
    lines = (package.token, package.directory, package.name, "yes" if package.keep_script else "no", digest.hexdigest())
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape") + archive.getvalue()


def _members(package: Package, *, sbatch: str) -> Iterator[tuple[str, int, bytes]]:
    for file in package.files:
        mode = 0o777 if file.executable else 0o666  # the user's umask applies
        yield f"files/{file.name}", mode & 0o700 if file.private else mode, file.content
    yield "script", 0o700, package.script
    if package.batch is not None:
        yield "batch", 0o600, package.batch
    if package.environment:
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in package.environment)
        yield "environment", 0o600, "".join(lines).encode("utf-8", "surrogateescape")
    yield "origin", 0o600, f"{package.origin}\n".encode()
    yield "submit", 0o600, submit(package, sbatch=sbatch).encode("utf-8", "surrogateescape")


def submit(package: Package, *, sbatch: str) -> str:
    """The sh program that becomes sbatch. `$1` is the directory it lies in; it runs in the working directory.

    What the person's start files set for sbatch holds, as it does when they run it themselves, but not what would make it wait
    or send the job to another cluster.
    """
    script = "script" if package.batch is None else "batch"
    return (
        "unset SBATCH_WAIT SBATCH_CLUSTERS SLURM_CLUSTERS\n"
        + ('. "$1/environment" || exit 125\n' if package.environment else "")
        + f'exec {shlex.join([sbatch, *package.arguments])} "$1/{script}"\n'
    )
