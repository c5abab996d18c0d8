"""Evaluation episodes: any policy on given chance, cost per episode and the field's measures of service and stock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import Policy
from departments.play.stepping import Step, play
from departments.play.tail import tail
from environment import Exogenous, State, World
from environment.cores import one_ahead
from environment.streams import Stream, torch_stream

Vector = NDArray[np.float64]
SHARD = 1024  # copies simulated together: one shard's state stays in the processor's cache


@dataclass
class Episodes:
    """What a policy brought: one cost an episode; arrays without E are means over copies and counted periods.

    A cycle is one of replenishment, see `Network.cycle_ends`; those that end in counted periods count. An outage lasts
    from when the first edge is shut to when all are open; from then on the firm recovers, until no more units are
    unserved than before the outage (ours).
    """

    cost: Vector  # [E] money over the counted periods
    point_cost: Vector  # [N] money over the counted periods
    product_on_hand: Vector  # [N, K] units
    order_quantity: Vector  # [N] units a period
    order_square: Vector  # [N] units^2
    received: Vector  # [N] units a period that customers ordered
    received_square: Vector  # [N] units^2
    waste: Vector  # [N] units a period that expired
    product_shipped: Vector  # [Ed, K] units a period that leave on each edge
    shipments: Vector  # [Ed] share of periods in which anything does
    segment_demand: Vector  # [S, K] units a period, of customers who choose
    outages: Vector  # [] that begin a period
    recovering: Vector  # [] share of periods in which the firm recovers
    product_demand: Vector  # [C, K] units a period
    product_served_at_once: Vector  # [C, K] units a period
    unserved: Vector  # [C] units of backlog, and lost a period
    full_service: Vector  # [C] share of periods without unserved demand
    full_cycles: Vector  # [C, K] cycles without unserved demand a period
    cycles: Vector  # [C, K] cycles a period; 0 of what is not sold

    @property
    def worst(self) -> float:
        """Mean cost of the worst 5% of episodes (conditional value at risk), money; of one episode at least."""
        return float(tail(self.cost).mean())

    @property
    def recovery_time(self) -> float:
        """Periods that the firm recovers from an outage, on average; nan where there are none."""
        return float(_ratio(self.recovering, self.outages, np.nan))

    @property
    def on_hand(self) -> Vector:
        """Of all products, [N] units."""
        return np.asarray(self.product_on_hand.sum(1))

    @property
    def demand(self) -> Vector:
        """For all products, [C] units a period."""
        return np.asarray(self.product_demand.sum(1))

    @property
    def served_at_once(self) -> Vector:
        """Of all products, [C] units a period."""
        return np.asarray(self.product_served_at_once.sum(1))

    @property
    def cycle_service(self) -> Vector:
        """Share of replenishment cycles without a stock-out, those of all products alike, [C]."""
        return _ratio((self.full_cycles * (self.cycles > 0)).sum(1), self.cycles.sum(1), 1.0)

    @property
    def product_fill_rate(self) -> Vector:
        """The fill rate of each product, [C, K]."""
        return _ratio(self.product_served_at_once, self.product_demand, 1.0)

    @property
    def product_cycle_service(self) -> Vector:
        """The cycle service of each product, [C, K]."""
        return _ratio(self.full_cycles, self.cycles, 1.0)

    @property
    def fill_rate(self) -> Vector:
        """Share of demand served from stock at once, [C]; all of it where nothing is asked for."""
        return _ratio(self.served_at_once, self.demand, 1.0)

    @property
    def bullwhip_ratio(self) -> Vector:
        """Variance of a point's orders over that of what it is asked for, [N]; nan where that never changes."""
        ordered, asked = self.order_square - self.order_quantity**2, self.received_square - self.received**2
        return _ratio(ordered, np.where(asked > 1e-9 * self.received_square, asked, 0.0), np.nan)

    @property
    def inventory_turns(self) -> Vector:
        """What goes through a point in a period over its mean stock on hand, [N]; nan where there is no stock."""
        return _ratio(self.received, self.on_hand, np.nan)

    @staticmethod
    def joined(parts: list[Episodes]) -> Episodes:
        """Many shards as one."""
        sizes = np.array([len(part.cost) for part in parts], dtype=float)
        merged = {
            field.name: np.average([getattr(part, field.name) for part in parts], axis=0, weights=sizes)
            for field in fields(Episodes)
            if field.name != "cost"
        }
        return Episodes(cost=np.concatenate([part.cost for part in parts]), **merged)


