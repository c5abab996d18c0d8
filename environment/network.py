"""The supply network as index arrays: edges, lines of demand, predecessors, descendants, echelons, mean flows.

A *line* is one stream of demand at a stock point: an internal edge (a customer that is a stock point) or the external
customers of a customer-facing point. Edges are numbered with the internal ones first, so edge i is line i for every
internal edge; the lines of the external customers follow.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import count
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from environment.closures import Closures
from environment.customers import per_product
from environment.firm import Firm
from environment.laws import TABLE_SIZE, AnyLaw, Mass
from environment.parts import MAX_LEAD_TIME, OUTSIDE, Supply
from environment.regimes import Regimes
from environment.reviews import Reviews

Amount = TypeVar("Amount", float, NDArray[np.float64])
Indices = NDArray[np.int64]
CUSTOMERS = "customers"  # external ones, where lines have names
PROPORTIONAL, SHORTAGE, LEARNED = 1, 2, 3  # to what is wanted; to whom most is missing; and with precedence
_RATIONING = {"proportional": PROPORTIONAL, "shortage": SHORTAGE, "learned": LEARNED}


@dataclass(frozen=True)
class Network:
    """Index arrays of a firm: N stock points, Ed edges (I of them internal), C that face customers, L = I + C lines."""

    names: tuple[str, ...]  # [N]
    outside: tuple[str, ...]  # names of suppliers outside, the last one `outside` itself
    edge_source: Indices  # [Ed] stock point; below 0 a supplier outside, by its place among them from the last on
    edge_target: Indices  # [Ed]
    internal: int  # I, the number of internal edges
    customer_facing: Indices  # [C] stock points
    supplier_rank: Indices  # [Ed] place of the edge's source among its target's suppliers
    supplier_count: Indices  # [N]
    shares: dict[tuple[int, int], float] | None  # of a point's orders by (supplier, point); None: all alike
    preference: Indices | None  # [Ed] place of the edge among its target's; None unless who has stock is chosen
    split: bool  # whether every order is shared out
    by_edge: bool  # whether every edge has an order of its own
    lead_time_laws: list[list[AnyLaw]]  # [Ed][K]
    demand_laws: list[list[AnyLaw]]  # [C][K]; of customers, their demand in the long run
    disruption: NDArray[np.float64]  # [Ed, 2] chance that an edge is shut, and open again; 0 where it is never shut
    congestion: Indices  # [Ed, 2] units under way for a period more, and most such periods; 0 where there are none
    emergency: NDArray[np.float64]  # [Ed] chance that what its customer is short of is delivered at once
    standing: Indices  # [I] rank of each internal edge by its priority, 0 first; 0 where positions decide alone
    rationing: Indices  # [N] how scarce stock is shared out: 0 one after the other, `PROPORTIONAL`, ... `LEARNED`
    newest_first: NDArray[np.bool_]  # [N] whether it serves new orders first, and by inventory levels
    ships_first: NDArray[np.bool_]  # [N] whether it ships before it receives, see `Firm.sequence`
    emissions: NDArray[np.float64]  # [Ed, K] per unit that leaves
    shipment_emissions: NDArray[np.float64]  # [Ed] per period in which anything leaves
    initial_pipeline: list[list[float | tuple[int, ...]]]  # [Ed][K] units at the start in each slot, or by slot
    reviews: Reviews
    regimes: Regimes | None  # None: nothing switches
    closures: Closures

    @classmethod
    def of(cls, firm: Firm) -> Network:
        """The network of a firm; a stock point that nobody supplies buys from outside with lead time 1."""
        outside = (*firm.suppliers, OUTSIDE)
        index = {name: i - len(outside) for i, name in enumerate(outside)} | {
            name: i for i, name in enumerate(firm.names)
        }
        supplied = {edge.target for edge in firm.supply}
        unsupplied = [name for name in firm.names if name not in supplied]
        supply = [*firm.supply, *(Supply.model_validate({"from": OUTSIDE, "to": name}) for name in unsupplied)]
        supply.sort(key=lambda edge: (edge.source in outside, index[edge.target], index[edge.source]))
        target = [index[edge.target] for edge in supply]
        places: defaultdict[int, Iterator[int]] = defaultdict(count)
        ranks = [next(places[point]) for point in target]
        pairs, sources = [(edge.source, edge.target) for edge in supply], {edge.source for edge in supply}
        shares, preferences = firm.supplier_shares(), firm.preferences()
        chosen = np.array([preferences.get(pair, 0) for pair in pairs], dtype=np.int64)
        return cls(
            names=firm.names,
            outside=outside,
            edge_source=np.array([index[edge.source] for edge in supply], dtype=np.int64),
            edge_target=np.array(target, dtype=np.int64),
            internal=sum(edge.source not in outside for edge in supply),
            customer_facing=np.array([index[name] for name in firm.customer_facing], dtype=np.int64),
            supplier_rank=np.array(ranks, dtype=np.int64),
            supplier_count=np.bincount(target, minlength=len(firm.names)),
            shares=None if shares is None else {(index[s], index[t]): shares.get((s, t), 1.0) for s, t in pairs},
            preference=chosen if firm.supplier_choice == "in-stock" else None,
            split=firm.supplier_choice == "split",
            by_edge=firm.supplier_choice == "ordered",
            lead_time_laws=[firm.lead_time_laws(edge) for edge in supply],
            demand_laws=firm.demand_laws(),
            disruption=np.array([_chances(edge) for edge in supply]),
            congestion=np.array([_slowed(edge) for edge in supply], dtype=np.int64),
            emergency=np.array([edge.emergency for edge in supply]),
            standing=_standing(supply, outside),
            rationing=np.array([_RATIONING.get(point.allocation or "", 0) for point in firm.stock_points.values()]),
            newest_first=np.array([point.allocation == "inventory-level" for point in firm.stock_points.values()]),
            ships_first=np.array([firm.sequence == "geevers" and name in sources for name in firm.names]),
            emissions=np.array([per_product(edge.emissions, firm.products) for edge in supply], dtype=float),
            shipment_emissions=np.array([edge.shipment_emissions for edge in supply]),
            initial_pipeline=[firm.initial_pipeline(edge) for edge in supply],
            reviews=Reviews(firm),
            regimes=Regimes(firm.regimes, firm.customer_facing, [edge.source for edge in supply])
            if firm.regimes
            else None,
            closures=Closures([firm.calendars(edge) for edge in supply]),
        )

    @property
    def line_supplier(self) -> Indices:
        """The stock point that serves each line, [L]."""
        return np.concatenate([self.edge_source[: self.internal], self.customer_facing])

    @property
    def order_point(self) -> Indices:
        """The stock point of each order, [O]: one of every point, or one of every edge."""
        return self.edge_target if self.by_edge else np.arange(len(self.names))

    @cached_property
    def preceding(self) -> Indices:
        """Lines whose precedence the department of their supplier decides, supplier by supplier, [A]."""
        own = [line for line, point in enumerate(self.line_supplier) if self.rationing[point] == LEARNED]
        return np.array(sorted(own, key=lambda line: (self.line_supplier[line], line)), dtype=np.int64)

    @property
    def decision_point(self) -> Indices:
        """The stock point that takes each decision, [O + A]: orders, and then precedence."""
        return np.concatenate([self.order_point, self.line_supplier[self.preceding]])

    @property
    def decision_unit(self) -> Indices:
        """The stock point whose units each decision is in, [O + A]: of precedence the line's customer."""
        buyer = np.concatenate([self.edge_target[: self.internal], self.customer_facing])
        return np.concatenate([self.order_point, buyer[self.preceding]])

    def decisions_of(self, point: int) -> list[int]:
        """Decisions of a stock point, of O + A: an order, or one of each edge to it, then precedence of its lines."""
        return list(map(int, np.flatnonzero(self.decision_point == point)))

    def customers_of(self, point: int) -> list[str]:
        """Whose precedence a stock point decides, in that order; external customers are `CUSTOMERS`."""
        lines = [line for line in self.preceding if self.line_supplier[line] == point]
        inside = self.internal
        return [self.names[self.edge_target[line]] if line < inside else CUSTOMERS for line in lines]

    @property
    def edge_names(self) -> list[tuple[str, str]]:
        """(supplier, customer) of each edge, [Ed]."""
        return [
            ((self.names if source >= 0 else self.outside)[source], self.names[target])
            for source, target in zip(self.edge_source, self.edge_target, strict=True)
        ]

    def successors(self, point: int) -> list[int]:
        """Stock points that buy from this one directly."""
        return list(map(int, self.edge_target[self.edge_source == point]))

    def predecessors(self, point: int) -> list[int]:
        """Stock points that this one buys from directly."""
        return list(map(int, self.edge_source[: self.internal][self.edge_target[: self.internal] == point]))

    def descendants(self, point: int) -> list[int]:
        """All stock points below this one, in index order."""
        found: set[int] = set()
        frontier = [point]
        while frontier:
            new = set(self.successors(frontier.pop())) - found
            found |= new
            frontier.extend(new)
        return sorted(found)

    def echelons(self) -> list[int]:
        """1 + the longest distance to a point without customers among the stock points, [N]."""
        below = {point: self.successors(point) for point in range(len(self.names))}
        echelon = [1] * len(self.names)
        for point in TopologicalSorter(below).static_order():
            echelon[point] = 1 + max((echelon[customer] for customer in below[point]), default=0)
        return echelon

    def upwards(self) -> list[int]:
        """All stock points by echelon, so customers before their suppliers."""
        return sorted(range(len(self.names)), key=self.echelons().__getitem__)

    def time_through(self) -> float:
        """Periods from outside to the customer on the longest path: mean lead time and periods of review an edge."""
        time = [0.0] * len(self.names)
        for point in reversed(self.upwards()):
            for edge in np.flatnonzero(self.edge_target == point):
                before = time[self.edge_source[edge]] if edge < self.internal else 0.0
                products = range(len(self.lead_time_laws[edge]))
                mean = max(_mean(self.lead_time(int(edge), k)) for k in products)
                wait = max(self.reviews.longest(point, k) for k in products)
                time[point] = max(time[point], before + mean + 1.0 + wait)
        return max(time)

    def mean_flow(self) -> NDArray[np.float64]:
        """Mean demand through each stock point, [N, K] units a period; suppliers have their share of it."""
        products = len(self.demand_laws[0])
        flow = np.zeros((len(self.names), products))
        for point, laws in zip(self.customer_facing, self.demand_laws, strict=True):
            flow[point] += [_mean(law.mass()) for law in laws]
        for point in self.upwards():
            for supplier in self.predecessors(point):
                flow[supplier] += self.part(flow[point], supplier, point)
        return flow

    def part(self, amount: Amount, supplier: int, point: int) -> Amount:
        """Of what a point orders, that of one supplier in the long run (-1: outside)."""
        if self.shares is None:
            return amount / int(self.supplier_count[point])
        return amount * self.shares[supplier, point]

    def parts(self) -> Indices:
        """Of 65,536, what goes to those before each supplier among its customer's, and up to it, [2, Ed]."""
        upto, found = np.zeros(len(self.names)), []
        for supplier, point in zip(self.edge_source.tolist(), self.edge_target.tolist(), strict=True):
            before = upto[point]
            upto[point] += self.part(1.0, supplier, point)
            found.append((before, upto[point]))
        return np.asarray(np.rint(np.array(found).T * TABLE_SIZE), dtype=np.int64)

    def blur(self) -> NDArray[np.float64]:
        """How far a point's inventory position is smeared where gradients meet the order of service, [N] units (ours).

        Half its mean demand a period, averaged over products, at least a unit; docs/model.md says what more and what
        less does.
        """
        return np.asarray(np.maximum(self.mean_flow().mean(1) / 2.0, 1.0))

    def time_to_arrive(self, edge: int, product: int) -> Mass:
        """How long after a period its order arrives: the wait since the last review, and the lead time."""
        lead_time, point = self.lead_time_laws[edge][product].mass(), int(self.edge_target[edge])
        if not self.closures.shut(edge, product):
            return np.convolve(lead_time, self.reviews.ages(point, product))
        reviews, taken = self._orders(edge, product)
        cycle, found = len(taken), np.zeros(int(taken.max()) + 2 * len(taken))
        for days in np.flatnonzero(lead_time):
            placed = np.concatenate([reviews + n * cycle for n in range(-(-int(taken.max()) // cycle) + 3)])
            arrives = placed + taken[placed % cycle, days]
            period = int(arrives[-1]) - cycle - np.arange(cycle)  # what is not among `placed` arrives later
            since = period - placed[np.searchsorted(arrives, period, side="right") - 1]
            found += lead_time[days] / cycle * np.bincount(since, minlength=len(found))
        return np.trim_zeros(found, "b")

    def lead_time(self, edge: int, product: int) -> Mass:
        """Law of the periods that an order takes with closed days of the cycle, of a review drawn evenly from it."""
        mass = self.lead_time_laws[edge][product].mass()
        if not self.closures.shut(edge, product):
            return mass
        reviews, taken = self._orders(edge, product)
        weight = np.broadcast_to(mass / len(reviews), (len(reviews), len(mass)))
        return np.asarray(np.bincount(taken[reviews].ravel(), weight.ravel()), dtype=np.float64)

    def _orders(self, edge: int, product: int) -> tuple[Indices, Indices]:
        """Days of a cycle of reviews and closed days on which orders are taken, and periods of lead times by day."""
        taken = self.closures.steady(edge, product, len(self.lead_time_laws[edge][product].mass()) - 1)
        point = int(self.edge_target[edge])
        cycle = math.lcm(len(taken), int(self.reviews.cycle[point, product]))
        days = self.reviews.days[point, product, np.arange(cycle) % self.reviews.cycle[point, product]]
        return np.flatnonzero(days), taken[(np.arange(cycle) - self.closures.lead_in) % len(taken)]

    def cycle_ends(self, period: int) -> NDArray[np.bool_]:
        """Whether a replenishment cycle ends with the demand of a period, [N, K]; with review every period all do.

        A cycle lasts from when a review's order can be there at the earliest until the next one's can (ours: the
        calendar's, whether or not anything was ordered or came). Under base-stock with backorders it is without a
        stock-out if the demand of lead time and review period together is within the level.

        Source: Silver, Pyke & Thomas (2017), Inventory and Production Management in Supply Chains, section 6.7 (P1).
        """
        if not self.closures.ever:
            return self.reviews.at(period + 1 - self._shortest)
        longest = int(self._soonest.max())
        placed = period + 1 - np.arange(longest + 1)
        soonest = self._soonest[self.closures.phase(placed)]
        found = [self.reviews.at(int(t)) & (soonest[n] == n) for n, t in enumerate(placed)]
        return np.asarray(np.any(found, axis=0))

    @property
    def cycles_are_periods(self) -> bool:
        """Whether a replenishment cycle ends in every period."""
        return self.reviews.always and not self.closures.ever

    @cached_property
    def sold(self) -> NDArray[np.bool_]:
        """Which products external customers ever ask for, [C, K]."""
        return np.array([[law.mass()[0] < 1 for law in laws] for laws in self.demand_laws])

    @cached_property
    def _shortest(self) -> Indices:
        """The shortest lead time to each point, [N, K] periods."""
        shortest = np.full(self.reviews.cycle.shape, MAX_LEAD_TIME)
        for point, laws in zip(self.edge_target, self.lead_time_laws, strict=True):
            shortest[point] = np.minimum(shortest[point], [int(np.flatnonzero(law.mass())[0]) for law in laws])
        return shortest

    @cached_property
    def open_times(self) -> NDArray[np.int32]:
        """Periods that lead times take with closed days, by calendar, phase and lead time, see `Closures.times`."""
        return self.closures.times(max(len(law.mass()) for row in self.lead_time_laws for law in row) - 1)

    @cached_property
    def _soonest(self) -> Indices:
        """Periods that an order takes to each point at the least, by phase, [phases, N, K]."""
        found = np.full((self.open_times.shape[1], *self.reviews.cycle.shape), MAX_LEAD_TIME)
        for edge, (point, laws) in enumerate(zip(self.edge_target, self.lead_time_laws, strict=True)):
            for k, law in enumerate(laws):
                own = self.open_times[self.closures.of[edge, k], :, int(np.flatnonzero(law.mass())[0])]
                found[:, point, k] = np.minimum(found[:, point, k], own)
        return found

    def longest_lead_time(self) -> int:
        """The number of pipeline slots: the longest lead time that can occur or be under way, at least 1 period."""
        listed = [len(units) for row in self.initial_pipeline for units in row if isinstance(units, tuple)]
        more = self.congestion[:, 1] + (0 if self.regimes is None else self.regimes.longest)
        rows = zip(self.lead_time_laws, more, strict=True)
        longest = [len(law.mass()) - 1 + int(more) for row, more in rows for law in row]
        if self.closures.ever:
            each = np.ndindex(self.closures.of.shape)
            laws = self.lead_time_laws
            longest += [
                int(self.open_times[self.closures.of[e, k], :, len(laws[e][k].mass()) - 1].max()) for e, k in each
            ]
        return max(1, *listed, *longest)

    def turns(self) -> list[int]:
        """In whose turn each point serves, [N]: behind its suppliers where what these ship may arrive at once, else 0.

        It is 0 everywhere unless a lead time between stock points may be 0.
        """
        turn = [0] * len(self.names)
        at_once = [any(law.mass()[0] > 0 for law in laws) for laws in self.lead_time_laws[: self.internal]]
        if not any(at_once):
            return turn
        for point in reversed(self.upwards()):
            for edge in np.flatnonzero(self.edge_target[: self.internal] == point):
                turn[point] = max(turn[point], turn[self.edge_source[edge]] + at_once[edge])
        return turn


def _chances(edge: Supply) -> tuple[float, float]:
    return (0.0, 0.0) if edge.disruption is None else (edge.disruption.start, edge.disruption.end)


def _slowed(edge: Supply) -> tuple[int, int]:
    return (0, 0) if edge.congestion is None else (edge.congestion.units, edge.congestion.most)


def _standing(supply: list[Supply], outside: tuple[str, ...]) -> Indices:
    """Who is served in which order at each supplier, [I]; those without a priority come last."""
    ranked = {edge.source for edge in supply if edge.priority is not None}
    last = 1 + max((edge.priority or 0 for edge in supply), default=0)
    inside = [edge for edge in supply if edge.source not in outside]
    return np.array([(edge.priority or last) if edge.source in ranked else 0 for edge in inside], dtype=np.int64)


def _mean(mass: Mass) -> float:
    return float(np.arange(len(mass)) @ mass)
