"""What was measured, as data: the page and the plots are made of it, and a later run is compared with it."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

Medians = Mapping[str, Mapping[str, float]]
"""Of the figures of one measure, by who and by what they are."""


@dataclass(frozen=True)
class Sample:
    """One run of somebody."""

    measure: str
    who: str
    figures: Mapping[str, float]
    """Seconds, counts and MiB, by what they are."""


@dataclass(frozen=True)
class Run:
    """All that one run of a benchmark has measured."""

    benchmark: str
    about: Mapping[str, str]
    """Day, machine and versions."""
    samples: Sequence[Sample]

    @classmethod
    def load(cls, path: Path) -> "Run":
        """One that was saved."""
        return _RUN.validate_json(path.read_bytes())

    def save(self, path: Path) -> None:
        """Keep it."""
        path.write_bytes(_RUN.dump_json(self, indent=1) + b"\n")

    @property
    def measures(self) -> tuple[str, ...]:
        """In the order in which they were begun."""
        return tuple(dict.fromkeys(sample.measure for sample in self.samples))

    def values(self, measure: str) -> dict[str, dict[str, list[float]]]:
        """All values of each figure of a measure, by who and by what they are."""
        found: dict[str, dict[str, list[float]]] = {}
        for sample in self.samples:
            if sample.measure == measure:
                for name, value in sample.figures.items():
                    found.setdefault(sample.who, {}).setdefault(name, []).append(value)
        return found

    def medians(self, measure: str) -> Medians:
        """The middle values of a measure."""
        return {
            who: {name: statistics.median(values) for name, values in of.items()} for who, of in self.values(measure).items()
        }


_RUN = TypeAdapter(Run)
