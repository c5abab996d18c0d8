"""The csv files of a fed firm: observations and traffic in, orders and recommendations out.

in/period-12.csv    stock_point[,product],on_hand,inventory_position,arriving_1,..,arriving_A,
                    backlog,asked,handed,demand,sales
in/traffic-12.csv   stock_point,segment,traffic; only where customers choose
out/orders-12.csv   stock_point,product,quantity
out/shown-12.csv    stock_point,segment,product,exposure; only where customers choose
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coordinator.live.layout import FirmLayout
from coordinator.storage.files import write_atomically
from departments.serving.numpy_policy import Array

MOST = 1_000_000_000  # units
ARRIVALS = 6  # periods of arrival that are told apart, the last one and later together

Cells = dict[tuple[str, ...], dict[str, float]]


def observation_columns(arrivals: int) -> list[str]:
    """The value columns of a period's observations."""
    arriving = [f"arriving_{number + 1}" for number in range(arrivals)]
    return ["on_hand", "inventory_position", *arriving, "backlog", "asked", "handed", "demand", "sales"]


def read_observations(path: Path, layout: FirmLayout, arrivals: int) -> dict[str, Array]:
    """A period's observations by column, [N, K] units each.

    Raises:
        FileNotFoundError: it has not come yet.
        ValueError: one line that names file, row and cure.
    """
    several = len(layout.products) > 1
    names = {"stock_point": layout.points} | ({"product": layout.products} if several else {})
    columns = observation_columns(arrivals)
    cells = _cells(path, names, columns)
    keys = [(point, product) if several else (point,) for point in layout.points for product in layout.products]
    shape = (len(layout.points), len(layout.products))
    found = {column: np.array([cells[key][column] for key in keys]).reshape(shape) for column in columns}
    for key, row in cells.items():
        place = f"{path.name}, {' '.join(key)}"
        if row["sales"] > row["demand"] and row["backlog"] == 0 and key[0] not in layout.customer_facing:
            raise ValueError(f"{place}: sales {row['sales']:g} where no customers buy; leave 0")
        for column in columns:
            if column != "inventory_position" and row[column] < 0:
                raise ValueError(f"{place}: {column} must be at least 0, got {row[column]:g}")
    return found


def read_traffic(path: Path, layout: FirmLayout) -> Array:
    """Customers who came, by segment, [S].

    Raises:
        FileNotFoundError: it has not come yet.
        ValueError: one line that names file, row and cure.
    """
    pairs = [tuple(segment.split("/")) for segment in layout.segments]
    names = {"stock_point": [point for point, _ in pairs], "segment": [segment for _, segment in pairs]}
    cells = _cells(path, names, ["traffic"], pairs)
    return np.array([cells[pair]["traffic"] for pair in pairs])


def _cells(
    path: Path, names: Mapping[str, Sequence[str]], columns: Sequence[str], wanted: Sequence[Any] | None = None
) -> Cells:
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path.name} is not a csv file in UTF-8: {error}") from None
    expected = [*names, *columns]
    header = [cell.strip() for cell in rows[0]] if rows else []
    if sorted(header) != sorted(expected):
        raise ValueError(f"{path.name}: the header must be {','.join(expected)}, got {','.join(header)!r}")
    cells: Cells = {}
    for line, row in ((line, row) for line, row in enumerate(rows[1:], 2) if any(row)):
        if len(row) != len(header):
            raise ValueError(f"{path.name} line {line} has {len(row)} cells, but the header has {len(header)}")
        plain = dict(zip(header, (cell.strip() for cell in row), strict=True))
        for column, known in names.items():
            if plain[column] not in known:
                raise ValueError(f"{path.name} line {line}: unknown {column} {plain[column]!r}")
        key = tuple(plain[column] for column in names)
        if key in cells:
            raise ValueError(f"{path.name} line {line}: {' '.join(key)} is there twice; remove one")
        cells[key] = {column: _whole(plain[column], f"{path.name} line {line}: {column}") for column in columns}
    _check_complete(path, cells, wanted if wanted is not None else _product(list(names.values())))
    return cells


def _check_complete(path: Path, cells: Cells, wanted: Sequence[tuple[str, ...]]) -> None:
    for key in wanted:
        if key not in cells:
            raise ValueError(f"{path.name} has no row for {' '.join(key)}: add it, with zeros where nothing happened")


def _product(names: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = [()]
    for known in names:
        keys = [(*key, name) for key in keys for name in known]
    return keys


def _whole(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= MOST or value != int(value):
        raise ValueError(f"{where} must be a whole number of at most {MOST:,}, got {text!r}")
    return value


def write_decisions(feed: Path, tick: int, layout: FirmLayout, decisions: Mapping[str, Mapping[str, float]]) -> None:
    """Orders and recommendations of a period; written again after a death, the same."""
    orders = [(name, product, f"{decisions[name][product]:g}") for name in layout.points for product in layout.products]
    write_atomically(feed / "out" / f"orders-{tick}.csv", _text(("stock_point", "product", "quantity"), orders))
    if layout.recommends is None:
        return
    shown = []
    for segment in layout.segments:
        for product in layout.products:
            share = decisions[layout.recommends].get(f"{segment}/{product}", 0.0)
            shown.append((*segment.split("/"), product, f"{share:g}"))
    columns = ("stock_point", "segment", "product", "exposure")
    write_atomically(feed / "out" / f"shown-{tick}.csv", _text(columns, shown))


def _text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()
