"""What happened under policies on the same days of history: day by day, line by line, and in all with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from coordinator.shown import Shown
from environment.streams import Stream, numpy_stream
from environment.tables import DAYS_A_YEAR, Tables

Array = NDArray[np.float64]

_BLOCK, _DRAWS = 28, 1000  # days of a block and draws of the interval


@dataclass(frozen=True)
class Course:
    """What happened under one policy, day by day; T days that count."""

    on_hand: Array  # [T, N, K] units at the end of the day
    ordered: Array  # [T, N, K] units
    served: Array  # [T, C, K] units, at once
    asked: Array  # [T, C, K] units


@dataclass(frozen=True, repr=False)
class Backtest(Shown):
    """Policies on the same days of history."""

    tables: Tables = field(repr=False)
    days: NDArray[np.datetime64]  # [T]
    courses: Mapping[str, Course]
    settled: int  # days before them

    @property
    def results(self) -> pd.DataFrame:
        """A row per policy: all measures, and what fill rate and stock differ by from the first, with intervals."""
        rows = []
        first = next(iter(self.courses.values()))
        for name, course in self.courses.items():
            row: dict[str, Any] = {"policy": name, **measures(self.tables, course)}
            row["fill rate ±"] = _half_width(course, None, _fill_rate)
            if course is not first:
                for measure, of in (("fill rate", _fill_rate), ("stock", _stock)):
                    row[f"{measure} difference"] = of(course, slice(None)) - of(first, slice(None))
                    row[f"{measure} difference ±"] = _half_width(course, first, of)
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def lines(self) -> pd.DataFrame:
        """A row per policy, location and item."""
        parts = []
        for name, course in self.courses.items():
            for n, point in enumerate(self.tables.points):
                sells = n in self.tables.selling
                c = self.tables.selling.index(n) if sells else -1
                on_hand, ordered = course.on_hand[:, n], course.ordered[:, n]
                asked = course.asked[:, c].sum(0) if sells else np.full(on_hand.shape[1], np.nan)
                served = course.served[:, c].sum(0) if sells else np.full(on_hand.shape[1], np.nan)
                unit = self.tables.unit
                parts.append(
                    pd.DataFrame(
                        {
                            "policy": name,
                            "location": point,
                            "item": self.tables.items,
                            "supplier": self.tables.supplier_names[n],
                            "demand": asked * unit,
                            "fill_rate": np.divide(served, asked, out=np.full_like(asked, np.nan), where=asked > 0),
                            "stock": on_hand.mean(0) * unit,
                            "days_without_stock": (on_hand <= 0).sum(0),
                            "orders": (ordered > 0).sum(0),
                            "ordered": ordered.sum(0) * unit,
                            "holding": on_hand.sum(0) * self.tables.holding_cost,
                        }
                    )
                )
        return pd.concat(parts, ignore_index=True)

    @property
    def groups(self) -> pd.DataFrame:
        """The same by location, and by supplier: a row per policy and each of them."""
        lines, sums = self.lines, ["demand", "served", "stock", "orders", "ordered", "holding"]
        lines["served"] = lines["fill_rate"].fillna(1.0) * lines["demand"]
        parts = []
        for by in ("location", "supplier"):
            part = lines.groupby(["policy", by], sort=False)[sums].sum().reset_index().rename(columns={by: "name"})
            part["fill_rate"] = (part["served"] / part["demand"]).where(part["demand"] > 0)
            parts.append(part.assign(by=by))
        columns = ["policy", "by", "name", "demand", "fill_rate", "stock", "orders", "ordered", "holding"]
        return pd.concat(parts, ignore_index=True)[columns]

    def __rich__(self) -> RenderableType:
        """The result first."""
        head = (
            f"{self.days[0]} to {self.days[-1]}, {len(self.days)} days, {len(self.tables.items)} items, the same demand"
        )
        names = (
            "policy",
            "fill rate",
            "± 95%",
            "stock",
            "vs first",
            "± 95%",
            "turns",
            "orders",
            "holding",
            "lost margin",
        )
        table = Table(
            *(Column(name, justify="right" if place else "left") for place, name in enumerate(names)), show_edge=False
        )
        for row in self.results.to_dict("records"):
            table.add_row(
                row["policy"],
                *(f"{row['fill rate']:.2%}", f"{row['fill rate ±']:.2%}", f"{row['stock']:,.0f}"),
                *(
                    "" if pd.isna(row.get(key, np.nan)) else f"{row[key]:+,.0f}".replace("+", sign)
                    for key, sign in (("stock difference", "+"), ("stock difference ±", ""))
                ),
                *(
                    f"{row['turns']:.1f}",
                    f"{row['orders']:,.0f}",
                    f"{row['holding']:,.0f}",
                    f"{row['lost margin']:,.0f}",
                ),
            )
        return Group(Text(head, style="bold"), table)


def measures(tables: Tables, course: Course) -> dict[str, float]:
    """What a policy came to, over all locations and items."""
    periods, stock = len(course.on_hand), _stock(course, slice(None))
    served, asked = course.served.sum(), course.asked.sum()
    margin = np.nan_to_num(np.maximum(tables.price - tables.cost, 0.0))
    holding = float((course.on_hand.sum((0, 1)) * tables.holding_cost).sum())
    lost = float(((course.asked - course.served).sum((0, 1)) * margin).sum())
    return {
        "fill rate": float(served / asked) if asked else 1.0,
        "stock": stock,
        "turns": float(served / stock * DAYS_A_YEAR / periods) if stock else float("nan"),
        "orders": float((course.ordered > 0).sum()),
        "ordered": float(course.ordered.sum()),
        "holding": holding,
        "lost margin": lost,
        "money": holding + lost,
    }


def _fill_rate(course: Course, days: Any) -> float:  # noqa: ANN401
    asked = course.asked[days].sum()
    return float(course.served[days].sum() / asked) if asked else 1.0


def _stock(course: Course, days: Any) -> float:  # noqa: ANN401
    """Mean units in the whole firm."""
    return float(course.on_hand[days].sum((1, 2)).mean())


def _half_width(course: Course, other: Course | None, of: Callable[[Course, Any], float]) -> float:
    """Half of a 95% interval by moving blocks of days, the same for both where two are compared."""

    def daily(one: Course) -> Course:
        total = [values.sum((1, 2))[:, None, None] for values in (one.on_hand, one.ordered, one.served, one.asked)]
        return Course(*total)

    periods, rng = len(course.on_hand), numpy_stream(Stream.BLOCKS)
    block = min(_BLOCK, max(1, periods // 3))
    starts = rng.integers(0, periods, (_DRAWS, -(-periods // block)))
    rows = ((starts[..., None] + np.arange(block)) % periods).reshape(_DRAWS, -1)[:, :periods]
    one, two = daily(course), None if other is None else daily(other)
    drawn = [of(one, days) - (0.0 if two is None else of(two, days)) for days in rows]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(high - low) / 2
