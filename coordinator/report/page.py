"""What a report is made of, and how it becomes one html file that needs nothing else.

Pictures are matplotlib's svg, inlined: some 10 kB each, where plotly.js alone is 4 MB. Their colours are CSS variables,
so that they follow a reader's dark or light scheme; their words are text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.version import program_version

COLOURS = 10  # of series, as the page names them: c0 to c9


class _Block:
    @property
    def kind(self) -> str:
        """What the page calls it."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Text(_Block):
    """A paragraph."""

    text: str
    role: str = ""  # lead, note or warning


@dataclass(frozen=True)
class Figure(_Block):
    """A picture with its title, and one line that says what is to be seen."""

    title: str
    reading: str
    svg: Svg


@dataclass(frozen=True)
class Entry:
    """A line of a legend."""

    label: str
    colour: str  # a CSS variable of the page, such as c0 or ink
    line: str = "solid"  # or dashed, dotted, dashdot


@dataclass(frozen=True)
class Legend(_Block):
    """What colours mean, once for all pictures below."""

    entries: Sequence[Entry]


@dataclass(frozen=True)
class Cell:
    """One cell of a table: what is read, what is sorted by, a small second line, a background, words."""

    text: str
    value: float | None = None
    note: str = ""
    tint: str = ""
    words: bool = False  # a sentence, which may take several lines


@dataclass(frozen=True)
class Table(_Block):
    """A table; its rows are cells by column, and the first cell of a row is its heading."""

    caption: str
    rows: Sequence[Mapping[str, Cell]]
    reading: str = ""
    heat: bool = False
    sortable: bool = False


@dataclass(frozen=True)
class Facts(_Block):
    """Names and values."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Grid(_Block):
    """Blocks side by side where the screen is wide enough."""

    blocks: Sequence[Block]
    wide: bool = False  # for tables


@dataclass(frozen=True)
class Fold(_Block):
    """What is shown when it is asked for."""

    summary: str
    blocks: Sequence[Block]
    open: bool = False


Block = Text | Figure | Legend | Table | Facts | Grid | Fold


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """What links point to."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


@dataclass(frozen=True)
class Page:
    """A whole report."""

    title: str
    lead: Sequence[Block]
    sections: Sequence[Section] = field(default_factory=tuple)

    @property
    def footer(self) -> str:
        """Who wrote the page."""
        return f"Written by firmwide {program_version()}. This file needs no network and no other file."

    def html(self) -> str:
        """The page as one file."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        folder = FileSystemLoader(Path(__file__).parent)
        templates = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
        return templates.get_template("report.html").render(page=self)


class Svg(str):
    """Markup that we drew ourselves; everything else is escaped."""

    def __html__(self) -> str:
        """Jinja asks what may stand as it is."""
        return self


def number(value: float | None, digits: int = 1, sign: str = "") -> str:
    """A number for people; nothing where there is none."""
    return "" if value is None or not math.isfinite(value) else f"{value:{sign},.{digits}f}"


def plus_minus(value: float, spread: float, digits: int = 1, sign: str = "") -> str:
    """A number and its spread, where that is known."""
    return number(value, digits, sign) + (f" ± {number(spread, digits)}" if math.isfinite(spread) else "")


def numeric(value: float | None, digits: int = 1, note: str = "", sign: str = "") -> Cell:
    """A cell that is sorted by its value; empty where there is none."""
    if value is None or not math.isfinite(value):
        return Cell("")
    return Cell(number(value, digits, sign), value, note)


def listed(names: Sequence[str]) -> str:
    """Names as words: a, b and c."""
    return " and ".join(([", ".join(names[:-1])] if len(names) > 1 else []) + list(names[-1:]))
