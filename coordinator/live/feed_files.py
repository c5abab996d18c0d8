"""The csv files of a fed firm: observations and traffic in, orders and recommendations out.

in/period-12.csv    stock_point[,product],on_hand,inventory_position,arriving_1,..,arriving_A,
                    backlog,asked,handed,demand,sales
in/traffic-12.csv   stock_point,segment,traffic; only where customers choose
out/orders-12.csv   stock_point,product,quantity
out/precedence-12.csv  stock_point,customer,product,units; only where allocation is learned
out/shown-12.csv    stock_point,segment,product,exposure; only where customers choose
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from coordinator.live.layout import FirmLayout
from coordinator.live.overrides import MOST, shortened
from coordinator.storage.files import write_atomically
from departments.serving.numpy_policy import Array
from environment.fields import either

_LARGEST = 16 * 2**20  # bytes of a file
_SPARE = 1000  # lines that a file may have beyond two for each row, blank ones for example
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
        for column in columns:
            if column != "inventory_position" and row[column] < 0:
                raise ValueError(f"{place}: {column} must be at least 0, got {row[column]:g}")
            if column in ("backlog", "demand", "sales") and row[column] and key[0] not in layout.customer_facing:
                raise ValueError(f"{place}: {column} {row[column]:g} where no customers buy; leave 0")
    return found


def check_sales(
    tick: int, layout: FirmLayout, seen: Mapping[str, Array], earlier: Array | None, sold: Array | None
) -> None:
    """What customers got must have been asked for, in the period or before.

    Args:
        tick: the period.
        layout: of the firm.
        seen: its observations by column, [N, K].
        earlier: [C, K] units owed to customers from the period before; None where unmet demand is lost.
        sold: [N, K] whether customers can buy there; None: everything is sold where customers buy.

    Raises:
        ValueError: one line that names file, row and cure.
    """
    for c, point in enumerate(layout.customer_facing):
        n = layout.points.index(point)
        for k, product in enumerate(layout.products):
            place = f"period-{tick}.csv, {point}{f' {product}' if len(layout.products) > 1 else ''}"
            sales, demand, backlog = (seen[column][n, k] for column in ("sales", "demand", "backlog"))
            owed = 0.0 if earlier is None else earlier[c, k]
            if sold is not None and not sold[n, k] and (sales or demand):
                raise ValueError(f"{place}: demand {demand:g}, sales {sales:g} of what is not sold there; leave 0")
            if sales > demand + owed:
                raise ValueError(
                    f"{place}: sales {sales:g} are more than the demand {demand:g} and {owed:g} that were owed before"
                )
            if earlier is None and backlog:
                raise ValueError(f"{place}: backlog {backlog:g}, but unmet demand is lost in this firm; leave 0")


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
    expected, most = [*names, *columns], 2 * math.prod(map(len, names.values())) + _SPARE
    reader = csv.reader(io.StringIO(_plain_text(path)))
    header, cells = None, Cells()
    try:
        for row in reader:
            line = reader.line_num
            if line > most:
                raise ValueError(f"{path.name} has more than {most:,} lines; it must hold one period")
            if header is None:
                header = [cell.strip() for cell in row]
                if sorted(header) != sorted(expected):
                    got = shortened(",".join(header), 200)
                    raise ValueError(f"{path.name}: the header must be {','.join(expected)}, got {got}")
            elif any(row):
                _add_row(cells, row, header, names, columns, f"{path.name} line {line}")
    except csv.Error as error:
        raise ValueError(f"{path.name} is not a csv file in UTF-8: {error}") from None
    if header is None:
        raise ValueError(f"{path.name} is empty: the header must be {','.join(expected)}")
    _check_complete(path, cells, wanted if wanted is not None else _product(list(names.values())))
    return cells


def _add_row(
    cells: Cells,
    row: list[str],
    header: list[str],
    names: Mapping[str, Sequence[str]],
    columns: Sequence[str],
    where: str,
) -> None:
    if len(row) != len(header):
        raise ValueError(f"{where} has {len(row)} cells, but the header has {len(header)}")
    plain = dict(zip(header, (cell.strip() for cell in row), strict=True))
    for column, known in names.items():
        if plain[column] not in known:
            raise ValueError(f"{where}: unknown {column} {shortened(plain[column])}")
    key = tuple(plain[column] for column in names)
    if key in cells:
        raise ValueError(f"{where}: {' '.join(key)} is there twice; remove one")
    cells[key] = {column: _whole(plain[column], f"{where}: {column}") for column in columns}


def _plain_text(path: Path) -> str:
    """The text of a file that is one: a pipe would hang whoever reads it, and a device never ends."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path.name} must be a plain file")
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"{path.name} has more than {_LARGEST:,} bytes; it must hold one period")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not a csv file in UTF-8: {error}") from None


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
    """A whole number; 12.0 is one too, while 1.000 may be a thousand."""
    if not re.fullmatch(r"[+-]?[0-9]{1,12}(\.00?)?", text, re.ASCII) or abs(value := float(text)) > MOST:
        wanted = f"a whole number of at most {MOST:,}, in digits alone"
        raise ValueError(f"{where} must be {wanted}, got {shortened(text)}{either(text)}")
    return value


def write_decisions(
    feed: Path,
    tick: int,
    layout: FirmLayout,
    decisions: Mapping[str, Mapping[str, float]],
    precedence: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> None:
    """Orders, precedence and recommendations of a period; written again after a death, the same."""
    favours = [
        (name, *key.rsplit("/", 1), f"{units:g}") for name, row in precedence.items() for key, units in row.items()
    ]
    if favours:
        text = _text(("stock_point", "customer", "product", "units"), favours)
        write_atomically(feed / "out" / f"precedence-{tick}.csv", text)
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
