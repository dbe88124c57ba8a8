"""The program `slurmgate`: the operator, and the command line beside it."""

import subprocess
import sys

_WITHOUT_TYPER = """
import sys
sys.modules["typer"] = None
from slurmgate.__main__ import main
sys.exit(main())
"""


def slurmgate(*arguments: str, program: tuple[str, ...] = ("-m", "slurmgate")) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *program, *arguments], env={}, capture_output=True, text=True, check=False)


def test_the_operator_runs_without_the_command_line_and_what_that_needs() -> None:
    done = slurmgate("run", program=("-X", "importtime", "-m", "slurmgate"))
    assert "SLURMGATE_NAMESPACE: is not set" in done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "slurmgate.app" in imported
    assert not {"typer", "slurmgate.cli"} & imported


def test_where_it_is_not_installed_for_people_it_says_how() -> None:
    done = slurmgate("jobbergate", program=("-c", _WITHOUT_TYPER))
    assert done.returncode == 2
    assert "usage: slurmgate run" in done.stderr
    assert "pip install 'slurmgate[cli]'" in done.stderr


def test_help_shows_what_there_is() -> None:
    done = slurmgate("--help")
    assert done.returncode == 0
    assert "jobbergate" in done.stdout


def test_a_file_that_is_not_there_is_named() -> None:
    done = slurmgate("jobbergate", "import-env", "/nowhere/.env")
    assert done.returncode == 2
    assert "/nowhere/.env" in done.stderr
