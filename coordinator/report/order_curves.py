"""Learned order curves beside the benchmark's: every department of a run, in the states that it brings about itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coordinator.evaluation.evaluate import trained_policy
from coordinator.report.charts import Line, lines
from coordinator.report.page import COLOURS, Block, Entry, Figure, Grid, Legend, Text, number
from coordinator.runs.folder import RunFolder
from departments.named_policies import parse_policy
from departments.play.order_curves import OrderCurve, order_curves
from departments.rules.ordering import baseline_levels
from environment import World

_COPIES = 256  # episodes side by side


def order_blocks(path: Path) -> list[Block]:
    """What each department of a run orders, over its inventory position.

    Raises:
        ValueError: the run is damaged.
    """
    run = RunFolder(path)
    if not run.begun:
        return [Text("Training has not begun, so there is no policy yet.", "note")]
    firm = run.firm()
    world = World(firm, baseline_levels(firm))
    benchmark = "inventory-aware" if firm.customers else "decomposition-aggregation"
    learned = order_curves(world, trained_policy(run, world), copies=_COPIES)
    rule = order_curves(world, parse_policy(benchmark, firm), copies=_COPIES)
    figures = [
        _department(f"{firm.name}, {name}", learned[n], rule[n], firm.products) for n, name in enumerate(firm.names)
    ]
    products = firm.products if len(firm.products) > 1 else ("learned",)
    entries = [Entry(label, f"c{k % COLOURS}") for k, label in enumerate(products)]
    shown = "the rules" if firm.customers else "decomposition-aggregation"
    mark = Entry(f"{shown}{', same colours' if len(products) > 1 else ''}", "ink", "dashed")
    note = (
        f"Mean order over the department's own inventory position in {_COPIES} further episodes, each policy in the "
        "states that it brings about itself; bands hold the middle 80% of the learned orders."
    )
    return [Legend([*entries, mark]), Grid(figures), Text(note, "note")]


def _department(
    title: str, learned: Sequence[OrderCurve], rule: Sequence[OrderCurve], products: Sequence[str]
) -> Figure:
    many = len(products) > 1
    series = []
    for k, (own, other) in enumerate(zip(learned, rule, strict=True)):
        colour = f"c{k % COLOURS}"
        series.append(Line(colour if many else "ink", other.position, other.order, line="dashed"))
        band = (None, None) if many else (own.low, own.high)
        series.append(Line(colour, own.position, own.order, *band))
    reading = " ".join(
        _reading(own, other, f"{name}: " if many else "")
        for name, own, other in zip(products, learned, rule, strict=True)
    )
    axes, about = (
        ("inventory position, units", "order, units a period"),
        f"Order curve of {title} beside the benchmark's",
    )
    return lines(title, reading, series, *axes, size=(4.6, 2.7), about=about)


def _reading(own: OrderCurve, other: OrderCurve, name: str) -> str:
    if not len(own.position):
        return f"{name or 'It meets '}too few states."
    middle = float(np.median(own.position))
    here, there = own.at(middle), other.at(middle)
    beside = f"the benchmark {number(there)}" if math.isfinite(there) else "where the benchmark never is"
    slopes = ""
    if math.isfinite(own.slope) and math.isfinite(other.slope):
        slopes = f"; a unit more changes it by {number(own.slope, 2, '+')} (benchmark {number(other.slope, 2, '+')})"
    return f"{name}{'at' if name else 'At'} position {number(middle, 0)} it orders {number(here)}, {beside}{slopes}."
