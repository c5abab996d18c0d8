"""The world of firms like a1, b3, c3 and d1 in JAX, one jitted scan: ours beside it, and `jax_ppo` in it.

For one product and backorders, where no stock point has customers of both kinds. The network is unrolled while tracing,
a row of copies [E] for each stock point, line and period of arrival, so that the compiler sees nothing but additions,
minima and comparisons of rows. `python benchmarks/jax_world.py` checks it against ours on ours' draws.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from departments.rules.ordering import baseline_levels
from environment import Firm, Network
from environment.laws import TABLE_SIZE, quantile_table

Rows = tuple[Array, ...]  # one [E] for each stock point, edge or line


class JaxState(NamedTuple):
    """As `environment.State`, row by row."""

    on_hand: Rows  # N of [E] units
    pipeline: tuple[Rows, ...]  # by edge, of each as many of [E] units as its lead time may have periods
    owed: Rows  # L of [E] units
    position: Rows  # N of [E] units


class JaxChance(NamedTuple):
    """As `environment.Exogenous`; with a leading axis T of many periods."""

    demand: Array  # [C, E] units
    supplier: Array | None  # [N, E] place among the point's suppliers
    lead_time: Array | None = None  # [Ed, E] periods


class JaxWorld:
    """The firm's parameters, fixed while tracing."""

    def __init__(self, firm: Firm, levels: NDArray[np.float64] | None = None) -> None:
        """Prepare `firm`; `levels` [N, 1] are the stock at the start, by default the benchmark's.

        Raises:
            ValueError: the firm has something that this world lacks.
        """
        network = Network.of(firm)
        inside = network.internal
        mixed = set(network.edge_source[:inside].tolist()) & set(network.customer_facing.tolist())
        lacking = {
            "several products": len(firm.products) > 1,
            "lost sales": firm.unmet == "lost",
            "prices": firm.earns,
            "stochastic costs": bool(firm.cost_spread),
            "customers who choose": bool(firm.customers),
            "lead times of no period": any(law[0].mass()[0] > 0.0 for law in network.lead_time_laws),
            "closed days": network.closures.ever,
            "stock points with customers of both kinds": bool(mixed),
        }
        if any(lacking.values()):
            found = ", ".join(name for name, present in lacking.items() if present)
            raise ValueError(f"firm {firm.name} has {found}, which the JAX world lacks; use a1 to d3")
        self.points, self.facing = len(firm.names), network.customer_facing.tolist()
        self.edges = list(zip(network.edge_target.tolist(), network.supplier_rank.tolist(), strict=True))
        self.inside, self.supplier_of_line = inside, network.line_supplier.tolist()
        self.supplier_count = network.supplier_count
        self.level = (baseline_levels(firm) if levels is None else levels)[:, 0]
        self.start = self.level
        self.max_order = firm.amounts("max_order")[:, 0]
        self.holding, self.penalty = firm.amounts("holding_cost")[:, 0], firm.amounts("backorder_cost")[:, 0]
        tables = [quantile_table(laws[0].mass()) for laws in network.demand_laws]
        self.table = jnp.asarray(np.concatenate(tables))  # [C * 65536]
        times = [laws[0].mass() for laws in network.lead_time_laws]
        self.slots = [len(time) - 1 for time in times]  # by edge
        fixed = all(np.count_nonzero(time) == 1 for time in times)
        self.times = None if fixed else jnp.asarray(np.concatenate(list(map(quantile_table, times))))  # [Ed * 65536]

    def reset(self, copies: int) -> JaxState:
        """Period 0 of an episode."""
        zero = jnp.zeros(copies, dtype=jnp.float32)
        stock = tuple(zero + np.float32(amount) for amount in self.start)
        pipeline = tuple((zero,) * slots for slots in self.slots)
        return JaxState(stock, pipeline, (zero,) * len(self.supplier_of_line), stock)

    def draw(self, periods: int, copies: int, key: Array) -> JaxChance:
        """Chance of many periods, by the same quantile tables as ours."""
        first, second, third = jax.random.split(key, 3)

        def look_up(table: Array, count: int, key: Array) -> Array:
            place = jax.random.bits(key, (periods, count, copies), jnp.uint16).astype(jnp.int32)
            return table[place + TABLE_SIZE * jnp.arange(count)[:, None]]

        demand, supplier = look_up(self.table, len(self.facing), first), None
        lead_time = None if self.times is None else look_up(self.times, len(self.edges), third)
        if max(self.supplier_count) > 1:
            size = periods, self.points, copies
            share = jax.random.bits(second, size, jnp.uint16).astype(jnp.float32) / TABLE_SIZE
            supplier = jnp.floor(share * jnp.asarray(self.supplier_count, jnp.float32)[:, None])
        return JaxChance(demand, supplier, lead_time)

    def feasible(self, point: int, order: Array) -> Array:
        """An order [E] as the world accepts it."""
        return jnp.round(jnp.clip(order, 0.0, float(self.max_order[point])))

    def step(self, state: JaxState, order: Rows, chance: JaxChance) -> tuple[JaxState, Rows]:
        """The next state, and the cost of each stock point, N of [E] money; see `environment.World.step`."""
        several = self.supplier_count > 1
        placed = [
            order[target] * (chance.supplier[target] == rank) if several[target] else order[target]  # type: ignore[index]
            for target, rank in self.edges
        ]
        ordered = [*placed[: self.inside], *(chance.demand[c] for c in range(len(self.facing)))]
        position = [own + new for own, new in zip(state.position, order, strict=True)]
        on_hand = list(state.on_hand)
        for (target, _), units in zip(self.edges, state.pipeline, strict=True):
            on_hand[target] = on_hand[target] + units[0]
        for point, units in zip(self.supplier_of_line, ordered, strict=True):
            position[point] = position[point] - units
        shipped = self._fulfil(on_hand, state.owed, ordered, position)
        for point, units in zip(self.supplier_of_line, shipped, strict=True):
            on_hand[point] = on_hand[point] - units
        owed = [old + new - sent for old, new, sent in zip(state.owed, ordered, shipped, strict=True)]
        cost = [float(self.holding[point]) * stock for point, stock in enumerate(on_hand)]
        for point, backlog in zip(self.facing, owed[self.inside :], strict=True):
            cost[point] = cost[point] + float(self.penalty[point]) * backlog
        leaving = (*shipped[: self.inside], *placed[self.inside :])
        pipeline = tuple(self._dispatch(state.pipeline[e], leaving[e], chance, e) for e in range(len(self.edges)))
        return JaxState(tuple(on_hand), pipeline, tuple(owed), tuple(position)), tuple(cost)

    def _dispatch(self, under_way: Rows, leaving: Array, chance: JaxChance, edge: int) -> Rows:
        """What is under way on an edge one period on."""
        moved, last = [*under_way[1:], jnp.zeros_like(leaving)], len(under_way) - 1
        if chance.lead_time is None:
            return (*moved[:last], leaving)
        return tuple(
            units + jnp.where(chance.lead_time[edge] == slot + 1, leaving, 0.0) for slot, units in enumerate(moved)
        )

    def _fulfil(self, on_hand: list[Array], owed: Rows, ordered: list[Array], position: list[Array]) -> list[Array]:
        """Units shipped on each line: backorders first, then in ascending order of inventory position."""
        shipped: list[Array] = [jnp.zeros(0)] * len(owed)
        for point in set(self.supplier_of_line):
            lines = [line for line, supplier in enumerate(self.supplier_of_line) if supplier == point]
            stock = on_hand[point]
            if len(lines) == 1:
                (line,) = lines
                shipped[line] = jnp.minimum(stock, owed[line] + ordered[line])
                continue
            backlog = sum(owed[line] for line in lines)
            ahead = {line: (0.0, backlog) for line in lines}
            for place, first in enumerate(lines):
                for second in lines[place + 1 :]:
                    keeps = position[self.edges[first][0]] <= position[self.edges[second][0]]
                    ahead[first] = _behind(ahead[first], owed[second], ordered[second], ~keeps)
                    ahead[second] = _behind(ahead[second], owed[first], ordered[first], keeps)
            for line in lines:
                old = jnp.minimum(jnp.maximum(stock - ahead[line][0], 0.0), owed[line])
                new = jnp.minimum(jnp.maximum(stock - ahead[line][1], 0.0), ordered[line])
                shipped[line] = old + new
        return shipped


