"""The page of a proposal: what needs a look first, then the order list of each supplier."""

from __future__ import annotations

import pandas as pd

from coordinator.planning.proposal import EXCEPTIONS, Proposal
from coordinator.report.page import Cell, Page, Section, Table, Text, numeric

_MOST = 500  # rows of a table on the page; all are in the csv files
_AMOUNTS = ("packs", "position", "on_hand", "on_order", "target", "expected_until_arrival", "rule_orders", "cost")


def propose_page(done: Proposal) -> Page:
    """The report of a proposal."""
    day, odd = done.tables.days[-1] + 1, done.lines[done.lines["exceptions"] != ""]
    counts = (
        [(name, int(odd["exceptions"].str.contains(name, regex=False).sum())) for name in EXCEPTIONS]
        if len(odd)
        else []
    )
    told = "; ".join(f"{name}: {count}" for name, count in counts if count) or "no exceptions"
    lead = f"{len(done.orders):,} lines by {done.policy}. {told}."
    lists = [
        Section(f"Order to {supplier}", [_table(f"{len(group):,} lines, cost {group['cost'].sum():,.0f}", group)])
        for supplier, group in done.orders.groupby("supplier")
    ]
    return Page(
        f"Orders proposed for {day}",
        [Text(lead, "lead"), Text("A proposal: nothing has been sent. Amounts are in the measure of the tables.")],
        [Section("Look at these first", [_table("Exceptions, the most urgent first", odd)])] * bool(len(odd)) + lists,
    )


def _table(caption: str, lines: pd.DataFrame) -> Table:
    rows = [
        {"location": Cell(row["location"]), "item": Cell(row["item"])}
        | {
            "order": _amount(row["order"]),
            "exceptions": Cell(row["exceptions"], words=True),
            "reason": Cell(row["reason"], words=True),
        }
        | {column.replace("_", " "): _amount(row[column]) for column in _AMOUNTS}
        for row in lines.head(_MOST).to_dict("records")
    ]
    reading = f"The first {_MOST} of {len(lines):,}; all are in lines.csv." if len(lines) > _MOST else ""
    return Table(caption, rows, reading, sortable=True)


def _amount(value: float) -> Cell:
    return numeric(float(value), 0 if float(value).is_integer() or abs(value) >= 100 else 2)
