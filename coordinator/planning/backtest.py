"""`firmwide backtest`: history as it happened, several policies on the same days, each on what was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from coordinator.planning.demand import filled
from coordinator.planning.policies import COVER, Past, cover_levels, kind_of, other_chance, policy_of, world_for
from coordinator.shown import Shown
from coordinator.storage.files import write_atomically
from departments.decisions import Policy
from departments.play.stepping import play
from environment import Exogenous, World
from environment.firm_file import read_yaml
from environment.tables import DAYS_A_YEAR, Tables, has_tables, read_tables

Array = NDArray[np.float64]

EVERY = 28  # days between two tunings
_SETTLE = 28  # days before the first that counts, in which every policy brings stock to where it wants it
_LEAST = 56  # days of history before the first day of all
_BLOCK, _DRAWS = 28, 1000  # days of a block and draws of the interval

MEASURES = ("fill rate", "stock", "turns", "orders", "ordered", "holding", "lost margin", "money")


def tables_of(folder: Path) -> Tables:
    """The tables of a firm's folder, or of its firm file.

    Raises:
        ValueError: one line; it has none.
    """
    place = folder / "firm.yaml" if folder.is_dir() else folder
    try:
        content = read_yaml(place.read_bytes())
    except OSError as error:
        raise ValueError(
            f"FOLDER must be one that `firmwide import` made, got {str(folder)!r}: {error.strerror}"
        ) from None
    if not isinstance(content, Mapping) or not has_tables(content):
        raise ValueError(f"{place} points to no tables: FOLDER must be one that `firmwide import` made")
    try:
        return read_tables(content, place.parent)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


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

    periods, rng = len(course.on_hand), np.random.default_rng(0)
    block = min(_BLOCK, max(1, periods // 3))
    starts = rng.integers(0, periods, (_DRAWS, -(-periods // block)))
    rows = ((starts[..., None] + np.arange(block)) % periods).reshape(_DRAWS, -1)[:, :periods]
    one, two = daily(course), None if other is None else daily(other)
    drawn = [of(one, days) - (0.0 if two is None else of(two, days)) for days in rows]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(high - low) / 2


def backtest(
    folder: Path,
    begin: str,
    policies: Sequence[str],
    *,
    until: str | None = None,
    every: int = EVERY,
    out: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Play history under every policy.

    Args:
        folder: of `firmwide import`.
        begin: the first day that counts; policies know the days before it.
        policies: as `kind_of` has them, the first one is what others are compared with.
        until: the first day that does not count any more; default: none.
        every: days between two tunings.
        out: the folder for results.csv, lines.csv and backtest.html; default: FOLDER/backtest.
        note: told how far it is.

    Raises:
        ValueError: one line.
    """
    tables = tables_of(folder)
    first, last = (
        _place(tables, "--from", begin),
        len(tables.days) if until is None else _place(tables, "--until", until),
    )
    start = max(first - _SETTLE, _LEAST)
    if first < _LEAST or last - first < 2:
        known = f"{tables.days[0] + _LEAST} to {tables.days[-1] - 1}"
        raise ValueError(
            f"--from must leave {_LEAST} days of history before it and two days after it, {known}, got {begin}"
        )
    if every < 1:
        raise ValueError(f"--every must be at least 1 day, got {every}")
    asked = {name: (kind, argument) for name, kind, argument in map(kind_of, policies)}
    if len(asked) < len(policies):
        raise ValueError("--policy: each needs a name of its own, such as today=cover:14")
    demand = torch.as_tensor(np.rint(filled(tables.demand, tables.days))[start:last])[..., None]
    opening = cover_levels(Past.of(tables, start), COVER)[-1]
    courses = {}
    for name, (kind, argument) in asked.items():
        world = world_for(kind, argument, tables)
        policy = policy_of(kind, argument, world, tables, start, every, lambda line, name=name: note(f"{name}: {line}"))  # type: ignore[misc]
        courses[name] = _played(world, policy, demand.to(world.dtype), opening, first - start)
    done = Backtest(tables, tables.days[first:last], courses, first - start)
    _write(done, folder / "backtest" if out is None else out)
    return done


def _place(tables: Tables, option: str, day: str) -> int:
    try:
        return int((np.datetime64(day, "D") - tables.days[0]).astype(int))
    except ValueError:
        raise ValueError(f"{option} must be a day such as {tables.days[-1]}, got {day!r}") from None


def _played(world: World, policy: Policy, demand: torch.Tensor, opening: Array, settle: int) -> Course:
    """One policy through all days; stock is counted after the day's sales."""
    chance = Exogenous(demand, *other_chance(world, len(demand), 1, 0))
    start = world.reset(1, torch.as_tensor(np.rint(opening), dtype=world.dtype)[..., None])
    kept: dict[str, list[Array]] = {"on_hand": [], "ordered": [], "served": [], "asked": []}
    before = torch.zeros_like(demand[0])
    with torch.inference_mode():
        for step in play(world, policy, chance, start):
            served = (step.outcome.sales - before).clamp_min(0.0)
            before = torch.zeros_like(before) if world.firm.unmet == "lost" else step.outcome.unserved
            if step.period >= settle:
                values = (step.after.on_hand, step.order, served, step.outcome.demand)
                for column, value in zip(kept, values, strict=True):
                    kept[column].append(value[..., 0].numpy().astype(np.float64))
    return Course(**{column: np.stack(values) for column, values in kept.items()})


def _write(done: Backtest, out: Path) -> None:
    from coordinator.planning.backtest_page import backtest_page

    write_atomically(out / "results.csv", done.results.to_csv(index=False, float_format="%.6g"))
    write_atomically(out / "lines.csv", done.lines.to_csv(index=False, float_format="%.6g"))
    write_atomically(out / "backtest.html", backtest_page(done).html())
