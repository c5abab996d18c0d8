"""How fast the world of a1, c1 and d1 is as straight-line code under torch.compile, beside the eager world.

    python benchmarks/compiled_world.py --firms a1 --periods 5

The network is unrolled while tracing, a row of copies [E] for each stock point and line, and several periods are one
compiled function, so that no intermediate leaves the cache. Costs are compared with the eager world's on its own draws.
For one product, backorders and lead times of one period, where no stock point has customers of both kinds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout that is not installed works too

import torch
from torch import Tensor
from world_speed import FixedLevels, episode

from coordinator.process import settle
from departments.rules import BaseStock, benchmark_levels
from environment import Exogenous, World, load_firm

Rows = list[Tensor]  # one [E] for each stock point, edge or line
_COPIES, _PERIODS, _REPEATS = 1024, 75, 12


class StraightWorld:
    """A firm by the base-stock rule, row by row; see `environment.World.step`."""

    def __init__(self, world: World) -> None:
        """Prepare the firm of `world`.

        Raises:
            ValueError: the firm has something that this world lacks.
        """
        network, firm = world.network, world.firm
        inside = network.internal
        mixed = set(network.edge_source[:inside].tolist()) & set(network.customer_facing.tolist())
        plain = len(firm.products) == 1 and firm.unmet == "backorder" and not (firm.earns or firm.customers)
        if not plain or firm.cost_spread or network.longest_lead_time() > 1 or mixed:
            raise ValueError(f"firm {firm.name} has more than the straight-line world knows; use a1, b1, c1 or d1")
        self.inside, self.supplier_of_line = inside, network.line_supplier.tolist()
        self.edges = list(zip(network.edge_target.tolist(), network.supplier_rank.tolist(), strict=True))
        self.facing, self.supplier_count = network.customer_facing.tolist(), network.supplier_count.tolist()
        self.level = benchmark_levels(firm)[:, 0].tolist()
        self.max_order = firm.amounts("max_order")[:, 0].tolist()
        self.holding = firm.amounts("holding_cost")[:, 0].tolist()
        self.penalty = firm.amounts("backorder_cost")[:, 0].tolist()

    def period(self, rows: list[Rows], demand: Rows, supplier: Rows | None) -> tuple[list[Rows], Rows]:
        """On hand, pipeline, owed and position one period on, and the cost of each stock point."""
        on_hand, pipeline, owed, position = (list(row) for row in rows)
        limits = zip(self.level, position, self.max_order, strict=True)
        order = [torch.clamp(level - own, 0.0, most).round() for level, own, most in limits]
        placed = [
            order[target] if supplier is None else torch.where(supplier[target] == rank, order[target], 0.0)
            for target, rank in self.edges
        ]
        ordered = [*placed[: self.inside], *demand]
        position = [own + new for own, new in zip(position, order, strict=True)]
        for (target, _), units in zip(self.edges, pipeline, strict=True):
            on_hand[target] = on_hand[target] + units
        for point, units in zip(self.supplier_of_line, ordered, strict=True):
            position[point] = position[point] - units
        shipped = self._fulfil(on_hand, owed, ordered, position)
        for point, units in zip(self.supplier_of_line, shipped, strict=True):
            on_hand[point] = on_hand[point] - units
        owed = [old + new - sent for old, new, sent in zip(owed, ordered, shipped, strict=True)]
        cost = [rate * stock for rate, stock in zip(self.holding, on_hand, strict=True)]
        for point, backlog in zip(self.facing, owed[self.inside :], strict=True):
            cost[point] = cost[point] + self.penalty[point] * backlog
        return [on_hand, [*shipped[: self.inside], *placed[self.inside :]], owed, position], cost

    def _fulfil(self, on_hand: Rows, owed: Rows, ordered: Rows, position: Rows) -> Rows:
        """Units shipped on each line: backorders first, then in ascending order of inventory position."""
        shipped = list(owed)
        for point in dict.fromkeys(self.supplier_of_line):
            lines = [line for line, supplier in enumerate(self.supplier_of_line) if supplier == point]
            stock, backlog = on_hand[point], sum(owed[line] for line in lines)
            if len(lines) == 1:
                shipped[lines[0]] = torch.minimum(stock, backlog + ordered[lines[0]])
                continue
            for line in lines:
                old, new = torch.zeros_like(stock), backlog
                for other in lines:
                    if other != line:
                        mine, theirs = position[self.edges[line][0]], position[self.edges[other][0]]
                        earlier = theirs <= mine if other < line else theirs < mine
                        old = old + torch.where(earlier, owed[other], 0.0)
                        new = new + torch.where(earlier, ordered[other], 0.0)
                served = torch.minimum((stock - old).clamp_min(0.0), owed[line])
                shipped[line] = served + torch.minimum((stock - new).clamp_min(0.0), ordered[line])
        return shipped

    def block(self, fields: list[Tensor], demand: Tensor, supplier: Tensor | None, total: Tensor) -> list[Tensor]:
        """Several periods at once: four fields of the state and the costs added up, each [rows, E]."""
        rows, costs = [list(field.unbind(0)) for field in fields], list(total.unbind(0))
        for t in range(len(demand)):
            chosen = None if supplier is None else list(supplier[t].unbind(0))
            rows, cost = self.period(rows, list(demand[t].unbind(0)), chosen)
            costs = [before + now for before, now in zip(costs, cost, strict=True)]
        return [torch.stack(row) for row in [*rows, costs]]


def play(world: World, block: Callable[..., list[Tensor]], chance: Exogenous, periods: int) -> Tensor:
    """Costs [N, E] of an episode on given chance, `periods` of it at a time."""
    state = world.reset(chance.demand.shape[-1])
    fields = [state.on_hand[:, 0], state.pipeline[0, :, 0], state.owed[:, 0], state.inventory_position[:, 0]]
    total = torch.zeros_like(fields[0])
    for t in range(0, len(chance.demand), periods):
        now = slice(t, t + periods)
        supplier = None if chance.supplier is None else chance.supplier[now, :, 0]
        *fields, total = block(fields, chance.demand[now, :, 0], supplier, total)
    return total


def best(run: Callable[[], object]) -> tuple[float, float]:
    """Steps per second, median and best, in millions."""
    taken = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return _COPIES * _PERIODS / statistics.median(taken) / 1e6, _COPIES * _PERIODS / min(taken) / 1e6


@torch.inference_mode()
def compare(name: str, periods: int) -> str:
    """One line: eager and compiled steps per second, seconds to compile, largest difference of costs."""
    firm = load_firm(name)
    world = World(firm, benchmark_levels(firm))
    rule = FixedLevels(BaseStock("base-stock", benchmark_levels(firm)), world)
    block = torch.compile(StraightWorld(world).block, dynamic=False)
    chance = world.draw(_PERIODS, _COPIES, world.generator(1))
    start = time.perf_counter()
    found = play(world, block, chance, periods)
    compiling = time.perf_counter() - start
    state, expected = world.reset(_COPIES), torch.zeros_like(found)
    for t in range(_PERIODS):
        state, outcome = world.step(state, world.feasible(rule.order(world, state)), chance.at(t))
        expected += outcome.cost
    apart = float(((found - expected).abs() / expected.abs().clamp_min(1.0)).max())
    eager = best(lambda: episode(world, rule, _COPIES))
    compiled = best(lambda: play(world, block, world.draw(_PERIODS, _COPIES, world.generator(1)), periods))
    rates = f"eager {eager[0]:.2f}M (best {eager[1]:.2f}M), compiled {compiled[0]:.2f}M (best {compiled[1]:.2f}M)"
    return f"{name}: {rates} steps a second; {compiling:.0f} s to compile; costs differ by {apart:.1e} (relative)"


def main() -> None:
    """Compare the firms that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--firms", nargs="+", default=["a1"], metavar="FIRM")
    parser.add_argument("--periods", type=int, choices=(1, 3, 5, 15), default=1, help="compiled as one function")
    options = parser.parse_args()
    settle()
    for name in options.firms:
        print(compare(name, options.periods), flush=True)


if __name__ == "__main__":
    main()
