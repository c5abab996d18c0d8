"""Master data from tables: stock, suppliers with lead times and multiples, costs and prices, receipts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from coordinator.planning.cells import NOTHING, dates, numbers
from coordinator.planning.layout import Layout
from coordinator.planning.reading import Table
from coordinator.planning.sales import ALONE, How, decimal_of
from environment.calendars import weekdays

_OTHERWISE: dict[str, Any] = {"law": "", "order_multiple": 1.0, "min_order": 0.0}  # where no table tells
_TOLD: dict[str, Any] = {"review_days": "", "review_period": 1.0, "closed_days": ""}  # kept if told, as are:
_TOLD |= dict.fromkeys(("load", "order_cost", "joint_order_cost"), np.nan)
_OF_STOCK = ("capacity", "closed_days", "shelf_life", "waste_cost")  # columns of stock, likewise
_PLACES = {"order_cost": "supply", "joint_order_cost": "supply", "shelf_life": "stock", "waste_cost": "stock"}
AMOUNTS = (
    *_PLACES,
    *("on_hand", "on_order", "capacity", "load", "lead_time", "order_multiple", "min_order", "review_period"),
    *("cost", "price", "unit", "fill_rate"),
)


def master_of(table: Table, layout: Layout, how: How) -> pd.DataFrame:
    """A table of stock, supply or items: names as text, amounts as numbers, by roles.

    Raises:
        ValueError: one line that names column and row.
    """
    roles = layout.roles
    if lost := [role for role, kind in _PLACES.items() if role in roles and layout.kind != kind]:
        raise ValueError(
            f"{table.name}, column {roles[lost[0]]!r}: {lost[0]} belongs in the table of {_PLACES[lost[0]]}, and "
            f"this one is of {layout.kind}: move it there, or call it otherwise"
        )
    amounts = [role for role in AMOUNTS if role in roles]
    decimal = decimal_of(table, [roles[role] for role in amounts], how.decimal)
    found = pd.DataFrame(
        {role: table.cells[column].astype(str) for role, column in roles.items() if role not in (*AMOUNTS, "date")}
    )
    for role in amounts:
        where = f"{table.name}, column {roles[role]!r}"
        found[role] = numbers(table.cells[roles[role]], decimal, where)
        if (found[role] < 0).any() and role != "on_hand":
            row = int((found[role] < 0).to_numpy().argmax()) + 1
            raise ValueError(f"{where}, row {row} must be at least 0, got {found[role][row - 1]:g}")
    if layout.kind == "stock" and "location" not in found:
        found["location"] = ALONE
    key = {"stock": ["location", "item"], "supply": ["item", "from", "to"], "items": ["item"]}[layout.kind]
    found = found.assign(**{name: ALONE for name in key if name not in found})
    twice = found.duplicated(key)
    if twice.any():
        named = " ".join(found.loc[twice, key].iloc[0])
        raise ValueError(f"{table.name}: {named} is there twice: remove one of the rows")
    if layout.kind == "supply" and (late := (found["lead_time"] % 1 != 0) | (found["lead_time"] < 0)).any():
        row = int(late.to_numpy().argmax()) + 1
        raise ValueError(
            f"{table.name}, column {roles['lead_time']!r}, row {row} must be a whole number of days, got "
            f"{found['lead_time'][row - 1]:g}"
        )
    for column, most in (("review_days", 7), ("closed_days", 6)):
        if column in found:
            found[column] = _weekdays(found[column], f"{table.name}, column {roles[column]!r}", most)
    table.said.append(
        f"{table.name}: {layout.kind}, " + ", ".join(f"{role} from {name!r}" for role, name in roles.items())
    )
    return found


def _weekdays(texts: pd.Series, where: str, most: int) -> list[str]:
    """Weekdays as they are written, at most so many in a row."""
    found = ["" if text.strip().casefold() in NOTHING else text for text in texts]
    for row, text in enumerate(found, 1):
        try:
            days = weekdays(text)
        except ValueError as error:
            raise ValueError(f"{where}, row {row}{error}") from None
        if len(days) > most:
            raise ValueError(f"{where}, row {row} must be {most} weekdays at most, got {text!r}")
    return found


def calendar_of(table: Table, layout: Layout, how: How) -> pd.DataFrame:
    """When somebody is closed: location (or supplier; '': all), date.

    Raises:
        ValueError: one line; a date cannot be read.
    """
    column = layout.roles["date" if "date" in layout.roles else "holiday"]
    days, form = dates(table.cells[column], how.date_format, f"{table.name}, column {column!r}")
    place = layout.roles.get("location") or layout.roles.get("from")
    names = [""] * len(days) if place is None else table.cells[place].astype(str)
    found = pd.DataFrame({"location": names, "date": days.astype("datetime64[D]").astype(str)})[~np.isnat(days)]
    found["location"] = ["" if name.strip().casefold() in NOTHING else name for name in found["location"]]
    table.said.append(f"{table.name}: calendar, {len(found)} closed days, dates as {form}")
    return found.drop_duplicates().reset_index(drop=True)


def receipts_of(table: Table, layout: Layout, how: How) -> pd.DataFrame:
    """Lead times from dated receipts: item, from, to, lead_time (mean days), law (`days:count ...`).

    Raises:
        ValueError: one line; a date cannot be read, or something arrived before it was ordered.
    """
    roles = layout.roles
    ordered, form = dates(table.cells[roles["ordered"]], how.date_format, f"{table.name}, column {roles['ordered']!r}")
    received, _ = dates(table.cells[roles["received"]], how.date_format or form, f"{table.name}, {roles['received']!r}")
    taken = (received - ordered).astype(float)
    taken[np.isnat(ordered) | np.isnat(received)] = np.nan
    if (taken < 0).any():
        row = int((taken < 0).argmax())
        raise ValueError(
            f"{table.name}, row {row + 1} was received {received[row]}, before it was ordered {ordered[row]}"
        )
    key = [role for role in ("item", "from", "to") if role in roles]
    rows = pd.DataFrame({role: table.cells[roles[role]].astype(str) for role in key}).assign(days=taken)
    rows = rows[~np.isnan(taken)]
    found: pd.DataFrame = rows.groupby(key, sort=False)["days"].agg(lead_time="mean", law=_law).reset_index()
    table.said.append(f"{table.name}: lead times of {len(found)} items from {len(rows):,} receipts, dates as {form}")
    return found


def _law(days: pd.Series) -> str:
    counts = days.astype(int).clip(lower=1).value_counts().sort_index()
    return " ".join(f"{day}:{count}" for day, count in counts.items())


def joined(
    parts: Mapping[str, list[pd.DataFrame]], sold: pd.DataFrame, lead_time: int, said: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Items, supply and stock, whole: what no table says is filled in, and said.

    Args:
        parts: tables of each kind, by roles.
        sold: location and item of every series.
        lead_time: days, where none is told.
        said: what was found is added here.

    Returns:
        items (item, unit, cost, price), supply (item, from, to, lead_time, law, order_multiple, min_order, and
        review_days, review_period, closed_days, load, order_cost and joint_order_cost if they are told), stock
        (location, item, on_hand, on_order, capacity, closed_days, shelf_life and waste_cost likewise).
    """
    tables = {kind: pd.concat(parts[kind], ignore_index=True) if parts[kind] else None for kind in parts}
    known = list(dict.fromkeys(sold["item"]))
    supply = _supply(tables["supply"], tables["receipts"], sold, lead_time, said)
    unsold = [item for item in dict.fromkeys(supply["item"]) if item not in set(known)]
    if unsold:
        said.append(f"{len(unsold)} items are supplied and were never sold, such as {unsold[0]!r}: left out")
        supply = supply[supply["item"].isin(known)]
    places = list(dict.fromkeys([*supply["to"], *sold["location"]]))
    return _items(tables, known, said), supply, _stock(tables["stock"], places, known, said)


