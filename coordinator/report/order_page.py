"""A page about one order: what of it comes from which observation."""

from __future__ import annotations

from pathlib import Path

from coordinator.explain.line import OrderParts
from coordinator.report.charts import bars
from coordinator.report.page import Block, Cell, Page, Section, Table, Text, numeric
from coordinator.storage.policies import write_atomically


def write_order_page(found: OrderParts, path: Path) -> Path:
    """The bars and all parts as a table; where it is.

    Raises:
        ValueError: one line; `path` is a folder.
    """
    if path.is_dir():
        raise ValueError(f"--html must be a file, got the folder {str(path)!r}")
    reading = f"Bars sum to {found.wished - found.rule:+,.2f} units, what the order is above the rule's."
    drawn = bars("What each thing seen adds to the order", reading, [(row[0], row[2]) for row in found.rows()], "units")
    body = [
        {"what is seen": Cell(label), "value": numeric(value, 2), "adds, units": numeric(units, 3, sign="+")}
        for label, value, units in found.parts
    ]
    blocks: list[Block] = [Text(found.sentence, "lead"), drawn, Table("All parts", body, sortable=True)]
    write_atomically(path, Page(f"Order of {found.point}", [], [Section("Where it comes from", blocks)]).html())
    return path
