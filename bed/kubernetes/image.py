"""Container images without a registry and without a container engine: archives that a node loads.

Two images are made from nothing: `pause`, which every Pod needs, and a base of Debian and its Python, which stands in for
the Dockerfile's own base. Both are made once and kept in the user's cache.
"""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bed import state
from bed.errors import BedError
from bed.locks import locked
from bed.report import say
from bed.requirements import require_debian, require_root

PAUSE = "localhost/bed/pause:1"
_BASE = "localhost/bed/python:base"
_PACKAGES = ("buildah", "runc", "mmdebstrap", "gcc", "libc6-dev")
_BASE_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
_PAUSE_SOURCE = Path(__file__).with_name("image-pause.c")
_NEEDED_BY_DOCKERFILE = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE", "operator", "requirements")


@dataclass(frozen=True)
class Image:
    """An image and the archive that holds it."""

    reference: str
    """Its name with tag, as a Pod asks for it."""
    archive: Path


def pause() -> Image:
    """The image of the container that holds a Pod's namespaces."""
    image = Image(PAUSE, _cache() / "pause.tar")
    with _storage():
        if not image.archive.exists():
            _build_pause(image)
    return image


def build(context: Path, reference: str, archive: Path) -> Image:
    """Build the Dockerfile in the folder `context` on the bed's base image, without a network."""
    image = Image(reference, archive)
    with _storage():
        _require_base()
        options = ["--quiet", "--isolation=chroot", "--pull-never", f"--build-arg=BASE_IMAGE={_BASE}"]
        _buildah("bud", *options, f"--tag={reference}", str(context))
        _save(image)
        _buildah("rmi", "--prune")
    return image


def build_project(repository: Path, reference: str, archive: Path) -> Image:
    """Build the project's own Dockerfile from the working tree `repository`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slurmgate-image-") as folder:
        context = Path(folder)
        for name in _NEEDED_BY_DOCKERFILE:
            _copy(repository / name, context / name)
        wheels = _wheels(repository)
        _copy(wheels, context / "requirements" / "wheels")
        image = build(context, reference, archive)
    say(f"Built {reference}: {archive.stat().st_size / 1e6:.0f} MB, {time.monotonic() - began:.0f} s")
    return image


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def _wheels(repository: Path) -> Path:
    """A folder with every wheel that the Dockerfile installs, for the base image's Python: downloaded once per lock file."""
    lock = repository / "requirements" / "runtime.txt"
    build_system = tomllib.loads((repository / "pyproject.toml").read_text())["build-system"]["requires"]
    python = _debian_python()
    fingerprint = sha256(f"{lock.read_text()}{build_system}{python}{platform.machine()}".encode()).hexdigest()[:12]
    folder = _cache() / f"wheels-{fingerprint}"
    with locked(_cache(), "Waiting for another process that uses the bed's image cache"):
        if not folder.exists():
            for outdated in _cache().glob("wheels-*"):
                shutil.rmtree(outdated)
            say(f"Downloading the image's wheels for Python {python}: once")
            with tempfile.TemporaryDirectory(prefix="download-", dir=_cache()) as downloads:
                complete = Path(downloads, "wheels")
                _download(complete, python, ["--require-hashes", f"--requirement={lock}"])
                _download(complete, python, build_system)
                complete.rename(folder)
    return folder


def _debian_python() -> str:
    """The version of Debian's Python on this machine, which is also the base image's."""
    require_debian(["python3"])
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run(["/usr/bin/python3", "-c", version], capture_output=True, text=True, check=True).stdout.strip()


def _download(folder: Path, python: str, what: Sequence[str]) -> None:
    """`pip download` for the Python `python` on this kind of machine, whatever Python we run on."""
    glibc = [f"--platform=manylinux{tag}_{platform.machine()}" for tag in ("_2_34", "_2_28", "_2_17", "2014")]
    target = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *glibc]
    argv = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={folder}", *target, *what]
    _run(argv)


def _require_base() -> None:
    known = json.loads(_buildah("images", "--json"))
    if not any(_BASE in (image["names"] or ()) for image in known):
        _build_base()


def _build_base() -> None:
    """Debian with its Python, from the package sources that this machine uses itself."""
    say("Making the base image, Debian with Python: once (one to two minutes)")
    began = time.monotonic()
    archive = _cache() / "base.tar"
    options = ["--variant=apt", f"--include={','.join(_BASE_PACKAGES)}"]
    options += [f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "locale", "man")]
    options += ['--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED']
    _narrate(["mmdebstrap", *options, "", str(archive), "-"], stdin=_debian_sources())
    container = _buildah("from", "scratch")
    _buildah("add", "--quiet", container, str(archive), "/")
    _buildah("config", "--env=LANG=C.UTF-8", "--cmd=python3", container)
    _buildah("commit", "--quiet", "--rm", container, _BASE)
    archive.unlink()
    say(f"Made the base image in {time.monotonic() - began:.0f} s")


def _debian_sources() -> str:
    form = ["--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    lines = _run(["apt-get", "indextargets", *form]).splitlines()
    sources = sorted({line.removeprefix("Debian ") for line in lines if line.startswith("Debian ")})
    if not sources:
        raise BedError("apt-get knows no package lists of Debian, so the bed cannot make a base image. Run: apt-get update")
    return "".join(f"deb {source}\n" for source in sources)


def _build_pause(image: Image) -> None:
    with tempfile.TemporaryDirectory(prefix="slurmgate-pause-") as folder:
        program = Path(folder, "pause")
        _run(["gcc", "-Os", "-static", "-s", "-o", str(program), str(_PAUSE_SOURCE)])
        container = _buildah("from", "scratch")
        _buildah("copy", "--quiet", container, str(program), "/pause")
        _buildah("config", '--entrypoint=["/pause"]', "--user=65535:65535", container)
        _buildah("commit", "--quiet", "--rm", container, image.reference)
    _save(image)


def _save(image: Image) -> None:
    """Write the archive. Its layers are not compressed, which is quicker both ways."""
    new = image.archive.with_suffix(".new")
    new.unlink(missing_ok=True)
    _buildah("push", "--quiet", image.reference, f"docker-archive:{new}:{image.reference}")
    new.rename(image.archive)


def _cache() -> Path:
    return state.cache() / "images"


@contextmanager
def _storage() -> Iterator[None]:
    """Hold buildah's storage alone."""
    require_root("Building container images")
    require_debian(_PACKAGES)
    with locked(_cache(), "Waiting for another process that uses the bed's image cache"):
        yield


def _buildah(command: str, *arguments: str) -> str:
    storage = [f"--root={_cache() / 'storage'}", f"--runroot={_cache() / 'run'}", "--storage-driver=overlay"]
    return _run(["buildah", *storage, command, *arguments]).strip()


def _narrate(argv: Sequence[str], *, stdin: str) -> None:
    """Run mmdebstrap, and tell what it says it does."""
    said: list[str] = []
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        if process.stdin and process.stdout:
            process.stdin.write(stdin)
            process.stdin.close()
            for line in process.stdout:
                said.append(line.rstrip())
                if line.startswith("I: "):
                    say(f"Making the base image: {line.removeprefix('I: ').rstrip()}")
    if process.returncode != 0:
        raise BedError(f"{argv[0]} failed:\n" + "\n".join(said[-15:]))


def _run(argv: Sequence[str], *, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise BedError(f"{' '.join(argv[:3])} ... failed:\n{tail}")
    return done.stdout