def _items(tables: Mapping[str, pd.DataFrame | None], known: list[str], said: list[str]) -> pd.DataFrame:
    items = pd.DataFrame({"item": known})
    for kind, role in product(("items", "supply"), ("cost", "price", "unit", "fill_rate")):
        table = tables[kind]
        if table is not None and role in table and role not in items:
            given = table.dropna(subset=[role]).groupby("item")[role].first()
            items[role] = items["item"].map(given)
    for role in ("cost", "price"):
        if role not in items or items[role].isna().any():
            without = items["item"] if role not in items else items.loc[items[role].isna(), "item"]
            said.append(f"{len(without)} items have no {role}, such as {without.iloc[0]!r}")
    return items


def _stock(stock: pd.DataFrame | None, places: list[str], known: list[str], said: list[str]) -> pd.DataFrame:
    whole = pd.MultiIndex.from_product([places, known], names=["location", "item"]).to_frame(index=False)
    if stock is None:
        said.append("no stock on hand is told: it counts as 0 (a table with location, item, on_hand)")
        stock = whole.assign(on_hand=0.0, on_order=0.0)
    if strange := sorted(set(stock["location"]) - set(places)):
        said.append(f"stock at {strange[0]!r} is left out: it neither sells nor is supplied")
    stock = whole.merge(stock, how="left", on=["location", "item"])
    if missing := int(stock["on_hand"].isna().sum()):
        said.append(f"{missing} of {len(stock)} locations and items have no row of stock: they count 0")
    if "on_order" not in stock:
        stock["on_order"] = 0.0
    kept = ["location", "item", "on_hand", "on_order", *(name for name in _OF_STOCK if name in stock)]
    return stock.fillna({"on_hand": 0.0, "on_order": 0.0})[kept]


