"""YAML written by people: words, lists and fields as they stand, with their lines, and never an object built from them.

The usual loaders guess types (`user: 007`, `no`), keep the last of two equal keys, follow aliases (ten lines can mean a
billion nodes) and give up on the whole document for what is wrong in one place. Here the caller sees what was written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

SIZE_LIMIT: Final = 1024 * 1024
"""Bytes; also the most that a ConfigMap or Secret holds."""

_DEPTH_LIMIT: Final = 20
"""The scanner needs quadratic time for depth: 1 MiB of `[` would take hours."""

_NULL: Final = ("", "~", "null", "Null", "NULL")
_STRING: Final = (None, "!", "tag:yaml.org,2002:str")


class UnreadableDocumentError(ValueError):
    """The document as a whole cannot be read. The message has a line and no word of the content."""


@dataclass(frozen=True, slots=True)
class Text:
    """A word or text. `value` is empty for null."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    nodes: tuple["Node", ...]
    line: int


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping, its keys in the order and as often as they were written."""

    pairs: tuple[tuple[str, "Node"], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Foreign:
    """An alias or a tagged value, which are not followed."""

    line: int


Node = Text | Items | Fields | Foreign


def read(text: str) -> Node:
    """Read the only document of a text.

    Raises:
        UnreadableDocumentError: this is not YAML, is too large or too deep, or is more than one document.
    """
    try:
        if len(text.encode()) > SIZE_LIMIT:
            raise UnreadableDocumentError(f"larger than {SIZE_LIMIT} bytes")
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        next(events)  # start of the stream
        if isinstance(next(events), yaml.StreamEndEvent):
            return Text("", 1)
        root = _node(next(events), events, 0)
        next(events)  # end of the document
        if not isinstance(event := next(events), yaml.StreamEndEvent):
            raise UnreadableDocumentError(f"line {_line(event)}: a second document begins; only one is read")
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UnreadableDocumentError(f"{line}not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeError):
        raise UnreadableDocumentError("not YAML: it has control characters or is not Unicode") from None
    return root


def _node(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
    line = _line(event)
    if depth > _DEPTH_LIMIT:
        raise UnreadableDocumentError(f"line {line}: more than {_DEPTH_LIMIT} levels deep")
    match event:
        case yaml.ScalarEvent() if event.tag in _STRING:
            is_null = not event.style and event.value in _NULL
            return Text("" if is_null else event.value, line)
        case yaml.SequenceStartEvent():
            nodes = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                nodes.append(_node(item, events, depth + 1))
            return Items(tuple(nodes), line)
        case yaml.MappingStartEvent():
            pairs = []
            while not isinstance(item := next(events), yaml.MappingEndEvent):
                key = _node(item, events, depth + 1)
                pairs.append((key.value if isinstance(key, Text) else "?", _node(next(events), events, depth + 1)))
            return Fields(tuple(pairs), line)
        case _:
            return Foreign(line)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
