"""Helm and the chart, as a user has them."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bed.operator import CHART, NAMESPACE, RELEASE

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    program: Path
    home: Path
    """Where it keeps what it remembers, which is not to be the developer's."""

    def run(self, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        argv = [self.program, *arguments, *(["--values=-"] if values else [])]
        stdin = yaml.safe_dump(dict(values or {}))
        environment = {**os.environ, "HOME": str(self.home)}
        return subprocess.run(argv, env=environment, input=stdin, capture_output=True, text=True, timeout=120, check=False)

    def template(self, values: Mapping[str, Any] | None = None, *options: str) -> list[Manifest]:
        done = self.run("template", RELEASE, CHART, f"--namespace={NAMESPACE}", *options, values=values)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def one(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (each for each in manifests if each["kind"] == kind and each["metadata"]["name"] == name)
    return found
