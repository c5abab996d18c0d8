"""Exact optimum of one stock point: a dynamic programme over stock, pipeline and what is recommended.

A point sells K products (one or two in practice) and decides in every period, before the period's demand is known, what
to order and which of A exposures to show. Of each product with lead time L the state is y, the stock that meets the
coming demand (on hand and arriving, less backlog), and x_2, .., x_L, what arrives in the periods after it. With an
order q the next state is

    y' = (y - D)^+ + x_2 where sales are lost, (y - D) + x_2 where they wait;    x' = (x_3, .., x_L, q),

and q takes the place of x_2 if L = 1: an order of period t meets the demand of t + L, as in the firm's world. Products'
demands are independent given the exposure, so an expectation is one matrix product for each of them.

Throughout, `laws` [A][K] are the mass functions of a period's demand under each exposure. Money is earned: costs count
below zero. Tables over states have the axes `Point.shape`; `after` is the state between demand and arrival, with axes
y, x_2, .., x_L, q of each product.

Source: Bellman (1957); the pipeline as state in Karlin & Scarf (1958); bounds on orders in Zipkin (2008), On the
structure of lost-sales inventory models, Operations Research 56(4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heuristics.mass import Mass, mean, quantile, total

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
State = tuple[int, ...]

_TIE = 1e-9  # money: of actions whose values are this close the first counts, the one of the least orders
_STILL = 1e-9  # chance: a law of states that moves by less in a period has settled
_MOST_SWEEPS = 100_000  # of value iteration
_MOST_ROUNDS = 60  # of improvements of a policy that does not see the clock


@dataclass(frozen=True)
class Point:
    """A stock point and the grid on which its state lives; amounts by product, [K], money per unit (and period)."""

    lost: bool  # whether unmet demand is lost; else it waits
    lead_time: Sequence[int]  # periods, at least 1
    max_order: Sequence[int]  # units
    low: Sequence[int]  # units, least y: 0 where sales are lost, else backlog beyond it is forgotten
    high: Sequence[int]  # units, largest y: what would lie beyond is thrown away
    holding_cost: ArrayLike  # of a unit left over
    shortage_cost: ArrayLike  # of a unit lost, or waiting
    price: ArrayLike
    unit_cost: ArrayLike
    salvage_value: ArrayLike  # of a unit on hand or on its way when an episode ends

    def __post_init__(self) -> None:
        """Refuse grids that are none."""
        if min(*self.lead_time, *self.max_order) < 1:
            raise ValueError(f"lead_time and max_order must be at least 1, got {self.lead_time} and {self.max_order}")
        if max(self.low) > 0 or min(self.high) < 1 or (self.lost and any(self.low)):
            raise ValueError(f"low must be at most 0 (0 where sales are lost) below high, got {self.low}, {self.high}")

    @property
    def axes(self) -> list[State]:
        """Sizes of y, x_2, .., x_L by product."""
        grid = zip(self.low, self.high, self.lead_time, self.max_order, strict=True)
        return [(high - low + 1, *[most + 1] * (lead - 1)) for low, high, lead, most in grid]

    @property
    def shape(self) -> State:
        """Of a table over states: the axes of the first product, then those of the next."""
        return tuple(size for own in self.axes for size in own)

    @property
    def after_shape(self) -> State:
        """Of a table over what stock and pipeline are after demand and before arrivals."""
        return tuple(size for own, most in zip(self.axes, self.max_order, strict=True) for size in (*own, most + 1))

    def levels(self, k: int) -> Indices:
        """The values of a product's y."""
        return np.arange(self.low[k], self.high[k] + 1)

    def axis(self, k: int, orders: bool = False) -> int:
        """The axis of a product's y, in a table with or without the orders' own axes."""
        return sum(len(own) + orders for own in self.axes[:k])

    def state(self, stock: ArrayLike, pipeline: Sequence[ArrayLike]) -> State:
        """Place of a state in a table: `stock` [K] units less backlog, `pipeline` [K][L] arriving next, .., last."""
        place: list[int] = []
        for k, (units, own) in enumerate(zip(np.asarray(stock).tolist(), pipeline, strict=True)):
            first, *later = np.asarray(own).astype(int).tolist()
            place += [min(max(int(units) + first, self.low[k]), self.high[k]) - self.low[k], *later]
        return tuple(place)

    @cached_property
    def onward(self) -> Indices:
        """The state that each after leads to, [*after_shape], places in a flat table over states."""
        state = np.arange(np.prod(self.shape), dtype=np.int64).reshape(self.shape)
        for k in reversed(range(len(self.axes))):
            reached = np.minimum(self.levels(k)[:, None] + np.arange(self.max_order[k] + 1), self.high[k])
            state = np.take(state, reached - self.low[k], axis=self.axis(k))
        return state

    def end(self) -> Array:
        """What each after is worth when an episode ends, [*after_shape]: salvage, less the price of what is owed."""
        worth = np.zeros([1] * len(self.after_shape))
        salvage, price = (np.asarray(money, dtype=np.float64) for money in (self.salvage_value, self.price))
        for k, own in enumerate(self.axes):
            level = self.levels(k)
            parts = [salvage[k] * np.maximum(level, 0) - price[k] * np.maximum(-level, 0)]
            parts += [salvage[k] * np.arange(size) for size in (*own[1:], self.max_order[k] + 1)]
            for step, part in enumerate(parts):
                worth = worth + _along(part, self.axis(k, orders=True) + step, worth.ndim)
        return np.broadcast_to(worth, self.after_shape)


