"""Two suppliers of one stock point: the optimum and the rules of dual sourcing, exactly.

Unmet demand waits. An order of period t meets the demand of t + l_e from the expedited supplier and of t + l_r, l_r >
l_e, from the regular one. What counts is y, the stock and all that arrives within l_e, less backlog, and q_1, .., q_m,
m = l_r - l_e - 1, the regular orders behind it: an expedited order e lifts y to z = y + e, and with a regular order r

    y' = z - D + q_1;    q' = (q_2, .., q_m, r),

where r takes the place of q_1 if m = 0. What l_e periods and their order meet is L(z), the cost of z less the demand of
l_e + 1 periods. Tables over states have the axes y, q_1, .., q_m; those behind an expedited order z in place of y.

Source: Whittemore & Saunders (1977), Optimal inventory under stochastic demand with two supply options, SIAM Journal on
Applied Mathematics 32(2); the reduction to y: Sheopuri, Janakiraman & Seshadri (2010), New policies for the stochastic
inventory control problem with two supply sources, Operations Research 58(3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from heuristics.mass import Mass, backorders_at, cdf, mean, total

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
DualRule: TypeAlias = Literal["dual-index", "capped-dual-index", "single-index", "tailored-base-surge"]

DUAL_RULES: tuple[DualRule, ...] = get_args(DualRule)
_TIE = 1e-9  # money: of orders whose values are this close the smallest counts
_STILL = 1e-13  # chance: a law of states that moves by less in a period has settled
_NEVER = 1e-9  # a chance that does not count
_MOST_SWEEPS = 100_000
_MOST_STATES = 2e7  # of a table
_MOST_WORK = 5e8  # of a search, see `search_work`: about five minutes
_EVERY_LAW = 5000  # states' worth of work that a law takes however few it has (measured)
_DOUBLINGS = 8  # of a grid whose end is touched


@dataclass(frozen=True)
class DualSource:
    """One stock point and its two suppliers; money is per unit (and period)."""

    demand: Mass  # of a period
    regular_lead_time: int  # l_r, periods
    expedited_lead_time: int  # l_e, periods, below l_r
    holding_cost: float
    backorder_cost: float
    regular_cost: float
    expedited_cost: float

    def __post_init__(self) -> None:
        """Refuse what is no dual source."""
        if not 0 <= self.expedited_lead_time < self.regular_lead_time:
            raise ValueError(
                "expedited_lead_time must be at least 0 and below regular_lead_time, "
                f"got {self.expedited_lead_time} and {self.regular_lead_time}"
            )
        if self.demand.size < 2:
            raise ValueError("demand must not always be 0")

    @property
    def behind(self) -> int:
        """m, how many regular orders lie behind y."""
        return self.regular_lead_time - self.expedited_lead_time - 1

    @property
    def largest(self) -> int:
        """Demand of a period at most, units."""
        return self.demand.size - 1

    def loss(self, level: Indices) -> Array:
        """L, what stock and backlog cost at whole levels z, money a period."""
        over = total([self.demand] * (self.expedited_lead_time + 1))
        short = backorders_at(over, level)
        return self.holding_cost * (level - mean(over) + short) + self.backorder_cost * short


class DualOrders(NamedTuple):
    """A policy as tables: what is ordered in each state."""

    low: int  # units, the least y
    expedited: Indices  # [y, q_1, .., q_m] units
    regular: Indices  # [y, q_1, .., q_m] units

    def at(self, level: Indices, pipeline: Indices) -> tuple[Indices, Indices]:
        """Expedited and regular orders [E] where y is `level` [E] and q is `pipeline` [m, E]; beyond, at the edge."""
        place = tuple(
            np.clip(units, 0, size - 1)
            for units, size in zip((level - self.low, *pipeline), self.expedited.shape, strict=True)
        )
        return self.expedited[place], self.regular[place]


class DualOptimum(NamedTuple):
    """The policy that costs least a period in the long run."""

    cost: float  # money a period; the middle of bounds that are
    span: float  # apart, see `best_dual_sourcing`
    orders: DualOrders


def best_dual_sourcing(
    source: DualSource, most_regular: int, most_expedited: int, tolerance: float = 1e-6
) -> DualOptimum:
    """The least average cost a period, by relative value iteration until its bounds are `tolerance` apart.

    The grid grows until the policy's own law of states does not touch its ends.

    Args:
        source: the problem.
        most_regular: units, the largest regular order.
        most_expedited: likewise; where the two together are no more than mean demand, ever more waits.
        tolerance: money a period.

    Raises:
        ValueError: one line; mean demand is not covered, or the pipeline is too long for a table.

    Source: Odoni (1969), On finding the maximal gain for Markov decision processes, Operations Research 17.
    """
    if mean(source.demand) >= most_regular + most_expedited:
        raise ValueError("max_order is no more than mean demand, so that ever more waits")
    reach, regular = source.largest * (source.regular_lead_time + 3), min(source.largest + 2, most_regular)
    while True:
        size = 2 * reach * (regular + 1.0) ** (source.behind + 1)
        if size > _MOST_STATES:
            raise ValueError(
                f"its programme would take {size:.2g} states: shorter lead times or smaller demand are within reach"
            )
        found = _iterated(source, -reach, reach, regular, most_expedited, tolerance)
        steady = _steady(source, found.orders)
        if steady.touched > _NEVER:
            reach *= 2
        elif regular < most_regular and steady.largest_regular == regular:
            regular = min(2 * regular, most_regular)
        else:
            return found


def _iterated(
    source: DualSource, low: int, high: int, most_regular: int, most_expedited: int, tolerance: float
) -> DualOptimum:
    level, orders = np.arange(low, high + 1), np.arange(most_regular + 1)
    paid, onward = source.loss(level), _demand_matrix(source.demand, level.size, most_regular)
    value = np.zeros((level.size, *[orders.size] * source.behind))
    for _ in range(_MOST_SWEEPS):
        after = (onward @ value.reshape(level.size, -1)).reshape(-1, *value.shape[1:])  # of z + q_1, then q_2, .., r
        worth = np.moveaxis(sliding_window_view(after, orders.size, axis=0), -1, 1)  # [z, q_1, .., q_m, r]
        worth = worth + source.regular_cost * orders
        least = worth.min(-1)
        best = least + paid.reshape(-1, *[1] * source.behind)
        better, lifted = best.copy(), np.zeros(value.shape, dtype=np.int64)
        for units in range(1, min(most_expedited, level.size - 1) + 1):
            instead = best[units:] + source.expedited_cost * units
            pays = instead < better[:-units] - _TIE
            better[:-units][pays], lifted[:-units][pays] = instead[pays], units
        rise = better - value
        span = float(rise.max() - rise.min())
        if span < tolerance:
            first = (worth <= least[..., None] + _TIE).argmax(-1)
            reached = (np.arange(level.size).reshape(-1, *[1] * source.behind) + lifted, *np.indices(value.shape)[1:])
            return DualOptimum(float(rise.max() + rise.min()) / 2, span, DualOrders(low, lifted, first[reached]))
        value = better - better.flat[0]
    raise RuntimeError(f"value iteration does not settle: after {_MOST_SWEEPS} sweeps bounds are {span} apart")


def _demand_matrix(demand: Mass, levels: int, most: int) -> Array:
    """Chance of each level after demand, [levels + most, levels], from levels up to `most` beyond the grid."""
    reached, rows = np.zeros((levels + most, levels)), np.arange(levels + most)
    for units, chance in enumerate(demand):
        reached[rows, np.clip(rows - units, 0, levels - 1)] += chance
    return reached


class _Steady(NamedTuple):
    """A policy in the long run."""

    after: Array  # [z] chance of each z, from `low` on
    expedited: float  # units a period
    regular: float
    largest_regular: int  # units that are ordered at all
    touched: float  # chance that y is at an end of the grid


def _steady(source: DualSource, orders: DualOrders) -> _Steady:
    """The law of states that a policy settles at; by half steps, so that it settles where demand has a rhythm."""
    shape, reached = orders.expedited.shape, np.indices(orders.expedited.shape)
    after = np.minimum(reached[0] + orders.expedited, shape[0] - 1)
    queue = [*reached[1:], orders.regular]
    onward = [
        np.ravel_multi_index((np.clip(after - units + queue[0], 0, shape[0] - 1), *queue[1:]), shape).ravel()
        for units in range(source.demand.size)
    ]
    start = int(np.ravel_multi_index((-orders.low, *[0] * source.behind), shape))
    live = new = np.array([start])  # what can be reached
    while new.size:
        new = np.setdiff1d(np.concatenate([to[new] for to in onward]), live)
        live = np.union1d(live, new)
    moves = np.searchsorted(live, np.array([to[live] for to in onward])).ravel()
    chance = (live == start).astype(float)
    for _ in range(_MOST_SWEEPS):
        before = chance
        chance = 0.5 * (before + np.bincount(moves, np.outer(source.demand, before).ravel(), live.size))
        if np.abs(chance - before).sum() < _STILL:
            break
    y, expedited, regular = (table.ravel()[live] for table in (reached[0], orders.expedited, orders.regular))
    return _Steady(
        np.bincount(after.ravel()[live], chance, shape[0]).astype(np.float64),
        float(chance @ expedited),
        float(chance @ regular),
        int(regular[chance > _NEVER].max()),
        float(chance[(y == 0) | (y == shape[0] - 1)].sum()),
    )


class IndexLevels(NamedTuple):
    """A rule's numbers and what it costs.

    With positions before orders y + q_1 + .. + q_m = Y, all that is not yet sold:

    - dual index: e = (expedited - y)^+, then r = (regular - Y - e)^+ (Veeraraghavan & Scheller-Wolf 2008, Now or later:
      a simple policy for effective dual sourcing in capacitated systems, Operations Research 56(4));
    - capped dual index: r at most `cap` (Sun & Van Mieghem 2019, Robust dual sourcing inventory management: optimality
      of capped dual index policies and smoothing, Manufacturing & Service Operations Management 21(4));
    - single index: e = (expedited - Y)^+, then r likewise (Scheller-Wolf, Veeraraghavan & van Houtum 2007, Effective
      dual sourcing with a single index policy, working paper);
    - tailored base-surge: e = (expedited - y)^+ and r = `cap` in every period (Allon & Van Mieghem 2010, Global dual
      sourcing: tailored base-surge allocation to near- and offshore production, Management Science 56(1)).
    """

    rule: DualRule
    expedited: int  # level, units
    regular: int | None  # level, units; None: there is none
    cap: int | None  # units; None: none
    cost: float  # money a period in the long run


def index_orders(numbers: IndexLevels, y: Indices, position: Indices) -> tuple[Indices, Indices]:
    """Expedited and regular orders of a rule, units, before anything limits them; arguments of equal shape.

    Args:
        numbers: of the rule.
        y: stock and what arrives within l_e, less backlog.
        position: the same and all that arrives later, Y.
    """
    expedited, regular = index_wishes(numbers, y, position)
    return np.maximum(expedited, 0), np.maximum(regular, 0)


def index_wishes(numbers: IndexLevels, y: Indices, position: Indices) -> tuple[Indices, Indices]:
    """The same before they are cut at 0: below it, how far the position is from an order."""
    expedited = numbers.expedited - (position if numbers.rule == "single-index" else y)
    if numbers.regular is None:
        return expedited, np.full_like(expedited, numbers.cap or 0)
    regular = numbers.regular - position - np.maximum(expedited, 0)
    return expedited, regular if numbers.cap is None else np.minimum(regular, numbers.cap)


def best_index_levels(source: DualSource, rule: DualRule) -> IndexLevels:
    """The best numbers of a rule, exactly.

    How far apart its levels are, and the cap, decide the law of z less the expedited level; given that law, the level
    itself is a newsvendor's. All distances and caps are tried: the distance up to what l_r - l_e + 1 periods can ask
    for, beyond which nothing is expedited in the long run, the cap up to a period's largest demand.

    Raises:
        ValueError: one line; it would take too long, or does not settle.
    """
    if search_work(source, rule) > _MOST_WORK:
        raise ValueError(
            "its levels take more than five minutes to find: shorter lead times or smaller demand take less"
        )
    return min(_settled(source, rule), key=lambda numbers: numbers.cost)


def search_work(source: DualSource, rule: DualRule) -> float:
    """How much work `best_index_levels` is, in states of laws; .6 microseconds each."""
    distances, caps = _tried(source, rule)
    states = (2.0 * _reach(source) + 1.0) * (source.largest + 1.0) ** source.behind
    return len(distances) * len(caps) * (states + _EVERY_LAW)


def _reach(source: DualSource) -> int:
    """How far z may be from the expedited level at first."""
    return source.largest * (source.behind + 3)


def _tried(source: DualSource, rule: DualRule) -> tuple[list[int | None], list[int | None]]:
    """Distances of levels, and caps."""
    distances: list[int | None] = list(range(source.largest * (source.behind + 2) + 1))
    caps: list[int | None] = [None]
    if rule == "single-index":
        distances = list(range(source.largest + 1))
    elif rule == "capped-dual-index":
        caps = list(range(1, source.largest + 1))
    elif rule == "tailored-base-surge":
        distances, caps = [None], list(range(int(np.ceil(mean(source.demand)))))
    return distances, caps


def _settled(source: DualSource, rule: DualRule) -> Iterator[IndexLevels]:
    for distance, cap in product(*_tried(source, rule)):
        numbers, low, steady = _law_of(source, IndexLevels(rule, 0, distance, cap, 0.0))
        level, cost = _newsvendor_level(source, steady.after, low)
        cost += source.regular_cost * steady.regular + source.expedited_cost * steady.expedited
        yield numbers._replace(expedited=level, regular=None if distance is None else level + distance, cost=cost)


def _law_of(source: DualSource, numbers: IndexLevels) -> tuple[IndexLevels, int, _Steady]:
    """A rule with expedited level 0 in the long run, and the least z of the table."""
    reach = _reach(source)
    for _ in range(_DOUBLINGS):
        shape = (2 * reach + 1, *[source.largest + 1] * source.behind)
        place = np.indices(shape)
        y = place[0] - reach
        expedited, regular = index_orders(numbers, y, y + place[1:].sum(0))
        steady = _steady(source, DualOrders(-reach, expedited, np.minimum(regular, source.largest)))
        if steady.touched < _NEVER:
            return numbers, -reach, steady
        reach *= 2
    raise ValueError(f"{numbers.rule} does not settle: what is ordered regularly is nearly all that is sold")


def _newsvendor_level(source: DualSource, after: Array, low: int) -> tuple[int, float]:
    """The level that costs least where z is it plus a random number, `after` from `low` on; and what it costs."""
    used = np.flatnonzero(after)
    after, low = after[used[0] : used[-1] + 1], low + int(used[0])
    over = total([source.demand] * (source.expedited_lead_time + 1))
    net = cdf(np.convolve(over, after[::-1]))  # of demand less z, from -(low + size - 1) on
    ratio = source.backorder_cost / (source.backorder_cost + source.holding_cost)
    level = int(np.searchsorted(net, ratio - 1e-12)) - (low + after.size - 1)
    return level, float(after @ source.loss(level + low + np.arange(after.size)))
