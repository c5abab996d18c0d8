"""Rules of orders, and the benchmark's base-stock levels of a firm.

This is where a firm meets the heuristics, which know only plain arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import OrdersAlone
from environment import Firm, Network, OrderUpTo, State, World
from heuristics.aggregation import decomposition_aggregation, demand_streams, suppliers_of
from heuristics.base_stock import descendant_weights, order_up_to
from heuristics.mass import Mass, lead_time_demand, mixture
from heuristics.reorder import best_order_up_to

Levels = NDArray[np.float64]


@dataclass(frozen=True)
class BaseStock(OrdersAlone):
    """Each point orders up to a level: base-stock, echelon base-stock or (s, S)."""

    name: str
    levels: Levels  # [N, K] units
    weights: Levels | None = None  # [N, N] of all points' positions, which are compared; None: each its own
    reorder_points: Levels | None = None  # [N, K] units, at or below which is ordered; None: in every period
    expected_cost: float | None = None  # money an episode, as evaluations count it, where it is known exactly

    @property
    def always_local(self) -> bool:
        """Whether it is plain base-stock: each point on its own position, in every period."""
        return self.weights is None and self.reorder_points is None

    def on(self, world: World) -> OrderUpTo:
        """As the compiled world knows it."""

        def tensor(value: Levels) -> Tensor:
            return torch.as_tensor(value, device=world.device, dtype=world.dtype)

        level, reorder, weights = self.levels, self.reorder_points, self.weights
        return OrderUpTo(
            tensor(level).unsqueeze(-1),
            None if reorder is None else tensor(reorder).unsqueeze(-1),
            None if weights is None else tensor(weights),
        )

    def order(self, world: World, state: State) -> Tensor:
        """Level less position."""
        rule = self.on(world)
        wish: Tensor = order_up_to(state.inventory_position, rule.level, rule.reorder_point, rule.weights)
        return wish


def shortage_cost(firm: Firm) -> Levels:
    """What a unit short costs, [N, K] money: the backorder cost, or where sales are lost the penalty and the margin."""
    cost = firm.amounts("backorder_cost")
    if firm.unmet == "lost":
        return cost + np.maximum(firm.amounts("price") - delivered_cost(firm), 0.0)
    return cost


def delivered_cost(firm: Firm) -> Levels:
    """What a unit has cost when it reaches each point, all purchases on its way; suppliers equally likely, [N, K]."""
    network, cost = Network.of(firm), firm.amounts("unit_cost").copy()
    for point in reversed(network.upwards()):
        for supplier in network.predecessors(point):
            cost[point] += cost[supplier] / network.supplier_count[point]
    return cost


def baseline_levels(firm: Firm) -> Levels:
    """Base-stock levels by decomposition-aggregation, product by product, [N, K] units.

    Where sales are lost, a unit short costs the penalty and the margin missed (our reading).
    """
    network = Network.of(firm)
    holding, backorder = firm.amounts("holding_cost"), shortage_cost(firm)
    levels = np.zeros(holding.shape)
    for k in range(len(firm.products)):
        demand, lead_time = _laws_of(network, k)
        penalty, rate = backorder[:, k].copy(), holding[:, k].copy()
        penalty[list(demand)] = np.maximum(penalty[list(demand)], 1e-6)
        rate[list(demand)] = np.maximum(rate[list(demand)], 1e-6)
        levels[:, k] = decomposition_aggregation(edge_pairs(network), rate, penalty, demand, lead_time)
    return levels


def _laws_of(network: Network, product: int) -> tuple[dict[int, Mass], dict[tuple[int, int], Mass]]:
    """A product's external demand by customer-facing point, and its lead times by edge."""
    facing, edges = network.customer_facing.tolist(), edge_pairs(network)
    demand = {point: laws[product].mass() for point, laws in zip(facing, network.demand_laws, strict=True)}
    return demand, {edge: laws[product].mass() for edge, laws in zip(edges, network.lead_time_laws, strict=True)}


def edge_pairs(network: Network) -> list[tuple[int, int]]:
    """Edges as (supplier, customer) with -1 for the outside."""
    return [(int(a), int(b)) for a, b in zip(network.edge_source, network.edge_target, strict=True)]


def echelon_weights(firm: Firm) -> Levels:
    """Share of each point's stream that passes through each other point, [N, N]."""
    return descendant_weights(edge_pairs(Network.of(firm)), len(firm.names))


def reorder_rule(firm: Firm, name: str = "reorder") -> BaseStock:
    """The best (s, S) of each point on its own, given the mean flow through it and its fixed order cost.

    Upstream points face the summed demand of their customers; their penalty is that of the customers they serve (our
    reading: the exact rule is for a single stock point).
    """
    network, points = Network.of(firm), range(len(firm.names))
    holding, fixed, backorder = firm.amounts("holding_cost"), firm.amounts("fixed_order_cost"), shortage_cost(firm)
    suppliers = suppliers_of(edge_pairs(network), len(points))
    reorder_points, levels = np.zeros(holding.shape), np.zeros(holding.shape)
    for k in range(len(firm.products)):
        demand, lead_time = _laws_of(network, k)
        stream = demand_streams(demand, suppliers)
        for point in points:
            if stream[point][0] == 1.0:  # it never sells: nothing is stocked
                reorder_points[point, k] = -1
                continue
            times = [lead_time[supplier, point] for supplier in suppliers[point]]
            best = best_order_up_to(
                stream[point],
                lead_time_demand(stream[point], mixture(times, np.full(len(times), 1 / len(times)))),
                holding_cost=max(float(holding[point, k]), 1e-6),
                backorder_cost=max(1e-6, *(float(backorder[p, k]) for p in [point, *network.descendants(point)])),
                fixed_order_cost=float(fixed[point, k]),
            )
            reorder_points[point, k], levels[point, k] = best.reorder_point, best.order_up_to
    return BaseStock(name, levels, reorder_points=reorder_points)
