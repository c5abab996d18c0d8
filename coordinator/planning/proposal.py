"""Tomorrow's orders, line by line, and what of them needs a look."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from coordinator.shown import Shown
from environment.tables import Tables

_SHOWN = 15  # exceptions on a terminal

EXCEPTIONS = (  # from the most urgent on
    "stock-out before arrival",
    "cut by the stock of its supplier",
    "unusually large",
    "excess",
    "never sold",
    "policy and rule far apart",
    "forecast broken",
)


@dataclass(frozen=True, repr=False)
class Proposal(Shown):
    """Tomorrow's orders."""

    tables: Tables = field(repr=False)
    policy: str
    lines: pd.DataFrame  # one per location and item that orders or is an exception, exceptions first
    folder: Path

    @property
    def orders(self) -> pd.DataFrame:
        """The lines that order something, by supplier."""
        return self.lines[self.lines["order"] > 0].sort_values(["supplier", "location", "item"])

    def __rich__(self) -> RenderableType:
        """Exceptions, then how much goes to whom."""
        day, several = self.tables.days[-1] + 1, self.lines[self.lines["exceptions"] != ""]
        shown = Table("exception", "location", "item", Column("order", justify="right"), "reason", show_edge=False)
        for row in several.head(_SHOWN).to_dict("records"):
            shown.add_row(row["exceptions"], row["location"], row["item"], f"{row['order']:,.10g}", row["reason"])
        total = Table(
            "supplier", *(Column(name, justify="right") for name in ("lines", "units", "cost")), show_edge=False
        )
        for supplier, group in self.orders.groupby("supplier"):
            total.add_row(
                str(supplier), f"{len(group):,}", f"{group['order'].sum():,.10g}", f"{group['cost'].sum():,.0f}"
            )
        head = f"orders for {day} by {self.policy}: {len(self.orders):,} lines, {len(several):,} with an exception"
        more = [Text(f"... and {len(several) - _SHOWN} more in {self.folder}")] if len(several) > _SHOWN else []
        return Group(Text(head, style="bold"), shown, *more, total)
