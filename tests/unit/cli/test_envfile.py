"""dotenv files, as an Agent reads them."""

import io

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from slurmgate.cli.envfile import EnvFileError, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("A=b", "b", id="plain"),
        pytest.param("export A=b\n", "b", id="export"),
        pytest.param("A = b # why", "b", id="spaces and a comment"),
        pytest.param("A=b#c", "b#c", id="a hash that is none"),
        pytest.param("A='b # $c \"'", 'b # $c "', id="single quotes"),
        pytest.param('A="b\\n\\"c\\""', 'b\n"c"', id="double quotes"),
        pytest.param('A="b\nc"', "b\nc", id="two lines"),
        pytest.param("B=x\nA=${B}y${C:-z}", "xyz", id="other variables"),
        pytest.param("A=b\na=c", "c", id="the last one, in whatever case"),
        pytest.param("\ufeffA=1\nA=b", "b", id="a mark of byte order spoils its own line only"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert read(text).values["A"] == value


def test_what_has_no_value_is_named() -> None:
    file = read("A\nB=\nC=''\n")
    assert (file.values, file.valueless) == ({}, ("A", "B", "C"))


def test_what_is_no_statement_is_named_by_its_line() -> None:
    assert read("A=b\n\n# c\n\nd e f\n=\nG=h\n").unreadable == (5, 6)


def test_a_value_that_only_the_agents_environment_has_is_asked_for() -> None:
    with pytest.raises(EnvFileError, match="'SECRET' refers to 'VAULT', which this file does not set above it"):
        read("SECRET=${VAULT}\nVAULT=x")


@given(st.text(st.characters(exclude_characters="$", exclude_categories=["Cs"])))
def test_it_is_what_the_agents_own_library_reads(text: str) -> None:
    theirs = {name.upper(): value for name, value in dotenv_values(stream=io.StringIO(text)).items()}
    ours = read(text)
    assert {**ours.values, **dict.fromkeys(ours.valueless)} == {name: value or None for name, value in theirs.items()}
