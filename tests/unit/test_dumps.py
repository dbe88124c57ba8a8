"""What the kernel is told about a process that has people's keys."""

import subprocess
import sys

import pytest

ASK = """
import ctypes, resource
{before}
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
"""
NOW = "from slurmgate import dumps; dumps.refuse()"


def said(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_no_core_is_written() -> None:
    assert said(ASK.format(before="")).startswith("1 ")
    assert said(ASK.format(before=NOW)) == "0 (0, 0)"


def test_the_operator_sees_to_it_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURMGATE_NAMESPACE", raising=False)
    program = ASK.format(before="import sys; sys.argv[1:] = ['run']; from slurmgate import __main__; __main__.main()")
    assert said(program) == "0 (0, 0)"


def test_its_own_files_in_proc_stay_readable_for_itself() -> None:
    """prometheus_client counts open files there."""
    assert int(said(f"{NOW}; import os; print(len(os.listdir('/proc/self/fd')))")) > 2