class Decisions(NamedTuple):
    """What to do in each state; in each period, on a leading axis, where the clock counts."""

    order: NDArray[np.int16]  # [.., K, *shape] units
    exposure: NDArray[np.int16]  # [.., *shape] which of the A
    answer: NDArray[np.int16]  # [.., A, K, *shape] units, the best order if that exposure is shown

    def at(self, period: int) -> Decisions:
        """Those of one period of many."""
        return Decisions(*(table[period] for table in self))


class Optimum(NamedTuple):
    """A policy, and what it earns: in an episode, or in a period of the long run."""

    value: float
    decisions: Decisions


class Programme:
    """A period of a point under given laws of demand: what actions are worth and where they lead."""

    def __init__(self, point: Point, laws: Sequence[Sequence[Mass]]) -> None:
        """Prepare; `laws` [A][K] of the period's demand under each exposure."""
        self.point, products = point, range(len(point.axes))
        self._orders = tuple(most + 1 for most in point.max_order)
        self._paid = reduce(
            np.add.outer,
            [cost * np.arange(n) for cost, n in zip(np.asarray(point.unit_cost), self._orders, strict=True)],
        ).ravel()
        self._reached = [[_transition(point.levels(k), of[k], point.lost) for k in products] for of in laws]
        self._earned = [reduce(np.add, (self._sales(k, of[k]) for k in products)) for of in laws]

    def _sales(self, k: int, law: Mass) -> Array:
        """Income less costs of stock and shortage of one product, over the states; a unit that waits is paid now."""
        point, level = self.point, self.point.levels(k)
        left = np.maximum(level[:, None] - np.arange(law.size), 0) @ law
        short = mean(law) - level + left
        sold = mean(law) - short if point.lost else mean(law)
        price, holding, shortage = (np.asarray(m)[k] for m in (point.price, point.holding_cost, point.shortage_cost))
        return _along(price * sold - holding * left - shortage * short, point.axis(k), len(point.shape))

    def actions(self, after: Array) -> Iterator[Array]:
        """For each exposure what each order is worth in each state, [*shape, orders], given what afters are worth."""
        products = range(len(self._orders))
        starts = [self.point.axis(k, orders=True) for k in products]
        last = [start + len(own) for start, own in zip(starts, self.point.axes, strict=True)]
        for moves, earned in zip(self._reached, self._earned, strict=True):
            value = after
            for k in products:
                value = _applied(moves[k], value, starts[k])
            value = np.moveaxis(value, last, range(-len(last), 0)).reshape(*self.point.shape, -1)
            yield value + earned[..., None] - self._paid

    def best(self, worth: Iterable[Array]) -> tuple[Array, Decisions]:
        """The largest value of each state, [*shape], of `actions`, and how it is reached."""
        value, exposure = np.full(self.point.shape, -np.inf), np.zeros(self.point.shape, dtype=np.int16)
        order, answers = np.zeros(self.point.shape, dtype=np.int64), []
        for number, of_orders in enumerate(worth):
            most = of_orders.max(-1)
            first = (of_orders >= most[..., None] - _TIE).argmax(-1)
            better = most > value + _TIE
            value = np.where(better, most, value)
            order = np.where(better, first, order)
            exposure[better] = number
            answers.append(self._units(first))
        return value, Decisions(self._units(order), exposure, np.array(answers))

    def _units(self, order: Indices) -> NDArray[np.int16]:
        """Of flat places of orders what they are by product, [K, *shape]."""
        return np.array(np.unravel_index(order, self._orders), dtype=np.int16)

    def under(self, worth: Iterable[Array], decisions: Decisions) -> Array:
        """Of `actions` what these decisions are worth, [*shape]."""
        order, value = self._order(decisions)[..., None], np.zeros(self.point.shape)
        for number, of_orders in enumerate(worth):
            taken = np.take_along_axis(of_orders, order, -1)[..., 0]
            value = np.where(decisions.exposure == number, taken, value)
        return value

    def spread(self, chance: Array, decisions: Decisions) -> Array:
        """Chance of each state in the next period, [*shape], from that in this one."""
        point, order = self.point, self._order(decisions)
        found, products = np.zeros(chance.size), range(len(self._orders))
        starts = [point.axis(k, orders=True) for k in products]
        last = [start + len(own) for start, own in zip(starts, point.axes, strict=True)]
        for number, moves in enumerate(self._reached):
            held = np.where(decisions.exposure == number, chance, 0.0)
            placed = np.zeros((*point.shape, self._paid.size))
            np.put_along_axis(placed, order[..., None], held[..., None], -1)
            mass = np.moveaxis(placed.reshape(*point.shape, *self._orders), range(-len(last), 0), last)
            for k in products:
                mass = _applied(moves[k].T, mass, starts[k])
            found += np.bincount(point.onward.ravel(), mass.ravel(), chance.size)
        return found.reshape(chance.shape)

    def _order(self, decisions: Decisions) -> Indices:
        return np.asarray(np.ravel_multi_index(tuple(decisions.order.astype(np.int64)), self._orders))


