"""A dotenv file, as pydantic-settings reads it for the Jobbergate Agent: quotes, comments, `export`, `${NAME}`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO

from dotenv.parser import Original, parse_stream
from dotenv.variables import Variable, parse_variables


class EnvFileError(Exception):
    """The file does not say what the settings are."""


@dataclass(frozen=True)
class EnvFile:
    """What a dotenv file says."""

    values: Mapping[str, str]
    """By the names in capitals, for the Agent does not tell them apart by case; of one that comes twice, the last."""
    valueless: tuple[str, ...]
    """Names that are there without a value, or with an empty one."""
    unreadable: tuple[int, ...]
    """Numbers of the lines that are no statements."""


def read(text: str) -> EnvFile:
    """Read a dotenv file.

    Raises:
        EnvFileError: a value needs another variable that the file does not have.
    """
    found: dict[str, str] = {}
    unreadable = []
    for statement in parse_stream(StringIO(text)):
        if statement.error:
            unreadable.append(_line(statement.original))
        elif statement.key is not None:
            found[statement.key] = "".join(_resolved(statement.key, statement.value or "", found))
    values = {name.upper(): value for name, value in found.items()}
    return EnvFile(
        {name: value for name, value in values.items() if value},
        tuple(name for name, value in values.items() if not value),
        tuple(unreadable),
    )


def _line(statement: Original) -> int:
    """Empty lines above a statement are counted to it."""
    return statement.line + statement.string[: -len(statement.string.lstrip())].count("\n")


def _resolved(name: str, value: str, before: Mapping[str, str]) -> Iterator[str]:
    for part in parse_variables(value):
        if isinstance(part, Variable) and part.default is None and part.name not in before:
            raise EnvFileError(
                f"{name!a} refers to {part.name!a}, which this file does not set above it: write its value instead."
            )
        yield part.resolve(before)
