"""What figures are to be."""

import math
import re
from dataclasses import dataclass

from benchmarks.measuring.samples import Medians


@dataclass(frozen=True)
class Goal:
    """What one figure of some measures is to be."""

    words: str
    measure: str
    """A pattern for their names."""
    figure: str
    least: float = -math.inf
    most: float = math.inf
    beside: str = ""
    """Whose figure it is divided by, in the same run; nobody's if this is empty."""

    def concerns(self, measure: str) -> bool:
        """Whether it is about this measure."""
        return re.fullmatch(self.measure, measure) is not None

    def value(self, of: Medians, who: str) -> float | None:
        """What the figure of whoever is called so has come to. None: it was not measured, or that beside it was not."""
        unit, value = self._unit(of), _figure(of, who, self.figure)
        return value / unit if unit and value is not None else None

    def met(self, value: float) -> bool:
        """Whether that will do."""
        return self.least <= value <= self.most

    def line(self, of: Medians) -> float | None:
        """Which value of the figure just meets it. None: that beside it was not measured."""
        unit = self._unit(of)
        return None if unit is None else unit * (self.least if math.isfinite(self.least) else self.most)

    def _unit(self, of: Medians) -> float | None:
        return _figure(of, self.beside, self.figure) if self.beside else 1.0


def _figure(of: Medians, who: str, figure: str) -> float | None:
    """Of the first one whose name has this word in it."""
    return next((figures[figure] for name, figures in of.items() if who in name and figure in figures), None)
