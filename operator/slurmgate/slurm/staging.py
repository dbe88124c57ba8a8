"""What travels on stdin to remote/stage.sh: the person, then for each package its length, a few lines, a tar archive. Pure.

Members: `files/...` (they go into the working directory), `script`, `batch` if that starts the script, `environment`, `origin`
(the submission, for the day when it is gone), `arguments`, and last `complete`, which holds the digest of all others: an
archive cut short is never taken for a whole one. `environment` and `arguments` are data, a line for each, which
remote/submit.sh reads: of what travels nothing but the script is ever run.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator

from slurmgate.slurm.gateway import Package


def stdin(packages: Iterable[Package], *, person: tuple[str, str]) -> bytes:
    """Who has to be logged in there, and the least uid; then packages one after the other, each with its length before it."""
    lines = "".join(f"{line}\n" for line in person)
    contents = map(_content, packages)
    return lines.encode("utf-8", "surrogateescape") + b"".join(b"%d\n%b" % (len(content), content) for content in contents)


def weight(package: Package) -> int:
    """How many bytes the package has, about."""
    return len(package.script) + len(package.batch or b"") + sum(len(file.content) for file in package.files)


def _content(package: Package) -> bytes:
    """The lines that remote/stage.sh reads, and the archive."""
    members = list(_members(package))
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


def _members(package: Package) -> Iterator[tuple[str, int, bytes]]:
    for file in package.files:
        mode = 0o777 if file.executable else 0o666  # the user's umask applies
        yield f"files/{file.name}", mode & 0o700 if file.private else mode, file.content
    yield "script", 0o700, package.script
    if package.batch is not None:
        yield "batch", 0o600, package.batch
    if package.environment:
        yield "environment", 0o600, _lines(f"{name}={value}" for name, value in package.environment)
    yield "origin", 0o600, f"{package.origin}\n".encode()
    yield "arguments", 0o600, _lines(package.arguments)


def _lines(words: Iterable[str]) -> bytes:
    r"""A line for each, in which a line end is `\n` and a backslash two of them: what `printf %b` reads back."""
    lines = (word.replace("\\", r"\\").replace("\n", r"\n") + "\n" for word in words)
    return "".join(lines).encode("utf-8", "surrogateescape")
