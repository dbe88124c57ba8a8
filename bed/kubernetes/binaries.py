"""Kubernetes' own programs: found if somebody has them, else built once from Go modules and kept in the user's cache."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bed import state
from bed.errors import BedError
from bed.locks import locked
from bed.report import say

VERSION = "1.36.3"
_MODULE = Path(__file__).parent / "gomod" / "kube"
_PACKAGES = {"helm": "helm.sh/helm/v4/cmd/helm"}
_VERSION_PACKAGE = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = VERSION.split(".")
# One set of flags for all, so that what they share is compiled once. Unoptimised code builds in half the time; optimised is
# where an API server spends its own. Without a version in it kubectl cannot be used, and charts' `kubeVersion` fails.
_FLAGS = (
    "-trimpath",
    "-gcflags=all=-dwarf=false -N -l",
    *(f"-gcflags={packages}=-dwarf=false" for packages in ("std", "k8s.io/apimachinery/...", "sigs.k8s.io/...")),
    (
        f"-ldflags=-s -w -X {_VERSION_PACKAGE}.gitVersion=v{VERSION} -X {_VERSION_PACKAGE}.gitMajor={_MAJOR}"
        f" -X {_VERSION_PACKAGE}.gitMinor={_MINOR} -X {_VERSION_PACKAGE}.gitTreeState=clean"
    ),
)
_REPORT_EVERY = 10.0


def binaries(names: Sequence[str]) -> Path:
    """A folder that holds the programs `names`: of the machine if it has them all, else of the cache, built where missing."""
    for folder in _ready_made():
        if not _missing(names, folder):
            return folder
    folder = state.cache() / f"kubernetes-{VERSION}"
    if _missing(names, folder):
        with locked(folder, f"Waiting for another process that builds Kubernetes in {folder}"):
            if wanted := _missing(names, folder):
                _build(wanted, folder)
    return folder


def _ready_made() -> Iterator[Path]:
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        yield Path(assets)
    # What comes with a kube-apiserver is meant for it. A kubectl alone may be anything, of any age.
    if apiserver := shutil.which("kube-apiserver"):
        yield Path(apiserver).parent


def _missing(names: Sequence[str], folder: Path) -> list[str]:
    return [name for name in names if not os.access(folder / name, os.X_OK)]


def _build(names: Sequence[str], folder: Path) -> None:
    title = f"{', '.join(names)} from Go modules"
    if shutil.which("go") is None:
        raise BedError(
            f"Go is missing, so the bed cannot build {title}. Install Go 1.26 or later, or name a folder that holds"
            " kube-apiserver, kubectl and etcd in KUBEBUILDER_ASSETS, or a running cluster's kubeconfig in BED_KUBECONFIG."
        )
    say(f"Building {title}: once, into {folder} (up to 2,500 packages, five minutes on two cores)")
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as built:
        packages = [_PACKAGES.get(name, f"k8s.io/kubernetes/cmd/{name}") for name in names]
        _go_build(["go", "build", "-v", *_FLAGS, "-o", f"{built}/", *packages], title)
        for name in names:
            (Path(built) / name).rename(folder / name)


def _go_build(argv: Sequence[str], title: str) -> None:
    """Run `go build -v`, which names each package when it is compiled, and tell how far it is."""
    began = told = time.monotonic()
    downloaded = compiled = 0
    trouble: list[str] = []
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    with subprocess.Popen(argv, cwd=_MODULE, env=environment, stderr=subprocess.PIPE, text=True) as go:
        for line in go.stderr or ():
            if line.startswith("go: downloading "):
                downloaded += 1
            elif " " in line or line.startswith("#"):
                trouble.append(line.rstrip())
            else:
                compiled += 1
            if time.monotonic() - told >= _REPORT_EVERY:
                told = time.monotonic()
                say(f"Building {title}: {downloaded} modules downloaded, {compiled} packages compiled, {_clock(told - began)}")
    if go.returncode != 0:
        raise BedError(f"Building {title} failed; what `go build` said last:\n" + "\n".join(trouble[-15:]))
    say(f"Built {title}: {compiled} packages compiled, {_clock(time.monotonic() - began)}")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
