"""The exact optimum of a firm small enough to have one, as a policy that knows what it earns.

This is where a firm meets `heuristics.programme` and Clark and Scarf's recursion, which know only plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import Decision, Memory
from departments.rules.dual_sourcing import TwoSuppliers, best_of_two_suppliers
from departments.rules.ordering import BaseStock, baseline_levels, echelon_weights
from environment import Feedback, Firm, Network, State, World
from environment.laws import Mass, cut_poisson_mass
from heuristics import programme as dynamic
from heuristics.mass import demand_over, mean, point_mass, quantile, total
from heuristics.programme import Optimum, Point, Programme
from heuristics.recommendation import grid_exposures
from heuristics.serial import clark_scarf

Array = NDArray[np.float64]

_AMOUNTS = ("holding_cost", "backorder_cost", "price", "unit_cost", "salvage_value")  # as `Point` has them
_NEVER = 1e-6  # a chance that does not count
_FOR_EVER = 10_000  # periods after which the long run has settled
_GROWTH = 1.5  # of a grid whose end is touched
_MOST_NUMBERS = 3e7  # of one period of a programme
_MOST_WORK = 2e11  # multiplications of a programme: some minutes


@dataclass(frozen=True)
class _Part:
    """Products that are decided together, and the table of what is decided: by period, if that counts, and state."""

    products: tuple[int, ...]
    point: Point
    order: Tensor  # [T or 1, products, states] int16
    exposure: Tensor  # [T or 1, states] int16
    answer: Tensor  # [T or 1, A, products, states] int16, the best order to each exposure


@dataclass(frozen=True)
class Tabulated:
    """Looks up what a dynamic programme has found, for one stock point."""

    name: str
    expected_cost: float  # money an episode, as evaluations count it
    parts: Sequence[_Part]
    exposures: Tensor | None  # [A, S, K]; None: nobody chooses

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Orders, and exposures where customers choose."""
        order, shown = torch.zeros_like(state.on_hand), None
        for part in self.parts:
            place, now = self._place(part, state), min(period, len(part.exposure) - 1)
            order[0, list(part.products)] = part.order.to(order.device)[now][:, place].to(order.dtype)
            if self.exposures is not None:
                chosen = part.exposure.to(order.device)[now][place].long()
                shown = self.exposures.to(order.device, order.dtype)[chosen].permute(1, 2, 0)
        return Decision(order, shown)

    def tendency(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Tensor]:
        """Orders [N, K, E], and what is shown of each product, [S, K, E]."""
        order, shown, _ = self.decide(world, state, feedback, period, memory)
        return order, torch.zeros_like(feedback.exposure) if shown is None else shown

    def answered(self, state: State, exposure: Tensor, period: int) -> Tensor:
        """The best orders [N, K, E] where this is shown [S, K, E]: of all that the programme knows, what is nearest."""
        order = torch.zeros_like(state.on_hand)
        known = torch.zeros(1, *exposure.shape[:2]) if self.exposures is None else self.exposures
        apart = (known.to(exposure)[..., None] - exposure).abs().sum((1, 2))  # [A, E]
        for part in self.parts:
            place, now = self._place(part, state), min(period, len(part.answer) - 1)
            answer = part.answer.to(order.device)[now].permute(1, 0, 2)[:, apart.argmin(0), place]
            order[0, list(part.products)] = answer.to(order.dtype)
        return order

    @staticmethod
    def _place(part: _Part, state: State) -> Tensor:
        """Where states stand in a flat table, [E]; beyond the grid, at its edge."""
        level, pipeline = state.on_hand[0] - state.owed[0], state.pipeline[:, 0]
        place, point = torch.zeros(level.shape[-1], dtype=torch.int64, device=level.device), part.point
        for own, k in enumerate(part.products):
            values = [level[k] + pipeline[0, k] - point.low[own], *pipeline[1 : point.lead_time[own], k]]
            for value, size in zip(values, point.axes[own], strict=True):
                place = place * size + value.round().long().clamp(0, size - 1)
        return place