def _behind(ahead: tuple[Any, Any], owed: Array, ordered: Array, behind: Array) -> tuple[Any, Any]:
    """What stands before a line, once another one that may stand before it is counted."""
    return ahead[0] + jnp.where(behind, owed, 0.0), ahead[1] + jnp.where(behind, ordered, 0.0)


def base_stock_episode(world: JaxWorld, periods: int, copies: int) -> Callable[[Array], Array]:
    """A jitted episode by the base-stock rule from a key: cost [N, E], demand drawn inside."""

    def episode(key: Array) -> Array:
        return play(world, world.draw(periods, copies, key)).sum(0)

    return jax.jit(episode)


def play(world: JaxWorld, chance: JaxChance) -> Array:
    """Costs of an episode by the base-stock rule on given chance, [T, N, E] money."""

    def period(state: JaxState, now: JaxChance) -> tuple[JaxState, Array]:
        order = tuple(
            world.feasible(point, float(level) - state.position[point]) for point, level in enumerate(world.level)
        )
        after, cost = world.step(state, order, now)
        return after, jnp.stack(cost)

    _, costs = jax.lax.scan(period, world.reset(chance.demand.shape[-1]), chance)
    return costs


def disagreement(name: str, periods: int = 75, copies: int = 64) -> float:
    """The largest relative difference between costs here and in our world on the same draws, per period and point."""
    from departments.rules.ordering import BaseStock
    from environment import World, load_firm

    firm = load_firm(name)
    levels = baseline_levels(firm)
    ours = World(firm, levels)
    chance = ours.draw(periods, copies, ours.generator(1))
    supplier = None if chance.supplier is None else jnp.asarray(chance.supplier[:, :, 0].numpy())
    lead_time = None if chance.lead_time is None else jnp.asarray(chance.lead_time[:, :, 0].numpy().astype(np.float32))
    theirs = play(JaxWorld(firm), JaxChance(jnp.asarray(chance.demand[:, :, 0].numpy()), supplier, lead_time))
    state, rule, worst = ours.reset(copies), BaseStock("base-stock", levels), 0.0
    for t in range(periods):
        state, outcome = ours.step(
            state, ours.feasible(rule.order(ours, state), state.inventory_position, t), chance.at(t)
        )
        cost = outcome.cost.numpy().astype(np.float64)
        worst = max(worst, float((np.abs(np.asarray(theirs[t]) - cost) / np.maximum(np.abs(cost), 1.0)).max()))
    return worst


if __name__ == "__main__":
    for firm_name in ("a1", "b1", "c1", "d1", "a3", "b3", "c3"):
        print(f"{firm_name}: costs differ from ours by at most {disagreement(firm_name):.1e} (relative)")
