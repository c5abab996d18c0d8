"""A stock point with two suppliers that are ordered from apart: the exact optimum and the rules of dual sourcing.

This is where a firm meets `heuristics.dual_sourcing`, which knows only plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from departments.decisions import OrdersAlone
from environment import Firm, Network, State, World
from environment.laws import cut
from heuristics.dual_sourcing import (
    DualOrders,
    DualRule,
    DualSource,
    IndexLevels,
    best_dual_sourcing,
    best_index_levels,
    index_wishes,
    search_work,
)

_TEACHER: DualRule = "capped-dual-index"
_QUICK = 5e6  # of `search_work`: three seconds


@dataclass(frozen=True)
class TwoSuppliers(OrdersAlone):
    """Orders of one point from its two suppliers, product by product: what a table says, or a rule."""

    name: str
    expected_cost: float  # money an episode, as evaluations count it
    sources: Sequence[DualSource]  # [K]
    expedited: int  # number of the order that goes to the faster supplier, of two
    decided: Sequence[DualOrders | IndexLevels]  # [K]

    def order(self, world: World, state: State) -> Tensor:
        """Orders of both edges, [2, K, E]."""
        return self.wish(state).clamp_min(0.0)

    def wish(self, state: State) -> Tensor:
        """The same, of rules before they are cut at 0; see `index_wishes`."""
        order = torch.zeros(2, *state.on_hand.shape[1:], dtype=torch.int64)
        for k, (source, decided) in enumerate(zip(self.sources, self.decided, strict=True)):
            regular = state.pipeline[:, 1 - self.expedited, k].round().long().cpu().numpy()
            behind = regular[source.expedited_lead_time + 1 : source.regular_lead_time]  # q_1, .., q_m
            position = state.inventory_position[0, k].round().long().cpu().numpy()
            y = position - behind.sum(0)
            found = decided.at(y, behind) if isinstance(decided, DualOrders) else index_wishes(decided, y, position)
            order[self.expedited, k], order[1 - self.expedited, k] = map(torch.from_numpy, found)
        return order.to(state.on_hand)


def best_of_two_suppliers(firm: Firm, name: str, refused: str) -> TwoSuppliers:
    """The policy that costs least a period in the long run.

    Raises:
        ValueError: one line that begins with `refused` and says why there is none to be had.
    """
    sources, expedited = _sources(firm, refused)
    most = firm.amounts("max_order")[0].astype(int)
    try:
        found = [best_dual_sourcing(own, *2 * [int(units)]) for own, units in zip(sources, most, strict=True)]
    except ValueError as reason:
        raise ValueError(f"{refused} {reason}") from None
    cost = sum(best.cost for best in found)
    return TwoSuppliers(name, _counted(firm) * cost, sources, expedited, [best.orders for best in found])


def index_rule(firm: Firm, name: str) -> TwoSuppliers:
    """One of `DUAL_RULES` by its name, at its best levels in the long run where nothing limits orders.

    Raises:
        ValueError: one line; the firm is none with two suppliers of one point.
    """
    sources, expedited = _sources(firm, f"policy {name!r}: {firm.name} has no such levels, as")
    try:
        found = [best_index_levels(own, cast(DualRule, name)) for own in sources]
    except ValueError as reason:
        raise ValueError(f"policy {name!r}: {reason}") from None
    cost = sum(numbers.cost for numbers in found)
    return TwoSuppliers(name, _counted(firm) * cost, sources, expedited, found)


def is_taught(firm: Firm) -> bool:
    """Whether the department that orders from each supplier apart begins at a rule, `teacher_of`, found in seconds."""
    try:
        sources, _ = _sources(firm, "")
    except ValueError:
        return False
    return sum(search_work(own, _TEACHER) for own in sources) < _QUICK


def teacher_of(firm: Firm) -> TwoSuppliers:
    """The rule that a department with two suppliers begins at, if `is_taught`."""
    return index_rule(firm, _TEACHER)


def _counted(firm: Firm) -> int:
    return firm.periods.evaluate - firm.periods.warm_up


def _sources(firm: Firm, refused: str) -> tuple[list[DualSource], int]:
    """By product, and which of the two orders goes to the faster supplier."""
    network = Network.of(firm)
    if not network.by_edge or len(firm.names) > 1 or len(network.edge_target) != 2:
        raise ValueError(f"{refused} it is not one stock point with two suppliers and supplier_choice ordered")
    _check(firm, network, refused)
    masses = [[law.mass() for law in laws] for laws in network.lead_time_laws]
    lead = np.array([[len(mass) - 1 for mass in of] for of in masses])  # [2, K]
    if any(np.count_nonzero(mass) != 1 for of in masses for mass in of):
        raise ValueError(f"{refused} a lead time is random")
    if not ((lead[0] < lead[1]).all() or (lead[1] < lead[0]).all()):
        raise ValueError(f"{refused} neither supplier is the faster one of all products")
    expedited = int(lead[1, 0] < lead[0, 0])
    costs = np.array([firm.edge_costs(*edge)[0] for edge in network.edge_names])  # [2, K]
    costs = costs + firm.emission_price * network.emissions  # what is ordered outside leaves at once
    holding, backorder = (firm.amounts(field)[0] for field in ("holding_cost", "backorder_cost"))
    return [
        DualSource(
            cut(law.mass()),
            int(lead[1 - expedited, k]),
            int(lead[expedited, k]),
            float(holding[k]),
            float(backorder[k]),
            float(costs[1 - expedited, k]),
            float(costs[expedited, k]),
        )
        for k, law in enumerate(network.demand_laws[0])
    ], expedited


def _check(firm: Firm, network: Network, refused: str) -> None:
    """Refuse what the programme does not know."""
    if any(len(law.phases()) > 1 or law.rows() is not None for laws in network.demand_laws for law in laws):
        raise ValueError(f"{refused} demand depends on the period")
    if firm.unmet_demand != "backorder":
        raise ValueError(f"{refused} sales are lost: set unmet to backorder")
    if not firm.periods.warm_up:
        raise ValueError(f"{refused} episodes count from their first period: give periods a warm_up")
    if limits := firm.order_limits:
        raise ValueError(f"{refused} orders are limited by {limits[0]}")
    others = [field for field in ("fixed_order_cost", "salvage_value", "price") if firm.amounts(field).any()]
    others += ["fixed_order_cost"] * bool(firm.joint_costs().any()) + ["cost_spread"] * bool(firm.cost_spread)
    others += ["shipment_emissions, which cost money"] * bool(firm.emission_price * network.shipment_emissions.any())
    others += ["regimes"] * bool(firm.regimes)
    others += ["disruption"] * bool(network.disruption.any()) + ["congestion"] * bool(network.congestion.any())
    others += ["closed_days"] * network.closures.ever
    others += ["shelf_life"] * any(point.shelf_life for point in firm.stock_points.values())
    if others:
        raise ValueError(f"{refused} it has a {others[0]}")