def optimum(
    firm: Firm, name: str = "optimum", *, steps: int = 1, clock: bool = True
) -> BaseStock | Tabulated | TwoSuppliers:
    """The policy that earns most, in episodes that count from their first period, or a period in the long run.

    Serial firms with backorders (single points among them) follow the levels of Clark and Scarf. A single point whose
    sales are lost, whose customers choose or whose orders may be too small follows a dynamic programme, and one with
    two suppliers that are ordered from apart another one. An episode without warm-up has a beginning and an end, which
    its optimum uses; one with a warm-up is a part of the long run.

    Args:
        firm: a checked firm.
        name: of the policy.
        steps: into how many parts a slot of recommendation can be divided.
        clock: without it the policy of an episode may not know the period; see `heuristics.programme.best_blind`.

    Raises:
        ValueError: one line that says why there is no optimum to be had.
    """
    network, long_run = Network.of(firm), firm.periods.warm_up > 0
    refused = f"policy {name!r}: {firm.name} has no exact optimum here, as"
    lead_times = [[law.mass() for law in laws] for laws in network.lead_time_laws]
    if network.by_edge:
        return best_of_two_suppliers(firm, name, refused)
    _check(firm, network, lead_times, refused)
    lead_time = np.array([[len(mass) - 1 for mass in masses] for masses in lead_times])
    unmet = firm.unmet_demand
    if unmet == "backorder" and long_run and not firm.customers and (len(firm.names) > 1 or _ample(firm, network)):
        return _serial(firm, network, lead_time, name, refused)
    if len(firm.names) > 1:
        cure = "backorders and a warm-up" if unmet != "backorder" or firm.customers else "a warm-up"
        raise ValueError(f"{refused} it has several stock points: serial ones need {cure}, all others just one point")
    if not lead_time.all():
        raise ValueError(f"{refused} a lead time is 0, which needs backorders, a warm-up and no customers")
    if (firm.amounts("salvage_value") > firm.amounts("unit_cost")).any():
        raise ValueError(f"{refused} a unit is worth more when an episode ends than it costs")
    return _Single(firm, lead_time[0], steps, clock, refused).policy(name)


def _check(firm: Firm, network: Network, lead_times: list[list[Mass]], refused: str) -> None:
    """Refuse what neither way to an optimum knows."""
    _check_laws(network, lead_times, refused)
    if (network.supplier_count != 1).any():
        raise ValueError(f"{refused} a stock point has several suppliers")
    if limits := firm.order_limits:
        raise ValueError(f"{refused} orders are limited by {limits[0]}")
    if firm.fixed_costs().any():
        raise ValueError(f"{refused} orders have a fixed cost")
    if firm.periods.warm_up and firm.amounts("salvage_value").any():
        raise ValueError(f"{refused} it has a salvage value, and a warm-up: set periods.warm_up to 0")
    if firm.amounts("initial_backlog").any() and not firm.periods.warm_up:
        raise ValueError(f"{refused} customers wait at the start (initial_backlog), and there is no warm-up")
    _check_events(firm, network, refused)


def _check_events(firm: Firm, network: Network, refused: str) -> None:
    if network.closures.ever:
        raise ValueError(f"{refused} there are closed_days")
    if network.disruption.any():
        raise ValueError(f"{refused} a supplier may be shut (disruption)")
    if network.congestion.any():
        raise ValueError(f"{refused} lead times grow with what is under way (congestion)")
    if firm.regimes:
        raise ValueError(f"{refused} demand, lead times or costs switch (regimes)")
    if firm.emission_price and network.emissions.any():
        raise ValueError(f"{refused} emissions have a price (emissions)")
    if any(segment.impatience for clientele in firm.customers.values() for segment in clientele.segments.values()):
        raise ValueError(f"{refused} customers mind the wait that they are promised (impatience)")
    if network.ships_first.any():
        raise ValueError(f"{refused} stock points ship before they receive (sequence: geevers)")
    if any(point.shelf_life for point in firm.stock_points.values()):
        raise ValueError(f"{refused} stock expires (shelf_life)")
    if not set(firm.lost_shares()[network.customer_facing]) <= {0.0, 1.0}:
        raise ValueError(f"{refused} a share of unmet demand is lost: set unmet to backorder or lost")


def _check_laws(network: Network, lead_times: list[list[Mass]], refused: str) -> None:
    if any(np.count_nonzero(mass) != 1 for masses in lead_times for mass in masses):
        raise ValueError(f"{refused} a lead time is random")
    if any(len(law.phases()) > 1 or law.rows() is not None for laws in network.demand_laws for law in laws):
        raise ValueError(f"{refused} demand depends on the period")


