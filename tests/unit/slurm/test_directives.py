"""`#SBATCH` lines, as sbatch reads them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.slurm.directives import head, read
from slurmgate.slurm.options import NotUnderstoodError


def options(*lines: str) -> list[str]:
    script = "#!/bin/sh\n" + "".join(f"{line}\n" for line in lines) + "true\n"
    return [option.word for option in read(script.encode("utf-8", "surrogateescape")).options]


LINES = {
    "one option": (["#SBATCH --nodes=2"], ["--nodes=2"]),
    "several in one line": (["#SBATCH -N 2 -n4 --hold"], ["--nodes=2", "--ntasks=4", "--hold"]),
    "several lines": (["#SBATCH -N2", "#SBATCH -n4"], ["--nodes=2", "--ntasks=4"]),
    "no space after the word": (["#SBATCH--hold"], ["--hold"]),
    "the old word": (["#SLURM --hold"], ["--hold"]),
    "tabs and a carriage return": (["#SBATCH\t--hold\t-O\r"], ["--hold", "--overcommit"]),
    "a value on the next line": (["#SBATCH --nodes", "#SBATCH 2"], ["--nodes=2"]),
    "double quotes": (['#SBATCH --comment="a b"'], ["--comment=a b"]),
    "single quotes": (["#SBATCH --comment='a \"b'"], ['--comment=a "b']),
    "quotes inside a word": (["#SBATCH --com'ment=a 'b"], ["--comment=a b"]),
    "an escaped quote": ([r"#SBATCH --comment=\"a"], ['--comment="a']),
    "an escaped quote inside quotes": ([r"#SBATCH --comment='it\'s'"], ["--comment=it's"]),
    "a comment": (["#SBATCH --hold # really"], ["--hold"]),
    "a comment without a space before it": (["#SBATCH --comment=a#b --hold"], ["--comment=a"]),
    "a # in quotes": (["#SBATCH --comment='a#b'"], ["--comment=a#b"]),
    "an escaped #": ([r"#SBATCH --comment=a\#b"], ["--comment=a#b"]),
    "an empty word ends the line": (["#SBATCH '' --hold"], []),
    "nothing": (["#SBATCH"], []),
    "not at the start of the line": ([" #SBATCH --hold"], []),
    "another comment": (["##SBATCH --hold", "# SBATCH --hold", "#sbatch --hold"], []),
    "after blank lines and comments": (["", "# hello", "  ", "#SBATCH --hold"], ["--hold"]),
    "after the first command": (["true", "#SBATCH --hold"], []),
    "bytes that are no UTF-8": (["#SBATCH --comment=\udcff"], ["--comment=\udcff"]),
}


@pytest.mark.parametrize(("lines", "expected"), LINES.values(), ids=LINES.keys())
def test_lines_are_read_as_sbatch_reads_them(lines: list[str], expected: list[str]) -> None:
    assert options(*lines) == expected


BAD = {
    "a quote that is not closed": (["#SBATCH --comment='a"], "line 2 of the script: ' is not closed"),
    "a word that is no option": (["#SBATCH -N1", "#SBATCH run"], "line 3 of the script: 'run' is not an option"),
    "an escaped space": ([r"#SBATCH --comment=a\ b"], "line 2 of the script: versions of sbatch differ"),
    "an escape at the end": (["#SBATCH --comment=a\\"], "line 2 of the script: versions of sbatch differ"),
    "another component in the middle of a line": (
        ["#SBATCH -J hetjob", "#SBATCH --comment --uid=0"],
        "line 2 of the script: hetjob begins another component",
    ),
    "another component instead of a value": (["#SBATCH --comment PackJob -N2"], "line 2 of the script: PackJob begins another"),
    "more behind a new component": (["#SBATCH hetjob --comment"], "line 2 of the script: a line that begins another component"),
    "lines without end": ([f"#SBATCH --comment={'x' * 40_000}"] * 2, "line 3 of the script: more than 64 KiB"),
    "an unknown option": (["#SBATCH --frobnicate"], "line 2 of the script: --frobnicate is no option"),
}


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_not_understood_is_named_with_its_line(lines: list[str], message: str) -> None:
    with pytest.raises(NotUnderstoodError) as problem:
        options(*lines)
    assert str(problem.value).startswith(message)


@pytest.mark.parametrize("word", ["hetjob", "packjob", "HetJob"])
def test_components_of_a_heterogeneous_job_are_all_read(word: str) -> None:
    found = read(f"#!/bin/sh\n#SBATCH -N1\n#SBATCH {word}\n#SBATCH -N2 --hold\ntrue\n".encode())
    assert found.het
    assert [option.word for option in found.options] == ["--nodes=1", "--nodes=2", "--hold"]


def test_quoted_it_is_a_word_like_any_other() -> None:
    assert options('#SBATCH -J "hetjob"', "#SBATCH --comment=hetjob") == ["--job-name=hetjob", "--comment=hetjob"]


def test_a_value_does_not_come_from_the_next_component() -> None:
    with pytest.raises(NotUnderstoodError, match="--nodes needs a value"):
        read(b"#!/bin/sh\n#SBATCH --nodes\n#SBATCH hetjob\n#SBATCH 2\n")


def test_the_head_ends_where_sbatch_stops_reading() -> None:
    assert head(b"#!/bin/sh\n\n # x\n\t\r\n#SBATCH\necho\n#SBATCH\n") == b"#!/bin/sh\n\n # x\n\t\r\n#SBATCH\n"
    assert head(b"#!/bin/sh") == b"#!/bin/sh"
    assert head(b"echo") == b""


FOREIGN = {
    "none": (b"#!/bin/sh\ntrue\n", None),
    "pbs": (b"#!/bin/sh\n#PBS -N x\n", "line 2 of the script"),
    "lsf after commands": (b"#!/bin/sh\ntrue\ntrue\n#BSUB -J x\n", "line 4 of the script"),
    "too far down for sbatch": (b"#!/bin/sh\n" + b"true\n" * 101 + b"#PBS -N x\n", None),
    "just within its reach": (b"#!/bin/sh\n" + b"true\n" * 100 + b"#PBS -N x\n", "line 102 of the script"),
}


@pytest.mark.parametrize(("script", "where"), FOREIGN.values(), ids=FOREIGN.keys())
def test_lines_of_other_systems_are_noticed_where_sbatch_would_translate_them(script: bytes, where: str | None) -> None:
    assert read(script).foreign == where


@given(st.binary(max_size=60))
def test_any_script_is_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(NotUnderstoodError):
        read(b"#!/bin/sh\n#SBATCH " + content)
