"""The part of a run's report about targets of service and emissions: what was reached, and the multipliers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coordinator.learning.multipliers import EMISSIONS
from coordinator.report.charts import Line, lines
from coordinator.report.page import COLOURS, Block, Cell, Entry, Grid, Legend, Section, Table, Text, number, numeric
from coordinator.runs.folder import RunFolder

if TYPE_CHECKING:
    from pandas import DataFrame

_STEPS = "environment steps, millions"


def service_section(run: RunFolder) -> list[Section]:
    """The section of a firm that has targets, or none."""
    if not (run.path / "service.csv").exists():
        return []
    measured = run.table("service.csv")
    capped = measured[measured.measure == EMISSIONS]
    measured = measured[measured.measure != EMISSIONS]
    if not capped.empty:
        return [*_targets(measured), Section("Cap on emissions", [_capped(capped)])]
    return _targets(measured)


def _capped(own: DataFrame) -> Grid:
    steps, cap = own.env_steps.to_numpy() / 1e6, float(own.target.iloc[-1])
    emitted, price = own.reached.to_numpy(), own.multiplier.to_numpy()
    told = f"{number(emitted[-1])} at the last measurement, where {number(cap)} are allowed."
    worth = f"From {number(price[0], 3)} to {number(price[-1], 3)}."
    drawn = lines("Emissions", told, [Line("c0", steps, emitted)], _STEPS, "a period", levels=[(cap, "dashed")])
    return Grid([drawn, lines("What a unit of emission is worth", worth, [Line("c0", steps, price)], _STEPS, "money")])


def _targets(measured: DataFrame) -> list[Section]:
    if measured.empty:
        return [Section("Service targets", [Text("Service has not been measured yet.", "note")])]
    several = measured["product"].nunique() > 1
    measured = measured.assign(name=measured.stock_point + (" " + measured["product"] if several else ""))
    apart = {str(name): own for name, own in measured.groupby("name", sort=False)}
    by_miss = sorted(apart, key=lambda name: _missed(apart[name]))
    shown = {name: f"c{place}" for place, name in enumerate(by_miss[:COLOURS])}
    return [Section("Service targets", [*_figures(apart, shown), _table(apart)])]


def _missed(own: DataFrame) -> float:
    """What was last reached less the target."""
    return float(own.reached.iloc[-1] - own.target.iloc[-1])


def _figures(apart: dict[str, DataFrame], shown: dict[str, str]) -> list[Block]:
    worst, left = next(iter(shown)), len(apart) - len(shown)
    gap = f"{worst} is furthest below, by {number(-100.0 * _missed(apart[worst]), 2)} points"
    reading = f"At the last measurement {gap}{f'; {left} more are not drawn' if left else ''}."
    steps = {name: apart[name].env_steps.to_numpy() / 1e6 for name in shown}
    over = [
        Line(colour, steps[name], 100.0 * (apart[name].reached - apart[name].target).to_numpy(), marks=False)
        for name, colour in shown.items()
    ]
    price = [Line(colour, steps[name], apart[name].multiplier.to_numpy()) for name, colour in shown.items()]
    ends = apart[worst].multiplier
    told = f"That of {worst} went from {number(ends.iloc[0], 2)} to {number(ends.iloc[-1], 2)}."
    figures = [
        lines("Service reached less its target", reading, over, _STEPS, "points", levels=[(0.0, "dashed")]),
        lines("What a unit short is worth: multipliers", told, price, _STEPS, "money a unit", log=True),
    ]
    return [Legend([Entry(name, colour) for name, colour in shown.items()]), Grid(figures)]


def _table(apart: dict[str, DataFrame]) -> Table:
    body = []
    for own in apart.values():
        last = own.iloc[-1]
        spread = float(own.reached.tail(10).std(ddof=0)) if len(own) > 1 else math.nan
        body.append(
            {
                "stock point": Cell(str(last.stock_point)),
                "product": Cell(str(last["product"])),
                "measure": Cell(str(last.measure).replace("_", " ")),
                "target": numeric(last.target, 4),
                "reached": numeric(last.reached, 4),
                "± of the last ten": numeric(spread, 4),
                "a unit short is worth": numeric(last.multiplier, 3),
            }
        )
    return Table("Targets, and what was last measured in training", body, sortable=True)