def _ample(firm: Firm, network: Network) -> bool:
    """Whether an order may be as large as any demand of a period."""
    most = firm.amounts("max_order").min(0)
    return all(quantile(law.mass(), 1 - _NEVER / 2) <= most[k] for k, law in enumerate(network.demand_laws[0]))


def _serial(firm: Firm, network: Network, lead_time: NDArray[np.int64], name: str, refused: str) -> BaseStock:
    """Echelon base-stock at the levels of Clark and Scarf; see `clark_scarf` for what the world counts otherwise."""
    chain = network.upwards()
    edge = {int(target): place for place, target in enumerate(network.edge_target)}
    if len(network.customer_facing) > 1 or any(len(network.successors(point)) > 1 for point in chain):
        raise ValueError(f"{refused} it is no line of stock points")
    if not _ample(firm, network):
        raise ValueError(f"{refused} max_order is below what may be asked for in a period")
    holding, shortage, bought = (firm.amounts(f) for f in ("holding_cost", "backorder_cost", "unit_cost"))
    price = firm.amounts("price")[chain[0]]
    levels, cost = np.zeros(holding.shape), 0.0
    for k, law in enumerate(network.demand_laws[0]):
        demand, local, lead = law.mass(), holding[chain, k], lead_time[[edge[point] for point in chain], k]
        over = [demand_over(demand, point_mass(int(periods))) for periods in (lead[0] + 1, *lead[1:])]
        try:
            best = clark_scarf(over, local, float(shortage[chain[0], k]))
        except ValueError as reason:
            raise ValueError(f"{refused} {reason}") from None
        levels[chain, k] = best.echelon_level
        late = local[1:2].sum() + local[1:] @ lead[:-1]
        cost += best.cost - mean(demand) * (late + price[k] - bought[:, k].sum())
    counted = firm.periods.evaluate - firm.periods.warm_up
    return BaseStock(name, levels, echelon_weights(firm), expected_cost=counted * cost)


