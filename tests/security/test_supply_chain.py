"""What runs is what was locked, and there is a list of it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted([*(ROOT / "requirements").glob("*.txt"), *(ROOT / "bed").rglob("requirements*.txt")])
RUNTIME = ROOT / "requirements" / "runtime.txt"


def entries(lock: Path) -> list[str]:
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_that_is_installed_is_locked_with_its_hash(lock: Path) -> None:
    locked = re.compile(r"[a-z0-9-]+==\S+( +; .*?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert entries(lock)
    assert not [entry for entry in entries(lock) if not locked.fullmatch(entry)]


def test_the_image_takes_nothing_that_is_not_locked() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip --python \S+ install +([^&\n]*)", dockerfile)
    assert [line.split() for line in installs] == [
        ["--require-hashes", "--only-binary", ":all:", "--requirement", "requirements/runtime.txt"],
        ["--no-deps", "."],
    ]


@pytest.mark.slow
def test_the_bill_of_materials_lists_what_the_image_contains() -> None:
    subprocess.run(["make", "sbom"], cwd=ROOT, check=True, capture_output=True)
    bill = json.loads((ROOT / "build" / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {(each["name"].lower().replace("_", "-"), each["version"]) for each in bill["components"]}
    assert listed == {tuple(entry.split()[0].split("==")) for entry in entries(RUNTIME)}
    assert all(reference["hashes"] for each in bill["components"] for reference in each["externalReferences"])
    assert bill["metadata"]["component"]["name"] == "slurmgate"
