"""Ordering with a fixed cost per order: the exact best (s, S) rule of a single stock point.

The point reviews its position every period, backorders what it lacks, and pays a fixed cost in every period in which it
orders. The rules see only the cost of being at a position: G(y) = E[h (y - D)^+ + b (D - y)^+], where D is demand over
the protection interval and y the inventory position after ordering.

Throughout, `demand` is the mass function of one period's demand, not always 0, and `lead_time_demand` that of D, units.
`holding_cost` h > 0 and `backorder_cost` b > 0 are per unit and period, `fixed_order_cost` K >= 0 per order. Anything
else is a ValueError.
"""

from __future__ import annotations

from functools import cache
from operator import mul
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heuristics.mass import Mass, backorders_at, mean
from heuristics.newsvendor import critical_ratio, newsvendor

Vector = NDArray[np.float64]


class OrderUpTo(NamedTuple):
    """(s, S): when the inventory position is at or below ``reorder_point``, order up to ``order_up_to``."""

    reorder_point: int  # s, units; may be negative where ordering is dear
    order_up_to: int  # S > s, units
    cost: float  # long-run average per period


def position_cost(
    lead_time_demand: Mass, position: ArrayLike, holding_cost: float, backorder_cost: float
) -> NDArray[np.float64]:
    """Expected cost of a period at an inventory position after ordering: G(y) = h (y - E[D]) + (h + b) E[(D - y)^+].

    `position` is y, any shape, units, possibly negative; the cost has the same shape and is convex in it.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3.
    """
    level = np.asarray(position, dtype=np.float64)
    shortfall = backorders_at(lead_time_demand, level)
    return holding_cost * (level - mean(lead_time_demand)) + (holding_cost + backorder_cost) * shortfall


def order_up_to_cost(
    reorder_point: int,
    order_up_to: int,
    demand: Mass,
    lead_time_demand: Mass,
    holding_cost: float,
    backorder_cost: float,
    fixed_order_cost: float,
) -> float:
    """Exact average cost of (s, S) per period: (K + sum_{j < S - s} m(j) G(S - j)) / sum_{j < S - s} m(j).

    m is the renewal density of demand: the expected number of periods spent at j units below S between two orders.

    Source: Veinott & Wagner (1965); Zheng & Federgruen (1991), equation 1.
    """
    if reorder_point >= order_up_to:
        raise ValueError(f"reorder_point must be below order_up_to, got {reorder_point} and {order_up_to}")
    _check(demand, holding_cost, backorder_cost, fixed_order_cost)
    visits = _renewal_density(demand, order_up_to - reorder_point)
    positions = np.arange(order_up_to, reorder_point, -1)
    spent = visits @ position_cost(lead_time_demand, positions, holding_cost, backorder_cost)
    return float((fixed_order_cost + spent) / visits.sum())


def best_order_up_to(
    demand: Mass, lead_time_demand: Mass, holding_cost: float, backorder_cost: float, fixed_order_cost: float
) -> OrderUpTo:
    """Exact best (s, S) rule of one point with backorders, infinite horizon, average cost; s = S - 1 where K = 0.

    Source: Zheng & Federgruen (1991), Finding optimal (s, S) policies is about as simple as evaluating a single policy,
        Operations Research 39(4).
    """
    _check(demand, holding_cost, backorder_cost, fixed_order_cost)
    visits = _renewal_density(demand, 2 * lead_time_demand.size)

    @cache
    def stay(position: int) -> float:
        return float(position_cost(lead_time_demand, position, holding_cost, backorder_cost))

    def average(s: int, upper: int) -> float:
        nonlocal visits
        if upper - s > visits.size:
            visits = _renewal_density(demand, 2 * (upper - s))
        share = visits[: upper - s]
        spent = sum(map(mul, share.tolist(), map(stay, range(upper, s, -1))))
        return float((fixed_order_cost + spent) / share.sum())

    best_upper = newsvendor(lead_time_demand, backorder_cost, holding_cost)
    s = best_upper - 1
    while average(s, best_upper) > stay(s):
        s -= 1
    best = average(s, best_upper)
    upper = best_upper + 1
    while stay(upper) <= best:
        if average(s, upper) < best:
            best_upper = upper
            while s + 1 < upper and average(s, upper) <= stay(s + 1):
                s += 1
            best = average(s, upper)
        upper += 1
    return OrderUpTo(s, best_upper, best)


def _renewal_density(demand: Mass, length: int) -> Vector:
    """Expected number of periods in which demand so far is j = 0..length - 1, the first period's start included."""
    density = np.zeros(length)
    density[0] = 1.0
    for j in range(length):
        most = min(j, demand.size - 1)
        density[j] = (density[j] + demand[1 : most + 1] @ density[j - most : j][::-1]) / (1.0 - demand[0])
    return density


def _check(demand: Mass, holding_cost: float, backorder_cost: float, fixed_order_cost: float) -> None:
    critical_ratio(backorder_cost, holding_cost)
    if not backorder_cost > 0:
        raise ValueError(f"backorder_cost must be above 0, got {backorder_cost}; without it never ordering is best")
    if fixed_order_cost < 0:
        raise ValueError(f"fixed_order_cost must be at least 0, got {fixed_order_cost}")
    if demand.size == 1 or demand[0] >= 1.0:
        raise ValueError("demand must not always be 0; a point without demand needs no rule")