class _Single:
    """A single stock point on its way to a programme."""

    def __init__(self, firm: Firm, lead_time: NDArray[np.int64], steps: int, clock: bool, refused: str) -> None:
        self._firm, self._lead_time, self._clock, self._refused = firm, lead_time.tolist(), clock, refused
        self._long_run, self._periods = firm.periods.warm_up > 0, firm.periods.evaluate - 1
        self._world = World(firm, baseline_levels(firm))
        state = self._world.reset(1)
        self._stock, self._under_way = state.on_hand[0, :, 0].numpy(), state.pipeline[:, 0, :, 0].numpy()
        self._laws, self._exposures = self._demand(steps)

    def policy(self, name: str) -> Tabulated:
        """The optimum, product by product where nobody chooses between them."""
        products, cost, parts = range(len(self._firm.products)), 0.0, []
        for together in [tuple(products)] if self._firm.customers else [(k,) for k in products]:
            point, found = self._solved(together)
            axes = len(point.shape)
            tables = found.decisions if found.decisions.exposure.ndim > axes else (own[None] for own in found.decisions)
            flat = (torch.from_numpy(table.reshape(*table.shape[: table.ndim - axes], -1)) for table in tables)
            parts.append(_Part(together, point, *flat))
            cost -= found.value * (self._firm.periods.evaluate - self._firm.periods.warm_up if self._long_run else 1)
        if not self._long_run:  # the period before the first decision counts, too
            cost += float(self._firm.amounts("holding_cost")[0] @ self._stock)
        return Tabulated(name, cost, parts, self._exposures)

    def _demand(self, steps: int) -> tuple[list[list[list[Mass]]], Tensor | None]:
        """Demand of each period, or of all, under each exposure, [T or 1][A][K], and the exposures, [A, S, K]."""
        choice, (clientele, *_) = self._world.choice, (*self._firm.customers.values(), None)
        if choice is None or clientele is None:
            return [[[law.mass() for law in self._world.network.demand_laws[0]]]], None
        if any(segment.volatility for segment in clientele.segments.values()):
            raise ValueError(f"{self._refused} traffic has a hidden regime (volatility)")
        seasonal = clientele.season.amplitude > 0
        if self._long_run and seasonal:
            raise ValueError(f"{self._refused} traffic has a season, and the long run no period: set warm_up to 0")
        sold = choice.sold[..., 0].numpy()
        offers = [grid_exposures(own, clientele.slots, steps) for own in sold]
        self._affordable(float(np.prod([len(own) for own in offers])), 1.0)
        exposures = torch.tensor(np.array([np.stack(shown) for shown in product(*offers)]))  # [A, S, K]
        bought = choice.probability(exposures.permute(1, 2, 0)).numpy()  # [S, K, A]
        traffic = choice.traffic * choice.season(torch.arange(self._periods if seasonal else 1))  # [S, T]
        rates = np.einsum("st,ska->tak", traffic.double().numpy(), bought)
        return [[[cut_poisson_mass(float(rate)) for rate in of] for of in period] for period in rates], exposures

    def _solved(self, products: tuple[int, ...]) -> tuple[Point, Optimum]:
        """A grid that is large enough, and the optimum on it."""
        laws, growth = [[[of[k] for k in products] for of in period] for period in self._laws], 1.0
        while True:
            point = self._grid(products, laws, growth)
            self._affordable(float(np.prod(point.after_shape)), float(len(laws[0]) * max(point.shape)))
            found = [Programme(point, of) for of in laws]
            programmes = found if len(found) > 1 else found * (_FOR_EVER if self._long_run else self._periods)
            start = point.state(
                self._stock[list(products)], [self._under_way[: self._lead_time[k], k] for k in products]
            )
            best = self._best(programmes, start)
            timeless = best.decisions.exposure.ndim == len(point.shape)
            taken = [best.decisions if timeless else best.decisions.at(t) for t in range(len(programmes))]
            if dynamic.touched(programmes, taken, start) < _NEVER:
                return point, best
            growth *= _GROWTH

    def _best(self, programmes: Sequence[Programme], start: dynamic.State) -> Optimum:
        if self._long_run:
            return dynamic.best_in_long_run(programmes[0])
        return (dynamic.best_in_episode if self._clock else dynamic.best_blind)(programmes, start)

    def _affordable(self, numbers: float, work: float) -> None:
        if numbers > _MOST_NUMBERS or numbers * work * self._periods > _MOST_WORK:
            raise ValueError(
                f"{self._refused} its programme would take {numbers:.2g} numbers a period: fewer products, shorter "
                "lead times, smaller orders or fewer exposures are within reach"
            )

    def _grid(self, products: tuple[int, ...], laws: list[list[list[Mass]]], growth: float) -> Point:
        """Orders and stock as far as they can pay, and a margin; where max_order binds, stock may be laid by."""
        amounts = {f: self._firm.amounts(f)[0, list(products)] for f in _AMOUNTS}
        most, low, high = [], [], []
        for own, k in enumerate(products):
            demand = max((of[own] for period in laws for of in period), key=mean)
            lead, limit = self._lead_time[k], int(self._firm.amounts("max_order")[0, k])
            under_way = self._under_way[:lead, k]
            held = int(self._stock[k] + under_way.sum()) + 1
            missed = amounts["backorder_cost"][own] + max(amounts["price"][own] - amounts["unit_cost"][own], 0.0)
            ratio = missed / max(missed + amounts["holding_cost"][own], _NEVER)
            single, position = dynamic.order_bounds(demand, lead, ratio)
            lost = self._firm.unmet_demand == "lost"
            if self._long_run and not lost and mean(demand) > limit - _NEVER:
                raise ValueError(f"{self._refused} max_order is no more than mean demand, so that ever more waits")
            if not lost or single >= limit:
                single, position = limit, quantile(total([demand] * (lead + 2)), 1.0 - _NEVER)
            low.append(0 if lost else -int(quantile(total([demand] * (lead + 1)), 1.0 - _NEVER**2) * growth))
            high.append(max(int(position * growth), held) + 1)
            most.append(max(min(single, high[-1] - low[-1]), int(under_way.max()), 1))
        lead_times = [self._lead_time[k] for k in products]
        return Point(self._firm.unmet_demand == "lost", lead_times, most, low, high, *amounts.values())
