"""What was done when: kept, stored, and cut down to what concerns one submission."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from typing_extensions import override

INJECTION = "injection"


@dataclass(frozen=True)
class Entry:
    """One thing that was done, or happened. Times are seconds since 1970."""

    began: float
    what: str
    """`injection`, or what was done to a submission or happened to the operator."""
    about: str
    """The name of the fault, or of the submission."""
    words: str = ""
    ended: float | None = None

    def overlaps(self, began: float, ended: float) -> bool:
        """Whether any of it lies between these times."""
        return self.began <= ended and (self.ended or self.began) >= began

    @override
    def __str__(self) -> str:
        lasted = "" if self.ended is None else f" ({self.ended - self.began:.1f} s)"
        return f"{clock(self.began)} {self.what:<10} {self.about}{lasted} {self.words}".rstrip()


@dataclass
class History:
    """Written by several threads."""

    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str, about: str, words: str = "") -> None:
        """It happens now."""
        self._add(Entry(time.time(), what, about, words))

    @contextmanager
    def lasting(self, what: str, about: str) -> Iterator[list[str]]:
        """It goes on for as long as the context. Words can be added to the list that is given."""
        began, words = time.time(), list[str]()
        try:
            yield words
        finally:
            self._add(Entry(began, what, about, "; ".join(words), time.time()))

    def _add(self, entry: Entry) -> None:
        with self._lock:
            self.entries.append(entry)

    @property
    def injections(self) -> list[Entry]:
        """Every fault that was injected."""
        return [entry for entry in self.entries if entry.what == INJECTION]

    def has(self, fault: str, began: float, ended: float) -> bool:
        """Whether this fault was injected between these times."""
        return any(entry.about == fault and entry.overlaps(began, ended) for entry in self.injections)

    def of_life(self, name: str, began: float, ended: float) -> list[Entry]:
        """What was done to this submission, and what was not about any while it lived; oldest first."""
        return sorted(
            (
                entry
                for entry in self.entries
                if entry.about == name or (entry.what in {INJECTION, "operator"} and entry.overlaps(began, ended))
            ),
            key=lambda entry: entry.began,
        )

    def store(self, file: Path) -> None:
        """One JSON object a line."""
        file.write_text("".join(f"{json.dumps(asdict(entry))}\n" for entry in self.entries))


def clock(when: float) -> str:
    """As the operator's log writes it."""
    return datetime.fromtimestamp(when).astimezone().strftime("%H:%M:%S.%f")[:-3]


def lines_about(log: Iterable[str], *words: str) -> list[str]:
    """The lines that have one of these words in them."""
    return [line.rstrip("\n") for line in log if any(word in line for word in words)]