def best_in_episode(programmes: Sequence[Programme], start: State) -> Optimum:
    """The optimum of an episode with one programme a period: backward induction from the salvage of what is left.

    Args:
        programmes: [T] of the same point.
        start: the state of period 0, see `Point.state`.
    """
    point, decided = programmes[0].point, []
    after, value = point.end(), np.empty(0)
    for programme in reversed(programmes):
        value, decisions = programme.best(programme.actions(after))
        decided.append(decisions)
        after = value.ravel()[point.onward]
    return Optimum(float(value[start]), Decisions(*map(np.array, zip(*reversed(decided), strict=True))))


def best_in_long_run(programme: Programme, tolerance: float = 1e-7) -> Optimum:
    """The largest average a period, by relative value iteration until its bounds are `tolerance` apart.

    Raises:
        RuntimeError: they do not meet.

    Source: Odoni (1969), On finding the maximal gain for Markov decision processes, Operations Research 17.
    """
    value = np.zeros(programme.point.shape)
    for _ in range(_MOST_SWEEPS):
        better, decisions = programme.best(programme.actions(value.ravel()[programme.point.onward]))
        rise = better - value
        if rise.max() - rise.min() < tolerance:
            return Optimum(float(rise.max() + rise.min()) / 2, decisions)
        value = better - better.flat[0]
    raise RuntimeError(f"value iteration does not settle: after {_MOST_SWEEPS} sweeps bounds are {np.ptp(rise)} apart")


def value_of(programmes: Sequence[Programme], decisions: Sequence[Decisions], start: State) -> float:
    """What decisions [T] earn in an episode; arguments as in `best_in_episode`."""
    after, point, value = programmes[0].point.end(), programmes[0].point, np.empty(0)
    for programme, decided in zip(reversed(programmes), reversed(decisions), strict=True):
        value = programme.under(programme.actions(after), decided)
        after = value.ravel()[point.onward]
    return float(value[start])


def order_bounds(demand: Mass, lead_time: int, ratio: float) -> tuple[int, int]:
    """Units beyond which a single order, and stock and pipeline with it, need not go where sales are lost.

    A unit that is ordered now instead of one period later is worth more only if it would be missed in the period of its
    arrival: by an order q with at most P(D > q), by a position v with at most P(D_1 + .. + D_{L+1} > v). So neither
    needs to exceed the ratio's quantile of one and of L + 1 periods' demand. It holds where an order may be larger by a
    unit, and every unit costs the same.

    Args:
        demand: of a period; the largest, if it can be moved.
        lead_time: L.
        ratio: what a missed unit loses over the sum of that and of what a unit too many costs.

    Source: Zipkin (2008), On the structure of lost-sales inventory models, section 3.
    """
    return quantile(demand, ratio), quantile(total([demand] * (lead_time + 1)), ratio)


