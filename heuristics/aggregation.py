"""Decomposition-aggregation: base-stock levels for divergent and general supply networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heuristics.base_stock import descendant_weights
from heuristics.mass import (
    Mass,
    as_mass,
    backorders_at,
    expected_backorders,
    lead_time_demand,
    mixture,
    thinned,
    total,
)
from heuristics.serial import local_levels, shang_song_mass

Edge = tuple[int, int]

# A rate that does not fall upstream counts as this part of its customer's: Shang-Song has no finite level otherwise.
_FALLING_RATE = 0.9


def decomposition_aggregation(
    edges: Sequence[Edge],
    holding_cost: ArrayLike,
    backorder_cost: ArrayLike,
    demand: Mapping[int, ArrayLike],
    lead_time: Mapping[Edge, ArrayLike],
    shares: Mapping[Edge, float] | None = None,
) -> NDArray[np.int64]:
    """Installation base-stock levels of a supply network by decomposition-aggregation.

    1. Decompose: one serial system per path from a customer-facing point to the outside, with that point's demand and
       cost; the path's weight is the chance that an order takes it, each point sending its order to one supplier at
       random.
    2. Solve each: echelon levels by Shang and Song, local levels by differences.
    3. Aggregate: at each point i the smallest whole s with E[(D_i - s)^+] <= sum_w weight_w E[(D_w - s_w)^+], over the
       paths w through i; D_i is lead-time demand of all that reaches i, D_w of the customers of path w alone.

    In divergent networks all weights are 1 and this is the published heuristic; a pure customer-facing point keeps its
    serial level. Our reading, the papers being silent: weights, and thinned demand (``mass.thinned``), in general
    networks; a point with several suppliers has the mixture of their lead times; a point that both faces customers and
    supplies others is one more customer of itself; a serial level is not rounded before matching; along a path a
    holding cost that does not fall upstream counts as at most 0.9 of its customer's. For lost sales pass the cost of a
    lost unit as ``backorder_cost``.

    Args:
        edges: pairs (supplier, customer) of point indices 0..N - 1; suppliers -1, -2, .. are outside.
        holding_cost: [N] cost per unit and period, >= 0, and > 0 at customer-facing points.
        backorder_cost: [N] cost per unit and period, > 0 at customer-facing points; elsewhere not used.
        demand: customer-facing point -> mass function of one period's external demand, units.
        lead_time: edge -> mass function of its lead time, periods.
        shares: chance that an order takes an edge; None: all suppliers of a point are alike.

    Returns:
        [N] int64 base-stock levels, units, >= 0.

    Raises:
        ValueError: An edge or its lead time is missing or unknown, the network has a cycle, a point has no supplier or
            no customers, or a cost or probability is out of range.

    Source: Rong, Atan & Snyder (2017), Heuristics for base-stock levels in multi-echelon distribution networks,
        Production and Operations Management 26(9); generalised as in Ziegner et al. (arXiv 2503.18201).
    """
    holding, backorder = np.asarray(holding_cost, dtype=np.float64), np.asarray(backorder_cost, dtype=np.float64)
    demands = {point: as_mass(law, f"demand[{point}]") for point, law in demand.items()}
    _check(edges, holding, backorder, demands, lead_time)
    suppliers = suppliers_of(edges, holding.size)
    lead_times = [_order_lead_time(point, suppliers[point], lead_time, shares) for point in range(holding.size)]

    @cache
    def protected(leaf: int, point: int) -> Mass:
        return lead_time_demand(demands[leaf], lead_times[point])

    allowed = np.zeros(holding.size)  # expected backorders that the serial systems through each point leave
    for leaf in demands:
        for path, weight in _paths(leaf, suppliers, shares):
            laws = [protected(leaf, point) for point in path]
            echelon_level = shang_song_mass(laws, _falling(holding[path]), float(backorder[leaf]))
            for point, law, level in zip(path, laws, local_levels(echelon_level), strict=True):
                allowed[point] += weight * float(backorders_at(law, level))
    stream = demand_streams(demands, suppliers, shares)
    return np.array(
        [matching_level(lead_time_demand(stream[i], lead_times[i]), allowed[i]) for i in range(holding.size)]
    )


def suppliers_of(edges: Sequence[Edge], points: int) -> list[list[int]]:
    """The suppliers of each point, [N], below 0 those outside, in the order of the edges."""
    suppliers: list[list[int]] = [[] for _ in range(points)]
    for supplier, customer in edges:
        suppliers[customer].append(supplier)
    return suppliers


def demand_streams(
    demands: Mapping[int, Mass], suppliers: Sequence[Sequence[int]], shares: Mapping[Edge, float] | None = None
) -> dict[int, Mass]:
    """What reaches each point in one period, and so what it orders, units; customers come before their suppliers."""
    customers: dict[int, list[int]] = {point: [] for point in range(len(suppliers))}
    for customer, sources in enumerate(suppliers):
        for supplier in sources:
            if supplier >= 0:
                customers[supplier].append(customer)
    stream: dict[int, Mass] = {}
    for point in TopologicalSorter(customers).static_order():
        own = [demands[point]] if point in demands else []
        stream[point] = total(
            own + [thinned(stream[c], _part(1.0, (point, c), suppliers, shares)) for c in customers[point]]
        )
    return stream


def matching_level(lead_time_demand: Mass, allowed_backorders: float) -> int:
    """Smallest whole level s >= 0, units, with E[(D - s)^+] <= the backorders allowed, units (to a relative 1e-9).

    `lead_time_demand` is the mass function of D over the protection interval.

    Source: Rong, Atan & Snyder (2017), backorder matching.
    """
    return int(np.argmax(expected_backorders(lead_time_demand) <= allowed_backorders * (1 + 1e-9) + 1e-12))


def _part(whole: float, edge: Edge, suppliers: Sequence[Sequence[int]], shares: Mapping[Edge, float] | None) -> float:
    """Of a chance, that of one supplier."""
    return whole / len(suppliers[edge[1]]) if shares is None else whole * shares[edge]


def _paths(
    leaf: int, suppliers: Sequence[Sequence[int]], shares: Mapping[Edge, float] | None
) -> list[tuple[list[int], float]]:
    """All paths from the leaf upwards until the outside, each with the chance that an order takes it."""
    unfinished, finished = [([leaf], 1.0)], []
    while unfinished:
        path, weight = unfinished.pop()
        for supplier in suppliers[path[-1]]:
            chance = _part(weight, (supplier, path[-1]), suppliers, shares)
            if supplier < 0:
                finished.append((path, chance))
            elif chance > 0:
                unfinished.append(([*path, supplier], chance))
    return finished


def _falling(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The holding costs along a path, made to fall where they don't."""
    falling = rates.copy()
    for below, here in pairwise(range(rates.size)):
        if falling[here] >= falling[below]:
            falling[here] = _FALLING_RATE * falling[below]
    return falling