def _supply(
    table: pd.DataFrame | None, receipts: pd.DataFrame | None, sold: pd.DataFrame, lead_time: int, said: list[str]
) -> pd.DataFrame:
    pairs = sold[["item", "location"]].rename(columns={"location": "to"})
    if table is None:
        table = pairs.assign(**{"from": "supplier"})
        if receipts is None:
            said.append(f"no suppliers are told: each location buys outside, lead time {lead_time} (--lead-time DAYS)")
    elif set(table["to"]) == {ALONE} and ALONE not in set(sold["location"]):
        table = table.drop(columns="to").merge(pairs, on="item")
    table = _with_lead_times(table, receipts, lead_time, said)
    served = set(zip(table["to"], table["item"], strict=True)) | set(zip(table["from"], table["item"], strict=True))
    bare = [pair for pair in zip(sold["location"], sold["item"], strict=True) if pair not in served]
    if bare:
        count = f"{len(bare)} series have no supplier, such as {' '.join(bare[0])!r}"
        said.append(f"{count}: they buy outside in {lead_time} days")
        more = pd.DataFrame(bare, columns=["to", "item"]).assign(**{"from": "supplier"}, **_OTHERWISE)
        table = pd.concat([table, more.assign(lead_time=float(lead_time))], ignore_index=True)
    several = table.duplicated(["item", "to"])
    if several.any():
        said.append(f"{several.sum()} items have a second supplier: the first one delivers")
        table = table[~several]
    told = {role: value for role, value in _TOLD.items() if role in table}
    if receipts is not None and "closed_days" in told:
        said.append("lead times from receipts are days of the calendar: closed days are in them, and not counted again")
    kept = ["item", "from", "to", "lead_time", *_OTHERWISE, *told]
    return table.fillna({role: value for role, value in told.items() if value == value})[kept].reset_index(drop=True)


def _with_lead_times(
    table: pd.DataFrame, receipts: pd.DataFrame | None, lead_time: int, said: list[str]
) -> pd.DataFrame:
    """Every row with a lead time, a multiple and a minimum."""
    if receipts is not None:
        key = [role for role in ("item", "from", "to") if role in receipts and (role != "from" or "from" in table)]
        table = table.drop(columns=["law", "lead_time"], errors="ignore").merge(receipts, how="left", on=key)
    otherwise = {"lead_time": float(lead_time), **_OTHERWISE}
    table = table.assign(**{column: value for column, value in otherwise.items() if column not in table})
    if unknown := int(table["lead_time"].isna().sum()):
        said.append(f"{unknown} rows of supply have no lead time: it counts as {lead_time} days (--lead-time DAYS)")
    table = table.fillna(otherwise)
    table["order_multiple"] = table["order_multiple"].where(table["order_multiple"] > 0, 1.0)
    return table
