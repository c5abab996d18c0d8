"""Base-stock that parts each order by shares of its suppliers: levels and shares of least simulated cost (ours).

It is the benchmark of departments that order from each supplier apart, as tuned base-stock is of those that do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import OrdersAlone
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.tuning import quiet, tuned_base_stock
from departments.rules.ordering import BaseStock, Levels, baseline_levels
from environment import Firm, Network, State, World
from environment.events import share_of
from environment.streams import Stream, torch_stream

_EPISODES = 2048
_STEPS = (0.25, 0.1, 0.05)  # of an order, from one supplier to another
_ROUNDS = 3  # of shares and levels in turn, at most
_GAIN = 1e-4  # of the cost, that a change must save


@dataclass(frozen=True)
class SplitBaseStock(OrdersAlone):
    """Each point orders up to a level, whole units parted by shares and rounded supplier by supplier."""

    name: str
    levels: Levels  # [N, K] units
    parts: NDArray[np.int64]  # [2, Ed] of 65,536, see `Network.parts`

    def order(self, world: World, state: State) -> Tensor:
        """Orders of all edges, [Ed, K, E]."""
        level = torch.as_tensor(self.levels, device=world.device, dtype=world.dtype).unsqueeze(-1)
        own = (level - state.inventory_position)[world.network.order_point]
        before, upto = torch.as_tensor(self.parts, device=world.device, dtype=torch.float64)[..., None, None]
        return share_of(own, upto) - share_of(own, before)


def tuned_split(firm: Firm, *, seed: int = 0, note: Callable[[str], None] = quiet) -> SplitBaseStock:
    """Levels and shares in turn: levels as `tuned_base_stock`, shares moved from supplier to supplier while that pays.

    With a share moves the mean demand of the time that its orders are longer on their way. All on common chance; it
    ends where neither gains.

    Args:
        firm: a firm with `supplier_choice: ordered`.
        seed: of the episodes.
        note: told how far the search is.

    Raises:
        ValueError: one line; orders are not of edges.
    """
    if firm.supplier_choice != "ordered":
        raise ValueError(
            f"policy 'tuned-split' parts orders, which needs supplier_choice ordered, got {firm.supplier_choice}"
        )
    search = _Search(firm, seed)
    now = search.tried(dict(firm.supplier_shares() or {}), tuned_base_stock(firm, seed=seed, note=note).levels)
    for _ in range(_ROUNDS):
        before = now.cost
        for step in _STEPS:
            now = search.moved(now, step)
        levels = tuned_base_stock(_with(firm, now.shares), start=now.levels, seed=seed, note=note).levels
        now = min(now, search.tried(now.shares, levels), key=lambda found: found.cost)
        if now.cost > before * (1.0 - _GAIN):
            break
    return SplitBaseStock("tuned-split", now.levels, Network.of(_with(firm, now.shares)).parts())


Shares = dict[tuple[str, str], float]  # by (supplier, point)


class _Found(NamedTuple):
    """Shares and levels, and what they cost an episode."""

    cost: float
    shares: Shares
    levels: Levels


class _Search:
    """Tries shares and levels on the same episodes."""

    def __init__(self, firm: Firm, seed: int) -> None:
        self._firm, self._start, self._seed = firm, baseline_levels(firm), seed
        network = Network.of(firm)
        means = [
            [float(np.arange(mass.size) @ mass) for mass in (network.lead_time(edge, k) for k in range(len(laws)))]
            for edge, laws in enumerate(network.lead_time_laws)
        ]
        self._late = dict(zip(network.edge_names, map(np.array, means), strict=True))  # [K] periods
        self._flow = dict(zip(firm.names, network.mean_flow(), strict=True))  # [K] units a period

    def tried(self, shares: Shares, levels: Levels) -> _Found:
        """What they cost."""
        world = World(_with(self._firm, shares), self._start)
        stream = torch_stream(world.device, Stream.TUNING, self._seed, 0)
        chance = world.draw(self._firm.periods.evaluate - 1, _EPISODES, stream)
        cost = CompiledEpisodes(world, quiet).costs(BaseStock("", levels), chance)
        return _Found(float(cost.sum(0).mean()), shares, levels)

    def moved(self, now: _Found, step: float) -> _Found:
        """Where no step from one supplier of a point to another pays."""
        pairs = [(giver, taker) for giver, taker in permutations(now.shares, 2) if giver[1] == taker[1]]
        better = True
        while better:
            better = False
            for giver, taker in pairs:
                if (part := min(step, now.shares[giver])) <= 0.0:
                    continue
                shares = now.shares | {giver: now.shares[giver] - part, taker: now.shares[taker] + part}
                levels, point = now.levels.copy(), giver[1]
                later = self._late[taker] - self._late[giver]
                levels[self._firm.names.index(point)] += np.rint(part * later * self._flow[point])
                found = self.tried(shares, np.maximum(levels, 0.0))
                if found.cost < now.cost * (1.0 - _GAIN):
                    now, better = found, True
        return now


def _with(firm: Firm, shares: Shares) -> Firm:
    """The firm with those shares."""
    supply = tuple(edge.model_copy(update={"share": shares[edge.source, edge.target]}) for edge in firm.supply)
    return firm.model_copy(update={"supply": supply})