def _order_lead_time(
    point: int, sources: Sequence[int], lead_time: Mapping[Edge, ArrayLike], shares: Mapping[Edge, float] | None
) -> Mass:
    laws = [as_mass(lead_time[source, point], f"lead_time[{source}, {point}]") for source in sources]
    return mixture(laws, [1 / len(laws) if shares is None else shares[source, point] for source in sources])


def _check(
    edges: Sequence[Edge],
    holding_cost: NDArray[np.float64],
    backorder_cost: NDArray[np.float64],
    demands: Mapping[int, Mass],
    lead_time: Mapping[Edge, ArrayLike],
) -> None:
    points = holding_cost.size
    if holding_cost.shape != (points,) or backorder_cost.shape != (points,):
        raise ValueError(
            f"holding_cost and backorder_cost must both have shape [N], "
            f"got {holding_cost.shape} and {backorder_cost.shape}"
        )
    if not (np.isfinite(holding_cost) & (holding_cost >= 0)).all():
        raise ValueError(f"holding_cost must be finite and >= 0, got {holding_cost.tolist()}")
    if set(lead_time) != set(edges):
        raise ValueError(f"lead_time must have exactly the edges as keys; differing: {set(lead_time) ^ set(edges)}")
    if not demands or not set(demands) <= set(range(points)):
        raise ValueError(
            f"demand must have customer-facing points among 0..{points - 1} as keys, got {sorted(demands)}"
        )
    weights = descendant_weights(edges, points)
    for point in range(points):
        if all(customer != point for _, customer in edges):
            raise ValueError(f"point {point} has no supplier; add the edge (-1, {point}) for the outside")
        if not weights[point, list(demands)].any():
            raise ValueError(f"point {point} reaches no customer; give it demand or customers, or leave it out")
    for point in demands:
        if not (backorder_cost[point] > 0 and holding_cost[point] > 0):
            raise ValueError(
                f"point {point} faces customers and needs holding_cost > 0 and backorder_cost > 0, "
                f"got {holding_cost[point]} and {backorder_cost[point]}"
            )
