"""The pictures of a report: lines with bands, and dots by row, as small inline svg in the colours of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.report.page import COLOURS, Figure, Svg

Vector = NDArray[np.float64]
_DASHES = {"solid": "-", "dashed": "--", "dotted": ":", "dashdot": "-."}
_TOKENS = {"ink": "#0a0001", "muted": "#0a0002", "grid": "#0a0003"} | {f"c{i}": f"#0b000{i}" for i in range(COLOURS)}
_GRID = ("axes.edgecolor", "grid.color", "xtick.color", "ytick.color")
_MUTED = ("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
_STYLE: dict[Any, Any] = {
    **dict.fromkeys((f"{axis}tick.{kind}.size" for axis in "xy" for kind in ("major", "minor")), 0),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.formatter.useoffset", "text.parse_math"), False),
    **dict.fromkeys(("axes.grid", "axes.axisbelow", "path.simplify"), True),
    **dict.fromkeys(_GRID, _TOKENS["grid"]),
    **dict.fromkeys(_MUTED, _TOKENS["muted"]),
    **{"text.color": _TOKENS["ink"], "svg.fonttype": "none", "font.size": 10.5, "grid.linewidth": 0.7},
}


@dataclass(frozen=True)
class Line:
    """A line over x, perhaps with a band around it."""

    colour: str  # of the page: ink, muted, c0 ... c9
    x: Vector
    y: Vector
    low: Vector | None = None
    high: Vector | None = None
    line: str = "solid"  # or dashed, dotted, dashdot
    marks: bool = False  # a dot at every point


@dataclass(frozen=True)
class Dots:
    """Single values on one row, and their mean."""

    label: str
    colour: str
    values: Vector


def lines(
    title: str,
    reading: str,
    series: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    levels: Sequence[tuple[float, str]] = (),
    marks: Sequence[tuple[float, str]] = (),
    size: tuple[float, float] = (4.6, 2.9),
    log: bool = False,
    limits: tuple[float, float] | None = None,
    about: str = "",
) -> Figure:
    """Lines with bands.

    Args:
        title: of the picture.
        reading: one line that says what is to be seen.
        series: drawn in this order.
        x_label: with the unit.
        y_label: with the unit.
        levels: horizontal lines, as (y, line style).
        marks: vertical lines, as (x, line style).
        size: inches; the page scales the picture to its column.
        log: whether y is on a logarithmic scale.
        limits: of y; what lies beyond is cut off.
        about: instead of the title, for a reader who does not see the picture.
    """
    with _axes(size) as axes:
        for level, line in levels:
            axes.axhline(level, color=_TOKENS["ink"], linestyle=_DASHES[line], linewidth=1.1)
        for at, line in marks:
            axes.axvline(at, color=_TOKENS["muted"], linestyle=_DASHES[line], linewidth=1.1)
        for one in series:
            style = {"color": _TOKENS[one.colour], "linestyle": _DASHES[one.line], "marker": "o" if one.marks else None}
            axes.plot(one.x, one.y, linewidth=1.7, markersize=3, **style)
            if one.low is not None and one.high is not None and np.isfinite(one.low).all():
                axes.fill_between(one.x, one.low, one.high, color=style["color"], alpha=0.17, linewidth=0)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the usual one writes for TeX
            axes.yaxis.set_minor_formatter(lambda *_: "")
        if limits is not None:
            axes.set_ylim(*limits)
        axes.set_ylabel(y_label)
        return _drawn(title, reading, axes, x_label, about or title)


def dots(title: str, reading: str, rows: Sequence[Dots], x_label: str, *, zero: bool = True, about: str = "") -> Figure:
    """Every value as a dot on the row of its name, their mean as a bar; `zero` marks where nothing is gained."""
    with _axes((4.6, 0.9 + 0.31 * len(rows))) as axes:
        if zero:
            axes.axvline(0.0, color=_TOKENS["ink"], linewidth=1.0)
        for place, row in enumerate(rows):
            colour, count = _TOKENS[row.colour], len(row.values)
            height = place + (np.linspace(-0.2, 0.2, count) if count > 1 else np.zeros(count))
            axes.plot(row.values, height, "o", color=colour, markersize=5, alpha=0.7, markeredgewidth=0)
            if count > 1:
                mean = float(row.values.mean())
                axes.plot([mean, mean], [place - 0.36, place + 0.36], color=colour, linewidth=2.4)
        axes.set_yticks(range(len(rows)), [row.label for row in rows], color=_TOKENS["ink"])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.grid(visible=False, axis="y")
        return _drawn(title, reading, axes, x_label, about or title)


def bars(title: str, reading: str, rows: Sequence[tuple[str, float]], x_label: str) -> Figure:
    """A bar to the right or left of 0 on the row of each name."""
    with _axes((7.2, 0.9 + 0.31 * len(rows))) as axes:
        values = [value for _, value in rows]
        colours = [_TOKENS["c0" if value >= 0 else "c1"] for value in values]
        axes.barh(range(len(rows)), values, color=colours, height=0.62)
        axes.axvline(0.0, color=_TOKENS["ink"], linewidth=1.0)
        axes.set_yticks(range(len(rows)), [name for name, _ in rows], color=_TOKENS["ink"])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.grid(visible=False, axis="y")
        return _drawn(title, reading, axes, x_label, title)


@contextmanager
def _axes(size: tuple[float, float]) -> Iterator[Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    with mpl.rc_context(_STYLE):
        yield Drawing(figsize=size, layout="constrained").add_subplot()


def _drawn(title: str, reading: str, axes: Any, x_label: str, about: str) -> Figure:  # noqa: ANN401
    """The picture as one element, without what a page does not need."""
    import matplotlib as mpl

    axes.set_xlabel(x_label)
    content, alt = io.StringIO(), f"{about}. {reading}"
    with mpl.rc_context({"svg.hashsalt": alt}):
        axes.figure.savefig(content, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = content.getvalue()
    if (box := re.search(r'viewBox="[^"]*"', drawn)) is None:
        raise RuntimeError("matplotlib wrote an svg without a viewBox")
    drawn = drawn[drawn.index("<defs>") :]
    drawn = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*</defs>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r' font-family: [^;"]*;| transform="rotate\(-0 [^"]*"', "", drawn)
    drawn = re.sub(r' (d|x|y)="[^"]*"', lambda found: re.sub(r"(\.\d)\d+", r"\1", found[0]), drawn)
    drawn = re.sub(r"\s+", " ", drawn.replace("xlink:href", "href")).replace("> <", "><")
    for name, token in _TOKENS.items():
        drawn = drawn.replace(token, f"var(--{name})")
    return Figure(title, reading, Svg(f'<svg role="img" aria-label="{escape(alt)}" {box[0]}>{drawn.strip()}'))
