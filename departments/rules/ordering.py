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
from heuristics.mass import Mass, demand_over, lead_time_demand, mixture, point_mass
from heuristics.newsvendor import critical_ratio, newsvendor
from heuristics.orders import level_below, overshoot
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
    """What a unit short costs, [N, K] money: the backorder cost, and as far as sales are lost the margin.

    Where that is nothing and there is a service target, what the newsvendor of that ratio pays (our reading).
    """
    margin = np.maximum(firm.amounts("price") - delivered_cost(firm), 0.0)
    cost = firm.amounts("backorder_cost") + firm.lost_shares()[:, None] * margin
    target = np.nan_to_num(firm.newsvendor_costs()) if firm.has_targets else 0.0
    return np.where(cost > 0.0, cost, target)


def delivered_cost(firm: Firm) -> Levels:
    """What a unit has cost when it reaches each point, all purchases on its way; suppliers by their shares, [N, K]."""
    network, cost = Network.of(firm), firm.amounts("unit_cost").copy()
    for point in reversed(network.upwards()):
        for supplier in network.predecessors(point):
            cost[point] += network.part(cost[supplier], supplier, point)
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
        levels[:, k] = decomposition_aggregation(edge_pairs(network), rate, penalty, demand, lead_time, network.shares)
        _fit_packs(firm, network, levels, k)
    return levels


def _fit_packs(firm: Firm, network: Network, levels: Levels, product: int) -> None:
    """Lower a product's levels by what whole packs and minima overshoot them, so that they protect as before (ours)."""
    least, packs = firm.least_orders()[:, product], firm.amounts("order_multiple", 1.0)[:, product]
    if (least <= 1).all():
        return
    streams = _Streams(network, product)
    for point in np.flatnonzero(least > 1):
        needed, over = streams.needed(int(point)), streams.overshoot(int(point), packs[point], least[point])
        met = min(float(needed[: int(levels[point, product]) + 1].sum()), 1.0)
        levels[point, product] = max(level_below(needed, over, met), 0)


class _Streams:
    """What is asked of each point for a product."""

    def __init__(self, network: Network, product: int) -> None:
        demand, self._times = _laws_of(network, product)
        self._suppliers = suppliers_of(edge_pairs(network), len(network.names))
        self._reviews, self._product = network.reviews, product
        self.stream = demand_streams(demand, self._suppliers, network.shares)  # in a period
        self._network = network

    def needed(self, point: int) -> Mass:
        """Until the order of the next review arrives, for a period drawn evenly from those of a review."""
        times = [self._times[supplier, point] for supplier in self._suppliers[point]]
        parts = [self._network.part(1.0, supplier, point) for supplier in self._suppliers[point]]
        return lead_time_demand(self.stream[point], mixture(times, parts))

    def periods(self, point: int) -> int:
        """From one review to the next, on average and rounded."""
        return max(1, round(self._reviews.between(point, self._product)))

    def of_review(self, point: int) -> Mass:
        """From one review to the next."""
        return demand_over(self.stream[point], point_mass(self.periods(point)))

    def overshoot(self, point: int, multiple: float, least: float) -> Mass:
        """Of the level, by the orders of a review."""
        return overshoot(self.of_review(point), int(multiple), int(least))


def _laws_of(network: Network, product: int) -> tuple[dict[int, Mass], dict[tuple[int, int], Mass]]:
    """A product's external demand by customer-facing point, and by edge how long a period's order takes to arrive."""
    facing, edges = network.customer_facing.tolist(), edge_pairs(network)
    demand = {point: laws[product].mass() for point, laws in zip(facing, network.demand_laws, strict=True)}
    return demand, {edge: network.time_to_arrive(place, product) for place, edge in enumerate(edges)}


def edge_pairs(network: Network) -> list[tuple[int, int]]:
    """Edges as (supplier, customer) with -1 for the outside."""
    return [(int(a), int(b)) for a, b in zip(network.edge_source, network.edge_target, strict=True)]


def echelon_weights(firm: Firm) -> Levels:
    """Share of each point's stream that passes through each other point, [N, N]."""
    network = Network.of(firm)
    return descendant_weights(edge_pairs(network), len(firm.names), network.shares)


def reorder_rule(firm: Firm, name: str = "reorder") -> BaseStock:
    """The best (s, S) of each point on its own, given the mean flow through it and its fixed order cost.

    Upstream points face the summed demand of their customers; their penalty is that of the customers they serve (our
    reading: the exact rule is for a single stock point). With reviews every so many periods it is the rule of their
    demand, and still exact. Packs and minima lower both numbers by what the newsvendor's level falls (ours; exact where
    an order costs nothing but its units).
    """
    network, points = Network.of(firm), range(len(firm.names))
    holding, fixed, backorder = firm.amounts("holding_cost"), firm.fixed_costs(), shortage_cost(firm)
    least, packs = firm.least_orders(), firm.amounts("order_multiple", 1.0)
    reorder_points, levels = np.zeros(holding.shape), np.zeros(holding.shape)
    for k in range(len(firm.products)):
        streams = _Streams(network, k)
        for point in points:
            if streams.stream[point][0] == 1.0:  # it never sells: nothing is stocked
                reorder_points[point, k] = -1
                continue
            needed, rate = streams.needed(point), max(float(holding[point, k]), 1e-6)
            short = max(1e-6, *(float(backorder[p, k]) for p in [point, *network.descendants(point)]))
            cost = float(fixed[point, k]) / streams.periods(point)  # a period: costs at a position are, too
            best = best_order_up_to(streams.of_review(point), needed, rate, short, cost)
            reorder_points[point, k], levels[point, k] = best.reorder_point, best.order_up_to
            if least[point, k] > 1:
                over = streams.overshoot(point, packs[point, k], least[point, k])
                level = level_below(needed, over, critical_ratio(short, rate))
                shift = level - newsvendor(needed, short, rate)
                reorder_points[point, k], levels[point, k] = best.reorder_point + shift, best.order_up_to + shift
    return BaseStock(name, levels, reorder_points=reorder_points)
