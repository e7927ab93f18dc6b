"""Line charts as SVG, written by hand: any browser shows them, and no package is needed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from dedup.arguments import path_of
from dedup.errors import DedupError
from dedup.files import check_folder, output_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

_COLOURS = (
    "#000000",
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#999999",
    "#882255",
    "#ddcc77",
)
"""Distinguishable with any colour vision (Okabe and Ito 2008; the last two by Tol)."""

_WIDTH, _HEIGHT = 720, 440
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 40, 190, 52
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; `points` are (x, y) in the chart's units."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from `low` to `high`; what lies outside is cut off."""

    name: str
    low: float
    high: float

    def position(self, value: float) -> float:
        """Give the position of a value between low and high, in [0, 1]."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def at(self, position: float) -> float:
        """Give the value at a position in [0, 1]."""
        return self.low + position * (self.high - self.low)


def line_chart(title: str, across: Axis, up: Axis, lines: Sequence[Line]) -> str:
    """Draw lines over one pair of axes, with a legend; gives the text of an SVG file."""
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    font = 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 24, title, "start"),
        *_frame(across, up),
    ]
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [_pixels(across.position(x), up.position(y)) for x, y in line.points]
        path = "M" + " ".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""
        level, key = _TOP + 8 + 18 * number, _WIDTH - _RIGHT + 14
        parts += [
            _path(path, colour, 2, dashed=line.dashed),
            _path(f"M{key} {level}h18", colour, 2, dashed=line.dashed),
            _text(key + 24, level + 4, line.name, "start"),
        ]
    return "\n".join([*parts, "</svg>\n"])


def _pixels(across: float, up: float) -> tuple[float, float]:
    """Turn a position in the plot, both sides in [0, 1], into pixels of the image."""
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    return _LEFT + across * wide, _TOP + (1 - up) * tall


def _frame(across: Axis, up: Axis) -> list[str]:
    """Draw the grid and name the axes."""
    parts = []
    (left, bottom), (right, top) = _pixels(0, 0), _pixels(1, 1)
    for step in range(_TICKS + 1):
        position = step / _TICKS
        x, y = _pixels(position, position)
        parts += [
            _path(f"M{x:.1f} {top:.1f}V{bottom:.1f}M{left:.1f} {y:.1f}H{right:.1f}", "#dddddd", 1),
            _text(x, bottom + 18, f"{across.at(position):.3g}", "middle"),
            _text(left - 8, y + 4, f"{up.at(position):.3g}", "end"),
        ]
    middle = _text(0, 0, up.name, "middle")
    turned = f'<g transform="translate(16 {(top + bottom) / 2:.1f}) rotate(-90)">{middle}</g>'
    return [*parts, _text((left + right) / 2, _HEIGHT - 12, across.name, "middle"), turned]


def _text(x: float, y: float, content: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>'


def _path(path: str, colour: str, width: int, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dash}/>'


def chart_file(path: str | os.PathLike[str] | None) -> Callable[[Callable[[], str]], None]:
    """Check where a chart is to be written, before any work is done; gives what writes it.

    Parameters
    ----------
    path : None: there is to be no chart, and none is drawn

    Raises
    ------
    DedupError : the name does not end in .svg, or its folder is not there.
    """
    if path is None:
        return lambda _: None
    file = Path(path_of(path, "chart"))
    if file.suffix.lower() != ".svg":
        raise DedupError(f"{file}: a chart is written as SVG; let the name end in .svg")
    check_folder(file)

    def write(draw: Callable[[], str]) -> None:
        with output_file(file) as output:
            output.write(draw().encode())

    return write
