"""Base-stock levels that meet service targets with the least holding cost, and what a unit short is worth by them.

A target is a fill rate, the share of demand served at once, or a cycle service, the share of replenishment cycles
without a stock-out (`Network.cycle_ends`). On common random numbers both rise with the level of a point that sells, so
the least level that meets a target is found by halving; levels of points that serve others are searched around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import Episodes
from departments.rules.ordering import BaseStock, Levels, baseline_levels
from environment import Exogenous, Firm, World
from environment.streams import Stream, torch_stream

Array = NDArray[np.float64]

_SHARD, _FEW, _MANY = 1024, 1, 16  # episodes of a shard, and shards that levels are searched and settled on
_SPARE = 0.005  # by which a target is exceeded before levels are exchanged
_TRIES = 12  # units that are taken away, or exchanged, one after the other
_STEPS = (0.5, 0.25, 0.125, 0.0625, 0.03125)  # of a level upstream, as far as they are a unit and more


@dataclass(frozen=True)
class Service:
    """Levels that meet the targets of a firm, in the episodes that they were searched on."""

    levels: Levels  # [N, K] units
    reached: Array  # [C, K] fill rates or cycle services, as the targets are
    backorder_cost: Array  # [C, K] the least at which the last unit of the level pays; nan where nothing is short


def meet_targets(
    firm: Firm, *, seed: int = 0, device: str = "cpu", compiling: Callable[[str], None] = lambda _: None
) -> Service:
    """Levels of least holding cost that reach at least the target, point by point.

    Args:
        firm: with `fill_rate` or `cycle_service` wherever it sells.
        seed: of the episodes.
        device: where to simulate.
        compiling: told why the compiled world cannot do it.

    Raises:
        ValueError: one line; a target is not met by any level that `max_order` lets a point keep.
    """
    parts = [_Search(firm.of_product(product), seed, device, compiling).run() for product in firm.products]
    return Service(*(np.concatenate(columns, 1) for columns in zip(*parts, strict=True)))


def implied_costs(firm: Firm, levels: Levels, *, seed: int = 0, device: str = "cpu") -> Array:
    """What a unit short must cost for the last unit of a level to pay, [C, K] money; nan where nothing is short.

    Args:
        firm: with a target wherever it sells.
        levels: [N, K] units.
        seed: of the episodes.
        device: where to simulate.
    """
    parts = []
    for k, product in enumerate(firm.products):
        search = _Search(firm.of_product(product), seed, device, lambda _: None)
        parts.append(search.worth(levels[:, k])[:, None])
    return np.concatenate(parts, 1)


class _Search:
    """Of one product."""

    def __init__(self, firm: Firm, seed: int, device: str, compiling: Callable[[str], None]) -> None:
        self._firm, self._start = firm, baseline_levels(firm)
        self._world = World(firm, self._start, device=device)
        self._play = CompiledEpisodes(self._world, compiling).episodes
        self._selling = list(self._world.network.customer_facing)
        self._serving = [
            n for n in range(len(firm.names)) if self._world.network.successors(n) and n not in self._selling
        ]
        by_cycle = firm.targets("cycle_service")[self._selling, 0]
        self._by_cycle = ~np.isnan(by_cycle)  # [C]
        self._target = np.where(self._by_cycle, by_cycle, firm.targets("fill_rate")[self._selling, 0])
        self._chance: list[Exogenous] = [
            self._world.draw(
                firm.periods.evaluate - 1, _SHARD, torch_stream(self._world.device, Stream.TUNING, seed, shard)
            )
            for shard in range(_MANY)
        ]

    def run(self) -> tuple[Levels, Array, Array]:
        """Levels [N, 1], what of the targets is reached [C, 1] and implied backorder costs [C, 1]."""
        levels = self._met(self._start[:, 0], _FEW)
        cost = self._held(levels, _FEW)
        for share in _STEPS:
            for point in self._serving:
                step, better = max(round(share * self._start[point, 0]), 1), True
                while better:
                    better = False
                    for sign in (-1, 1):
                        tried = levels.copy()
                        tried[point] = max(tried[point] + sign * step, 0.0)
                        tried = self._met(tried, _FEW)
                        if (held := self._held(tried, _FEW)) < cost - 1e-9:
                            levels, cost, better = tried, held, True
                            break
        levels = self._exchanged(self._met(levels, _MANY))
        found = self._episodes(levels, _MANY)
        return levels[:, None], self._reached(found)[:, None], self.worth(levels)[:, None]

    def _episodes(self, levels: Array, shards: int) -> Episodes:
        policy = BaseStock("tuned-base-stock", levels[:, None])
        return Episodes.joined([self._play(policy, chance) for chance in self._chance[:shards]])

    def _held(self, levels: Array, shards: int) -> float:
        """Holding cost a period, money."""
        return float(self._firm.amounts("holding_cost")[:, 0] @ self._episodes(levels, shards).on_hand)

    def _met(self, levels: Array, shards: int) -> Array:
        """The same upstream, with the least levels of points that sell that meet their targets."""
        at, most = self._selling, self._highest()
        low, high = np.full(len(at), -1.0), np.maximum(levels[at], 1.0)
        while ((short := self._rates(levels, high, shards) < self._target) & (high < most)).any():
            low, high = np.where(short, high, low), np.where(short, np.minimum(2.0 * high, most), high)
        if short.any():
            place = int(short.argmax())
            field = "cycle_service" if self._by_cycle[place] else "fill_rate"
            where = f"stock_points.{self._firm.names[at[place]]}.{field} {self._target[place]:g}"
            cure = "raise max_order or what limits its suppliers, or lower the target"
            raise ValueError(f"{where} is not met by any level: {cure}")
        while (high - low > 1.0).any():
            middle = np.where(high - low > 1.0, np.floor((low + high) / 2.0), high)
            short = self._rates(levels, middle, shards) < self._target
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        found = levels.copy()
        found[at] = self._lowered(levels, high, shards)
        return found

    def _lowered(self, levels: Array, selling: Array, shards: int) -> Array:
        """Levels that meet all targets [C], lowered by units where they still do, first where most is to spare.

        Halving them side by side leaves some too high, as points that sell take from each other.
        """
        spare, tried = self._rates(levels, selling, shards) - self._target, np.zeros(len(selling), dtype=bool)
        for _ in range(_TRIES):
            place = int(np.where(tried, -np.inf, spare).argmax())
            less = selling.copy()
            less[place] -= 1.0
            left = self._rates(levels, less, shards) - self._target
            tried[place] = less[place] < 0.0 or (left < 0.0).any()
            if not tried[place]:
                selling, spare, tried = less, left, np.zeros_like(tried)
            if tried.all():
                break
        return selling

    def _exchanged(self, levels: Array) -> Array:
        """Levels that cost less by a unit less at a point that exceeds its target, and one more elsewhere.

        Who keeps less is served before others where scarce stock goes to the lowest position, so one level alone may
        not be lowered though its target is exceeded.
        """
        held = self._held(levels, _MANY)
        for place, other in islice(self._pairs(levels), _TRIES):
            tried = levels.copy()
            tried[place] -= 1.0
            tried[other] += 1.0
            if (self._reached(self._episodes(tried, _MANY)) >= self._target).all():
                tried[self._selling] = self._lowered(tried, tried[self._selling], _MANY)
                if self._held(tried, _MANY) < held - 1e-9:
                    return self._exchanged(tried)
        return levels

    def _pairs(self, levels: Array) -> Iterator[tuple[int, int]]:
        """Points of which the first exceeds its target by more than `_SPARE`, most first, and the second is another."""
        spare = self._reached(self._episodes(levels, _MANY)) - self._target
        for c in np.argsort(-spare):
            if spare[c] > _SPARE and levels[self._selling[c]] > 0.0:
                yield from ((self._selling[c], other) for other in self._selling if other != self._selling[c])

    def _highest(self) -> Array:
        """Levels beyond which nothing is looked for: what the largest orders bring in twice the way through, [C]."""
        way = 2.0 * self._world.network.time_through() + 2.0
        return np.asarray(np.ceil(way * self._firm.amounts("max_order")[self._selling, 0]))

    def _rates(self, levels: Array, selling: Array, shards: int) -> Array:
        """What of the targets is reached with these levels of the points that sell, [C]."""
        tried = levels.copy()
        tried[self._selling] = selling
        return self._reached(self._episodes(tried, shards))

    def _reached(self, found: Episodes) -> Array:
        return np.where(self._by_cycle, found.cycle_service, found.fill_rate)

    def worth(self, levels: Array) -> Array:
        """Holding cost of the last unit of each level over what it keeps from being short, [C] money."""
        holding, worth, found = self._firm.amounts("holding_cost")[:, 0], [], self._episodes(levels, _MANY)
        for point in self._selling:
            less = levels.copy()
            less[point] -= 1.0
            before = self._episodes(less, _MANY)
            saved = float(before.unserved.sum() - found.unserved.sum())
            more = float(holding @ (found.on_hand - before.on_hand))
            worth.append(max(more, 0.0) / saved if saved > 1e-12 and levels[point] > 0 else np.nan)
        return np.array(worth)
