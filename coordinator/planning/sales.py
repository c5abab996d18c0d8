"""Sales by day from a table of any layout; what is doubled, returned, missing, a total or sold out is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coordinator.planning.cells import dates, decimal_sign, numbers
from coordinator.planning.layout import TOTALS, Layout, day_number, word
from coordinator.planning.reading import Table
from heuristics.censoring import completed

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]

ALONE = "shop"  # the location where a table names none
MAX_DAYS = 20_000


@dataclass(frozen=True)
class How:
    """How what exports leave open is understood; all of it is said in the report."""

    decimal: str | None = None
    date_format: str | None = None
    first_day: np.datetime64 | None = None  # of a table whose days are numbered
    missing: Literal["zero", "days", "unknown"] = "zero"  # days without a row
    returns: Literal["net", "drop"] = "net"
    doubled: Literal["sum", "once"] | None = None  # None: doubled days once, several rows of a day summed


@dataclass
class Sales:
    """Daily sales and demand of all series; NaN where nothing is known of a day."""

    days: Days  # [T], one after another
    locations: list[str]  # [S]
    items: list[str]  # [S]
    sales: Array  # [T, S]
    demand: Array  # [T, S] sales, and what would have been sold where stock ran out
    series: pd.DataFrame  # [S] rows: what was found in each
    said: list[str]


def decimal_of(table: Table, columns: list[str], decimal: str | None) -> str:
    """The decimal sign of a table's numbers, said or found in all of them together.

    Raises:
        ValueError: one line; it cannot be told.
    """
    if decimal is not None:
        if decimal not in (".", ","):
            raise ValueError(f"--decimal must be . or , got {decimal!r}")
        return decimal
    try:
        sign, cell = decimal_sign(cell for column in columns for cell in table.texts(column))
    except ValueError as error:
        raise ValueError(f"{table.name}: {error}") from None
    if cell:
        table.said.append(f"{table.name}: decimal sign {sign!r}, as in {cell!r}")
    return sign


def sales_of(table: Table, layout: Layout, how: How) -> Sales:
    """Clean a table of sales.

    Raises:
        ValueError: one line; a cell cannot be read, or could be read in two ways.
    """
    rows = _rows(table, layout, how)
    rows = _without_totals(table, rows)
    rows = _without_doubled_days(table, rows, how)
    return _by_day(table, rows, how)


def _rows(table: Table, layout: Layout, how: How) -> pd.DataFrame:
    """Columns day, location, item, quantity, and available where it is told; no row where a cell is empty."""
    cells, roles = table.cells, layout.roles
    if layout.form == "days":
        return _of_days(table, layout, how)
    values = layout.values or [roles["quantity"]]
    sold_out = [roles["available"]] if "available" in roles else []
    decimal = decimal_of(table, values + sold_out, how.decimal)
    texts = cells[roles["date"]]
    total = np.zeros(len(cells), dtype=bool)
    if not pd.api.types.is_datetime64_any_dtype(texts.dtype):
        total = texts.map(_is_total).to_numpy(dtype=bool)
        if total.any():
            table.said.append(f"{table.name}: {total.sum()} total rows left out, such as {str(texts[total].iloc[0])!r}")
            cells = cells[~total].reset_index(drop=True)
    days, form = dates(cells[roles["date"]], how.date_format, f"{table.name}, column {roles['date']!r}")
    table.said.append(f"{table.name}: dates as {form}")
    place = _names(cells, roles.get("location"), ALONE)
    if layout.form == "items":
        table.said.append(f"{table.name}: a column per item, {len(values)} of them")
        parts = [
            pd.DataFrame({"day": days, "location": place, "item": pd.Categorical([name] * len(days), values)}).assign(
                quantity=numbers(cells[name], decimal, f"{table.name}, column {name!r}")
            )
            for name in values
        ]
        whole: pd.DataFrame = pd.concat(parts, ignore_index=True).dropna(subset=["quantity"])
        return whole
    (column,) = values
    found = pd.DataFrame({"day": days, "location": place, "item": _names(cells, roles.get("item"), "unit")})
    found["quantity"] = numbers(cells[column], decimal, f"{table.name}, column {column!r}")
    if sold_out:
        found["available"] = numbers(cells[sold_out[0]], decimal, f"{table.name}, column {sold_out[0]!r}")
    table.said.append(f"{table.name}: " + ", ".join(f"{role} from {name!r}" for role, name in roles.items()))
    ignored = [str(name) for name in table.cells if name not in roles.values()]
    if ignored:
        table.said.append(f"{table.name}: columns {', '.join(map(repr, ignored[:8]))} are not used")
    if np.isnat(days).any():
        row = int(np.isnat(days).argmax()) + 1
        raise ValueError(
            f"{table.name}, column {roles['date']!r}, row {row} holds no date: remove the row or fill it in"
        )
    blank = np.isnan(found["quantity"].to_numpy())
    if blank.any():
        table.said.append(f"{table.name}: {blank.sum():,} rows with an empty {column!r} count as days without a row")
    told: pd.DataFrame = found.loc[~blank]
    return told


def _of_days(table: Table, layout: Layout, how: How) -> pd.DataFrame:
    cells, roles = table.cells, layout.roles
    if "item" not in roles:
        raise ValueError(f"{table.name} has a column per day and none that names the item: give --column item=NAME")
    counted = [day_number(column) for column in layout.values]
    if all(number is not None for number in counted):
        if how.first_day is None:
            first = layout.values[0]
            raise ValueError(
                f"{table.name}: days are numbered from {first!r} on: give --first-day 2011-01-29 or the like"
            )
        days = how.first_day + np.array(counted, dtype=int) - min(number for number in counted if number is not None)
        table.said.append(f"{table.name}: a column per day, numbered from {how.first_day} on")
    else:
        days, form = dates(pd.Series(layout.values), how.date_format, f"{table.name}, the header")
        table.said.append(f"{table.name}: a column per day, dates as {form}")
    decimal = decimal_of(table, layout.values, how.decimal)
    held = [numbers(cells[column], decimal, f"{table.name}, column {column!r}") for column in layout.values]
    quantity = np.stack(held, axis=1)  # [rows, days]
    rows, columns = np.nonzero(~np.isnan(quantity))
    place, item = _names(cells, roles.get("location"), ALONE), _names(cells, roles["item"], "unit")
    return pd.DataFrame(
        {
            "day": days[columns],
            "location": pd.Categorical.from_codes(place.codes[rows], place.categories),
            "item": pd.Categorical.from_codes(item.codes[rows], item.categories),
            "quantity": quantity[rows, columns],
        }
    )


def _names(cells: pd.DataFrame, column: str | None, otherwise: str) -> pd.Categorical:
    """Names as they are; numbers of a typed file without a point."""
    if column is None:
        return pd.Categorical.from_codes(np.zeros(len(cells), dtype=np.int8), pd.Index([otherwise], dtype=object))
    codes, found = pd.factorize(cells[column])
    written = [f"{name:g}" if isinstance(name, float) and name.is_integer() else str(name) for name in found]
    return pd.Categorical.from_codes(codes, pd.Index(written, dtype=object))


def _is_total(cell: object) -> bool:
    return word(str(cell).split(":")[0]) in TOTALS or str(cell).split(" ")[0].casefold().strip(":") in TOTALS


def _without_totals(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    """Without series that are called a total, and without an item that is the sum of the others on every day."""
    total = np.zeros(len(rows), dtype=bool)
    for column in ("location", "item"):
        named = [name for name in rows[column].cat.categories if _is_total(name)]
        if named:
            total |= rows[column].isin(named).to_numpy()
            table.said.append(f"{table.name}: {column} {named[0]!r} is a total and left out")
    return rows[~total]


def _without_doubled_days(table: Table, rows: pd.DataFrame, how: How) -> pd.DataFrame:
    """Days whose rows are all there twice, as of an export appended to itself, count once; else rows are summed."""
    key = ["day", "location", "item"]
    several = rows.duplicated(key, keep=False).to_numpy()
    if not several.any():
        return rows
    twin = rows.duplicated([*key, "quantity"], keep="first").to_numpy()
    by_day = pd.DataFrame({"day": rows["day"].to_numpy(), "twin": twin}).groupby("day")["twin"].agg(["sum", "size"])
    doubled = by_day.index[2 * by_day["sum"] == by_day["size"]]
    if how.doubled is None and len(doubled) * 10 > len(by_day) > 1:
        raise ValueError(
            f"{table.name}: on {len(doubled)} of {len(by_day)} days every row is there twice, such as "
            f"{pd.Timestamp(doubled[0]).date()}: give --doubled once if that is a mistake, --doubled sum if it is not"
        )
    again = np.zeros(len(rows), dtype=bool)
    if how.doubled == "once":
        again = twin
        table.said.append(f"{table.name}: {again.sum():,} rows that are there twice count once")
    elif how.doubled is None and len(doubled):
        again = twin & rows["day"].isin(doubled).to_numpy()
        named = ", ".join(str(pd.Timestamp(day).date()) for day in doubled[:5])
        table.said.append(f"{table.name}: {len(doubled)} days are there twice and count once: {named}")
    rows = rows[~again]
    if left := int(rows.duplicated(key).sum()):
        table.said.append(f"{table.name}: {left:,} further rows of a day, location and item are summed")
    return rows


def _by_day(table: Table, rows: pd.DataFrame, how: How) -> Sales:
    if not len(rows):
        raise ValueError(f"{table.name} holds no sales")
    quantity = rows["quantity"].to_numpy()
    back = quantity < 0
    if back.any():
        done = "netted against the day's sales" if how.returns == "net" else "left out"
        table.said.append(f"{table.name}: {back.sum():,} returns of {-quantity[back].sum():,.10g} units are {done}")
    first, last = rows["day"].min().to_datetime64(), rows["day"].max().to_datetime64()
    days = np.arange(first.astype("datetime64[D]"), last.astype("datetime64[D]") + 1)
    if len(days) > MAX_DAYS:
        raise ValueError(f"{table.name} reaches from {days[0]} to {days[-1]}: is --date-format right?")
    place, item = rows["location"].cat, rows["item"].cat
    code = place.codes.to_numpy().astype(np.int64) * len(item.categories) + item.codes.to_numpy()
    present, series = np.unique(code, return_inverse=True)
    shape = (len(days), len(present))
    cell = (rows["day"].to_numpy().astype("datetime64[D]") - days[0]).astype(np.int64) * shape[1] + series

    def summed(values: Array, where: NDArray[np.bool_] | slice = slice(None)) -> Array:
        total = np.bincount(cell[where], values[where], shape[0] * shape[1])
        return np.asarray(total.reshape(shape), dtype=np.float64)

    told = summed(np.ones(len(rows))) > 0
    sales = summed(quantity, slice(None) if how.returns == "net" else ~back)
    below = np.minimum(sales, 0.0)
    if below.any():
        table.said.append(f"{table.name}: on {(below < 0).sum():,} days more came back than was sold; they count 0")
    sales = np.maximum(sales, 0.0)
    closed = np.asarray(~told.any(1))
    _say_missing(table, days, told, closed, how)
    sales[~told if how.missing == "unknown" else closed & (how.missing == "days")] = np.nan
    demand, sold_out = sales, np.zeros(shape, dtype=bool)
    if "available" in rows:
        left = rows["available"].to_numpy()
        seen = ~np.isnan(left)
        sold_out = told & (summed(np.where(seen, left, 1.0)) <= 0) & (summed(seen.astype(float)) > 0)
        demand = _uncensored(table, sales, sold_out)
    names = [divmod(int(one), len(item.categories)) for one in present]
    locations = [str(place.categories[one]) for one, _ in names]
    items = [str(item.categories[one]) for _, one in names]
    found = {
        "location": locations,
        "item": items,
        "first_sale": [str(days[one]) if any_sale else "" for one, any_sale in _first(sales)],
        "mean": np.nanmean(demand, axis=0),
        "days_without_a_row": (~told).sum(0),
        "days_without_sales": (sales == 0).sum(0),
        "returns": np.bincount(series[back], minlength=len(present)),
        "rows_of_the_same_day": summed(np.ones(len(rows))).clip(1).sum(0).astype(int) - len(days),
        "days_out_of_stock": sold_out.sum(0),
        "estimated_lost": np.nansum(demand - sales, axis=0),
    }
    return Sales(days, locations, items, sales, demand, pd.DataFrame(found), table.said)


def _uncensored(table: Table, sales: Array, sold_out: NDArray[np.bool_]) -> Array:
    """Demand [days, series]: sales, but for days that ran out of stock."""
    demand = sales.copy()
    for series in np.flatnonzero(sold_out.any(0)):
        known = ~np.isnan(sales[:, series])
        demand[known, series] = completed(sales[known, series], sold_out[known, series])
    table.said.append(
        f"{table.name}: {sold_out.sum():,} days ran out of stock; what would have been sold is estimated "
        f"(Kaplan-Meier): {np.nansum(demand - sales):,.10g} units more"
    )
    return demand


def _first(sales: Array) -> list[tuple[int, bool]]:
    sold = np.nan_to_num(sales) > 0
    return list(zip(sold.argmax(0).tolist(), (sold.sum(0) > 0).tolist(), strict=True))


def _say_missing(table: Table, days: Days, told: NDArray[np.bool_], closed: NDArray[np.bool_], how: How) -> None:
    """How many days have no row, and how that is understood."""
    absent = ~told
    table.said.append(f"{table.name}: {told.shape[1]} series of {len(days)} days, {days[0]} to {days[-1]}")
    if not absent.any():
        return
    count = f"{absent.sum():,} of {absent.size:,} days of a series have no row"
    meant = {"zero": "count as days without sales", "days": "count as days without sales", "unknown": "are unknown"}
    table.said.append(f"{table.name}: {count} and {meant[how.missing]} (--missing zero|days|unknown)")
    if closed.any():
        named = ", ".join(map(str, days[closed][:5])) + (", ..." if closed.sum() > 5 else "")
        weekdays = np.bincount((days[closed].astype(int) + 3) % 7, minlength=7)
        usual = "" if weekdays.max() < 0.6 * closed.sum() or closed.sum() < 4 else ", most of them the same weekday"
        meant = {"zero": "they count 0", "days": "they are unknown", "unknown": "they are unknown"}
        table.said.append(
            f"{table.name}: on {closed.sum()} days nothing at all has a row ({named}){usual}; {meant[how.missing]}"
        )