def touched(programmes: Sequence[Programme], decisions: Sequence[Decisions], start: State) -> float:
    """The largest chance, of all periods, that some product's stock, or what of it waits, is at the end of the grid."""
    point, most = programmes[0].point, 0.0
    ends = np.zeros(point.shape, dtype=bool)
    for k in range(len(point.axes)):
        along = np.moveaxis(ends, point.axis(k), 0)
        along[-1] = True
        along[: (point.max_order[k] + 1) * (point.low[k] < 0)] = True  # what waited there has been lifted by arrivals
    chance = np.zeros(point.shape)
    chance[start] = 1.0
    steady = len({*map(id, programmes)}) == len({*map(id, decisions)}) == 1
    for programme, decided in zip(programmes, decisions, strict=True):
        before, chance = chance, programme.spread(chance, decided)
        most = max(most, float(chance[ends].sum()))
        if steady and np.abs(chance - before).sum() < _STILL:
            break
    return most


def best_blind(programmes: Sequence[Programme], start: State) -> Optimum:
    """A policy of an episode that looks at the state alone, not at the clock: one order and one exposure a state.

    Starts at what the optimum decides in the middle of the episode. Then every state takes the action that is best on
    average over the periods in which episodes are there; if all states together do not gain by it, the half, the
    quarter, .. of them that would gain most. It ends where no state's change pays: a local optimum among policies
    without a clock (ours; on `tiny` it is the same whichever period's decisions it starts at).

    Args:
        programmes: as in `best_in_episode`.
        start: the same.
    """
    optimum, periods = best_in_episode(programmes, start), len(programmes)
    decisions = optimum.decisions.at(periods // 2)
    value = value_of(programmes, [decisions] * periods, start)
    for _ in range(_MOST_ROUNDS):
        gain, wanted = _regrets(programmes, decisions, start)
        order = np.argsort(-gain, axis=None)[: np.count_nonzero(gain > _TIE)]
        while len(order):
            changed = np.zeros(gain.shape, dtype=bool)
            changed.flat[order] = True
            tried = Decisions(*(np.where(changed, *both) for both in zip(wanted, decisions, strict=True)))
            if (earned := value_of(programmes, [tried] * periods, start)) > value + _TIE:
                value, decisions = earned, tried
                break
            order = order[: len(order) // 2]
        else:
            break
    return Optimum(value, decisions)


def _regrets(programmes: Sequence[Programme], decisions: Decisions, start: State) -> tuple[Array, Decisions]:
    """What the best single change in each state would earn more over an episode, [*shape], and that change."""
    point = programmes[0].point
    chance = np.zeros(point.shape)
    chance[start] = 1.0
    chances = list(accumulate(programmes[:-1], lambda now, programme: programme.spread(now, decisions), initial=chance))
    after, total = point.end(), np.zeros(1)
    for programme, now in zip(reversed(programmes), reversed(chances), strict=True):
        worth = np.array(list(programme.actions(after)))  # [A, *shape, orders]
        total = total + now[..., None] * worth
        after = programme.under(worth, decisions).ravel()[point.onward]
    most, wanted = programmes[0].best(total)
    return most - programmes[0].under(total, decisions), wanted


def _along(values: Array, axis: int, axes: int) -> Array:
    """A vector as a table of so many axes that changes along one of them."""
    return np.reshape(values, [-1 if place == axis else 1 for place in range(axes)])


def _applied(matrix: Array, table: Array, axis: int) -> Array:
    """The matrix times each vector of a table that lies along an axis."""
    before = int(np.prod(table.shape[:axis]))
    moved = matrix @ table.reshape(before, table.shape[axis], -1)
    return moved.reshape(table.shape)


def _transition(level: Indices, law: Mass, lost: bool) -> Array:
    """Chance of each level after demand, [from, to]; below the grid there is nothing (more) to lose."""
    reached = np.zeros((level.size, level.size))
    rows = np.arange(level.size)
    for units, chance in enumerate(law):
        reached[rows, np.maximum(rows - units, 0)] += chance
    return reached