def _ratio(above: Vector, below: Vector, otherwise: float) -> Vector:
    quotient: Vector = np.divide(above, below, out=np.full(below.shape, otherwise), where=below > 0)
    return quotient


def shards(world: World, episodes: int, seed: int, stream: Stream = Stream.REPORT) -> Iterator[Exogenous]:
    """Chance of `episodes` evaluation episodes, a shard at a time; the same for every policy and process."""

    def draw(start: int) -> Exogenous:
        copies, generator = min(SHARD, episodes - start), torch_stream(world.device, stream, seed, start // SHARD)
        return world.draw(world.firm.periods.evaluate - 1, copies, generator)

    draws = [partial(draw, start) for start in range(0, episodes, SHARD)]
    return one_ahead(draws) if world.device.type == "cpu" else (draw() for draw in draws)


@torch.inference_mode()
def run_episodes(world: World, policy: Policy, chance: Exogenous) -> Episodes:
    """Play one evaluation episode per copy; costs of the periods after the warm-up are counted, salvage at the end.

    Args:
        world: of the firm.
        policy: orders from the state alone, or orders and exposures of a firm with customers.
        chance: [T] periods of `World.draw`.
    """
    warm_up = world.firm.periods.warm_up
    end = world.reset(chance.demand.shape[-1])
    cost = first_cost(world, end, torch.float64)
    tally = _Tally(world)
    backlog = world.backlog(end)
    for step in play(world, policy, chance):
        end, counts = step.after, step.period + 1 >= warm_up
        tally.end_cycles(step, counts)
        tally.recover(step, counts)
        if counts:
            cost += step.outcome.cost
            tally.count(step, backlog, chance.at(step.period))
        backlog = world.backlog(end)
    cycles = cycles_of(world, len(chance.demand))
    return tally.episodes(less_salvage(world, end, cost), cycles)


def summed(world: World, cost: Tensor, means: Mapping[str, Vector], periods: int) -> Episodes:
    """Of costs [N, E], and means over copies and the counted ones of some periods, as the core has them."""
    own = {"cost": cost.sum(0).numpy(), "point_cost": cost.mean(1).numpy(), "cycles": cycles_of(world, periods)}
    return Episodes(**own, **means)


def cycles_of(world: World, periods: int) -> Vector:
    """Replenishment cycles that end in the counted ones of some periods, [C, K] a period; 0 of what is not sold."""
    network, first = world.network, max(world.firm.periods.warm_up - 1, 0)
    if network.cycles_are_periods:
        return network.sold.astype(float)
    ends = [network.cycle_ends(t)[network.customer_facing] for t in range(first, periods)]
    return np.asarray(np.mean(ends, 0) * network.sold)


@torch.inference_mode()
def run_costs(world: World, policy: Policy, chance: Exogenous) -> Tensor:
    """Cost per stock point and episode, [N, E] money: `run_episodes` without measures, for searches and selection."""
    warm_up = world.firm.periods.warm_up
    end = world.reset(chance.demand.shape[-1])
    cost = first_cost(world, end, world.dtype)
    for step in play(world, policy, chance):
        end = step.after
        if step.period + 1 >= warm_up:
            cost += step.outcome.cost
    return less_salvage(world, end, cost)


def first_cost(world: World, state: State, dtype: torch.dtype) -> Tensor:
    """Cost of period 0 if it counts, [N, E] money."""
    if world.firm.periods.warm_up == 0:
        return world.holding(state).to(dtype)
    return state.on_hand.new_zeros(world.points, state.on_hand.shape[-1], dtype=dtype)


def less_salvage(world: World, state: State, cost: Tensor) -> Tensor:
    """Cost of an episode that ends in `state`, [N, E] money."""
    salvage = world.salvage(state)
    return cost if salvage is None else cost - salvage


class _Tally:
    """Running sums over counted periods; means are taken at the end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums: dict[str, Tensor] = {}
        self._periods = 0
        self._short: Tensor | bool = False  # [C, K, E] whether anything was short in the cycle
        self._before = self._calm = torch.zeros(
            (), device=world.device
        )  # [E] units unserved a period ago, and before the outage
        self._late = torch.zeros(
            (), dtype=torch.bool, device=world.device
        )  # [E] whether an outage is not over or not recovered from

    def _add(self, **values: Tensor) -> None:
        for name, value in values.items():
            by_product = value if name.startswith(("product_", "segment_", "full_c")) else value.sum(1)
            mean = by_product.mean(-1, dtype=torch.float64)
            self._sums[name] = self._sums[name] + mean if name in self._sums else mean

    def count(self, step: Step, backlog: Tensor, chance: Exogenous) -> None:
        """One period more, and its chance; `backlog` [C, K, E] is what customers were owed before it."""
        self._periods += 1
        order, after = self._world.by_point(step.order), step.after
        _, sales, unserved, demand, shipped, waste, _ = step.outcome
        received = self._world.asked(step.before, step.order, after, step.outcome)
        ordered, asked = order.sum(1, keepdim=True), received.sum(1, keepdim=True)
        self._add(
            product_on_hand=after.on_hand,
            order_quantity=order,
            order_square=ordered**2,
            received=received,
            received_square=asked**2,
            waste=torch.zeros_like(order) if waste is None else waste,
            product_demand=demand,
            product_served_at_once=(sales - backlog).clamp_min(0.0),
            product_shipped=shipped,
            shipments=(shipped > 0).any(1, keepdim=True).to(order.dtype),
            segment_demand=self._bought(step, chance),
            unserved=unserved,
            full_service=(unserved.sum(1, keepdim=True) == 0).to(order.dtype),
        )

    def _bought(self, step: Step, chance: Exogenous) -> Tensor:
        """What each segment asked for, [S, K, E] units."""
        choice = self._world.choice
        if choice is None or chance.customers is None or chance.traffic is None:
            return step.order.new_zeros(0, *step.order.shape[1:])
        shown = choice.standing if step.exposure is None else step.exposure
        wait = None if choice.impatience is None else self._world.wait(step.before)
        return choice.purchases(shown, chance.customers, chance.traffic, wait)

    def end_cycles(self, step: Step, counts: bool) -> None:
        """See whether anything was short in the cycles that end with a step; if it counts, count those that had not."""
        network, short = self._world.network, (step.outcome.unserved > 0) | self._short
        ends = torch.as_tensor(network.cycle_ends(step.period)[network.customer_facing], device=short.device)
        self._short = short & ~ends[..., None]
        if counts:
            self._add(full_cycles=(ends[..., None] & ~short).to(torch.float64))

    def recover(self, step: Step, counts: bool) -> None:
        """See who is shut; if it counts, count outages that begin, and periods of recovery."""
        shut = self._world.aside[0]
        unserved, closed = step.outcome.unserved.sum((0, 1)), step.after.aside[:shut].sum((0, 1)) > 0
        if step.period == 0:
            self._before = self._world.backlog(step.before).sum((0, 1))
        begins = closed & ~self._late
        self._calm = torch.where(begins, self._before, self._calm)
        self._late = closed | (self._late & (unserved > self._calm))
        self._before = unserved
        if counts:
            for name, periods in {"outages": begins, "recovering": self._late & ~closed}.items():
                self._sums[name] = self._sums.get(name, 0.0) + periods.mean(dtype=torch.float64)

    def episodes(self, cost: Tensor, cycles: Vector) -> Episodes:
        means = {name: (value / self._periods).cpu().numpy() for name, value in self._sums.items()}
        own = {"cost": cost.sum(0).cpu().numpy(), "point_cost": cost.mean(1).cpu().numpy(), "cycles": cycles}
        return Episodes(**own, **means)
