"""What csv files give of an episode, or as levels; refused with one line that names file, row and cure."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from environment.fields import either
from environment.firm import Firm
from environment.parts import OUTSIDE

Key = tuple[str, ...]  # the names of a row: stock point or edge, then the product

MAX_PERIODS = 100_000
MAX_QUANTITY = 1_000_000_000
_WHOLE = re.compile(r"-?[0-9]{1,18}(\.0{0,2})?")  # 1.000 may be a thousand


class Cell(NamedTuple):
    """What a row holds, and where it stands."""

    text: str
    line: int


@dataclass(frozen=True)
class Columns:
    """The shape of one kind of file: the columns that name a row, and the one that holds its value."""

    names: tuple[str, ...]
    value: str
    by_period: bool = True

    def expected(self, products: int) -> list[str]:
        """All columns a file must have."""
        return [*["period"][: self.by_period], *self.names, *["product"][: products > 1], self.value]


ORDERS = Columns(("stock_point",), "quantity")
DEMAND = Columns(("stock_point",), "quantity")
LEAD_TIMES = Columns(("from", "to"), "periods")
SUPPLIERS = Columns(("stock_point",), "supplier")
LEVELS = Columns(("stock_point",), "level", by_period=False)
INITIAL = Columns(("stock_point",), "on_hand", by_period=False)


class EpisodeFile:
    """One file, its rows keyed by period and names; values are still text."""

    def __init__(self, path: Path, columns: Columns, firm: Firm) -> None:
        """Read `path`.

        Raises:
            ValueError: one line; no csv file, or its columns, names or periods are not those of the firm.
        """
        self.path, self.columns = path, columns
        self._products = firm.products
        self._allowed: dict[str, Sequence[str]] = {
            "stock_point": firm.names,
            "from": (*firm.names, *firm.suppliers, OUTSIDE),
            "to": firm.names,
            "product": firm.products,
        }
        self.cells: dict[tuple[int, Key], Cell] = {}
        rows = self._rows()
        header = self._header(next(rows, (1, []))[1])
        for line, row in rows:
            self._add(dict(zip(header, row, strict=True)), line)
        if not self.cells:
            raise ValueError(f"{path} has no rows below its header: add them, or leave the file away")
        self.periods = 1 + max(period for period, _ in self.cells)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each row that is not empty."""
        width = 0
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file)
                for row in reader:
                    cells = [cell.strip() for cell in row]
                    if not any(cells):
                        continue
                    width = width or len(cells)
                    if len(cells) != width:
                        raise ValueError(
                            f"{self.at(reader.line_num)} has {len(cells)} cells, but the header has {width}"
                        )
                    yield reader.line_num, cells
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}") from None
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{self.path} is not a csv file in UTF-8: {error}") from None

    def _header(self, header: list[str]) -> list[str]:
        expected = self.columns.expected(len(self._products))
        listed = ",".join(expected)
        for column in header:
            if column not in {*expected, "product"}:
                raise ValueError(f"{self.path}: column {column!r} is not known; the header must be {listed}")
            if header.count(column) > 1:
                raise ValueError(f"{self.path}: column {column!r} is there twice; the header must be {listed}")
        for column in expected:
            if column not in header:
                raise ValueError(f"{self.path}: column {column!r} is missing; the header must be {listed}")
        return header

    def _add(self, row: Mapping[str, str], line: int) -> None:
        period = self.whole(row["period"], line, "period", 0, MAX_PERIODS - 1) if self.columns.by_period else 0
        for column in (*self.columns.names, "product"):
            if column in row and row[column] not in self._allowed[column]:
                known = ", ".join(self._allowed[column][:12]) + ", ..." * (len(self._allowed[column]) > 12)
                raise ValueError(f"{self.at(line)}: {column} must be one of {known}, got {row[column]!r}")
        key = (*(row[column] for column in self.columns.names), row.get("product", self._products[0]))
        if (period, key) in self.cells:
            first = self.cells[period, key].line
            raise ValueError(f"{self.at(line)}: {self._name(period, key)} stands on line {first} already; remove one")
        self.cells[period, key] = Cell(row[self.columns.value], line)

    def at(self, line: int) -> str:
        """The place of a row, for a message."""
        return f"{self.path} line {line}"

    def _name(self, period: int, key: Key) -> str:
        named = [f"period {period}"] if self.columns.by_period else []
        named += [f"{column} {value}" for column, value in zip(self.columns.names, key, strict=False)]
        return ", ".join([*named, f"product {key[-1]}"] if len(self._products) > 1 else named)

    def whole(self, text: str, line: int, column: str, least: int, most: int) -> int:
        """A whole number in a range."""
        if not _WHOLE.fullmatch(text) or not least <= int(float(text)) <= most:
            wanted = f"a whole number from {least} to {most}"
            raise ValueError(f"{self.at(line)}: {column} must be {wanted}, got {text!r}{either(text)}")
        return int(float(text))

    def value(self, period: int, key: Key, least: int, most: int) -> int:
        """The whole number of a row that must be there."""
        cell = self.cells.get((period, key))
        if cell is None:
            cure = f"add the row ({self.columns.value} 0 is a value too)" if least == 0 else "add the row"
            raise ValueError(f"{self.path} has no row for {self._name(period, key)}: {cure}")
        return self.whole(cell.text, cell.line, self.columns.value, least, most)

    def refuse_others(self, wanted: Callable[[Key], bool], reason: str, *, harmless: str | None = None) -> None:
        """Refuse rows whose names are known but have no place here, unless they hold the `harmless` value."""
        for (_, key), cell in self.cells.items():
            if not wanted(key) and cell.text != harmless:
                raise ValueError(f"{self.at(cell.line)}: {' -> '.join(key[:-1])} {reason}; remove the row")


def levels_of(path: Path, firm: Firm) -> NDArray[np.float64]:
    """Base-stock levels from a csv file with a row for every stock point (and product), [N, K] units.

    Raises:
        ValueError: one line; it cannot be read, or a row is wrong or missing.
    """
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{path} must be a plain file, with the header {','.join(LEVELS.expected(len(firm.products)))}"
        )
    file = EpisodeFile(path, LEVELS, firm)
    limits = (-MAX_QUANTITY, MAX_QUANTITY)
    rows = [[file.value(0, (name, product), *limits) for product in firm.products] for name in firm.names]
    return np.array(rows, dtype=float)
