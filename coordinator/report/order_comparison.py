"""What every department orders under all schemes and rules of a benchmark, in one picture each.

Source: Ziegner et al., arXiv 2503.18201, figure 10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from coordinator.evaluation.evaluate import trained_policy
from coordinator.experiments.folder import BenchmarkFolder
from coordinator.experiments.trial import RULES, kept_rules
from coordinator.report.charts import Line, lines
from coordinator.report.curves import RULE_LINES
from coordinator.report.page import Block, Entry, Figure, Grid, Legend, Text, listed, number
from coordinator.runs.folder import RunFolder
from departments.play.order_curves import OrderCurve, order_curves
from departments.rules.ordering import baseline_levels
from environment import Firm, World

_PERIODS = 100_000  # of every policy, in all episodes together, as in [I]
_POSITIONS = 20_000_000  # that are held of a policy; firms of very many points and products play fewer periods
_PICTURES = 24  # of a firm


def compared_orders(found: BenchmarkFolder, name: str, colours: Mapping[str, str]) -> list[Block]:
    """The orders of a firm's departments by the best trial of every scheme, and by the rules.

    Args:
        found: the benchmark.
        name: of a firm, of which something was trained.
        colours: of the schemes, as the page names them.

    Raises:
        ValueError: a trial is damaged.
    """
    best = {scheme: RunFolder(found.run(found.best_of(name, scheme))) for scheme in found.schemes[name]}
    firm = next(iter(best.values())).firm()
    world = World(firm, baseline_levels(firm))
    counted = firm.periods.evaluate - max(firm.periods.warm_up, 1)
    most = _POSITIONS // (world.points * world.products * counted)
    copies = max(min(math.ceil(_PERIODS / counted), most), 1)
    rules = kept_rules(found.path / "runs" / name / RULES, firm)
    kinds = {rule: RULE_LINES[place % len(RULE_LINES)] for place, rule in enumerate(found.rules(name)) if rule in rules}
    policies = {rule: rules[rule] for rule in kinds}
    policies |= {scheme: trained_policy(run, world) for scheme, run in best.items()}
    curves = {label: order_curves(world, policy, copies=copies) for label, policy in policies.items()}
    drawn = list(product(range(world.points), range(world.products)))
    figures = []
    for point, k in drawn[:_PICTURES]:
        series = {label: of[point][k] for label, of in curves.items()}
        figures.append(_department(_title(firm, point, k), series, kinds, colours))
    entries = [Entry(rule, "ink", kind) for rule, kind in kinds.items()]
    entries += [Entry(scheme, colours[scheme]) for scheme in best]
    note = f"Mean order over the department's own inventory position in {copies * counted:,} further periods of every "
    note += "policy, each in the states that it brings about itself; of several trials of a scheme the best one."
    left = [rule for rule in found.rules(name) if rule not in kinds]
    note += f" Levels of {listed(left)} were not kept by the version that played them." if left else ""
    if len(drawn) > len(figures):
        note += f" Shown are the first {len(figures)} of {len(drawn)}; the report of a trial has them all."
    return [Legend(entries), Grid(figures), Text(note, "note")]


def _title(firm: Firm, point: int, k: int) -> str:
    of = f", {firm.products[k]}" if len(firm.products) > 1 else ""
    return f"{firm.name}, {firm.names[point]}{of}"


def _department(
    title: str, curves: Mapping[str, OrderCurve], kinds: Mapping[str, str], colours: Mapping[str, str]
) -> Figure:
    series = [
        Line("ink", curve.position, curve.order, line=kinds[label])
        if label in kinds
        else Line(colours[label], curve.position, curve.order)
        for label, curve in curves.items()
    ]
    axes = "inventory position, units", "order, units a period"
    return lines(title, _reading(curves), series, *axes, size=(4.6, 2.7), about=f"Order curve of {title} by all")


def _reading(curves: Mapping[str, OrderCurve]) -> str:
    """Who orders least and most in the middle of where most policies are."""
    middles: Sequence[float] = [float(np.median(curve.position)) for curve in curves.values() if len(curve.position)]
    if not middles:
        return "It meets too few states."
    here = float(np.median(middles))
    orders = {label: order for label, curve in curves.items() if math.isfinite(order := curve.at(here))}
    if len(orders) < 2:
        return "Policies meet in no state."
    low, high = min(orders, key=orders.__getitem__), max(orders, key=orders.__getitem__)
    at = f"At position {number(here, 0)} the orders lie between"
    return f"{at} {number(orders[low])} ({low}) and {number(orders[high])} ({high})."
