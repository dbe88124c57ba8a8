"""Bar charts as SVG: a panel for each figure, a bar for everybody, a dashed line for the goal. Pure."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT = 760, 250, 590
"""Of the picture; where bars begin, and where the longest ends."""
_ROW, _HEAD, _FOOT = 22, 46, 40
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:14px}.axis{stroke:#888}.bar{fill:#4878a8}"
    ".spread{stroke:#222}.goal{stroke:#c03030;stroke-dasharray:4 3}.goal-text{fill:#c03030}"
)


@dataclass(frozen=True)
class Panel:
    """One figure with its unit, as everybody has it."""

    figure: str
    bars: Mapping[str, Sequence[float]]
    """All values, by who: the bar ends at the median, a thin line goes from the least to the most."""
    goal: float | None = None


def chart(title: str, panels: Sequence[Panel]) -> str:
    """The picture."""
    parts, top = [_text(10, 20, title, "title")], 20
    for panel in panels:
        parts += _panel(panel, top)
        top += _height(panel)
    body = "\n".join(parts)
    size = f'width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}"'
    paper = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{_STYLE}</style>\n{paper}\n{body}\n</svg>\n'


def _height(panel: Panel) -> int:
    return _HEAD + _ROW * len(panel.bars) + _FOOT


def _panel(panel: Panel, top: int) -> Iterator[str]:
    most = max([panel.goal or 0, *(value for values in panel.bars.values() for value in values)]) or 1
    first, bottom = top + _HEAD, top + _HEAD + _ROW * len(panel.bars)

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * value / most

    yield _text(_LEFT, top + 24, panel.figure)
    for number, (who, values) in enumerate(panel.bars.items()):
        y, middle = first + _ROW * number, statistics.median(values)
        yield _text(_LEFT - 8, y + 15, who, anchor="end")
        yield f'<rect class="bar" x="{_LEFT}" y="{y + 3}" width="{x(middle) - _LEFT:.1f}" height="{_ROW - 6}"/>'
        yield _line(x(min(values)), y + 11, x(max(values)), y + 11, "spread")
        yield _text(max(x(max(values)), x(middle)) + 6, y + 15, _number(middle))
    yield _line(_LEFT, first, _LEFT, bottom, "axis")
    yield _line(_LEFT, bottom, _RIGHT, bottom, "axis")
    for part in (0, 0.5, 1):
        yield _text(x(part * most), bottom + 15, _number(part * most), anchor="middle")
    if panel.goal is not None:
        yield _line(x(panel.goal), first - 4, x(panel.goal), bottom, "goal")
        yield _text(x(panel.goal), first - 7, f"goal {_number(panel.goal)}", "goal-text", anchor="middle")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - no powers of ten


def _text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{y}" x2="{to_x:.1f}" y2="{to_y}"/>'
