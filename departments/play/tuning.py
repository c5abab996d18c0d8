"""Base-stock levels tuned on the simulated world: what learned policies must beat beside the heuristic benchmark."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import OrdersAlone
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import run_costs
from departments.rules.ordering import BaseStock, Levels, baseline_levels, echelon_weights
from environment import Exogenous, Firm, Network, OrderUpTo, State, World
from environment.streams import Stream, torch_stream
from heuristics.base_stock import order_up_to
from heuristics.polish import polish_levels
from heuristics.search import tune_levels

_EPISODES = 512  # of the first steps, and drawn at a time: they stay in the processor's cache
_BESIDE = 8  # times as many, period by period: there it is steps that cost
_FEW, _MANY = 2048, 16_384  # of the last steps
_SMALL = 40  # levels; of more, the last steps take fewer episodes
_TELL = 15.0  # s between two lines about many products


def quiet(_: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class _Candidates(OrderUpTo, OrdersAlone):
    """Level vectors as a policy of the eager world, too."""

    def order(self, world: World, state: State) -> Tensor:
        wish: Tensor = order_up_to(state.inventory_position, self.level, weights=self.weights)
        return wish


class _Simulator:
    """Costs of many level vectors on the same episodes, of which it draws as many as are asked for."""

    def __init__(
        self, firm: Firm, weights: Levels | None, seed: int, device: str, note: Callable[[str], None] | None
    ) -> None:
        self._world = world = World(firm, baseline_levels(firm), device=device)
        self._run = partial(run_costs, world) if note is None else CompiledEpisodes(world, note).costs
        self._weights = None if weights is None else torch.as_tensor(weights, device=world.device, dtype=world.dtype)
        self._beside = _BESIDE if note is None else 1
        self._seed = seed
        self._shards: list[Exogenous] = []
        self._costs: defaultdict[bytes, list[NDArray[np.float64]]] = defaultdict(list)  # by vector and shard

    def __call__(self, levels: NDArray[np.int64], episodes: int = _EPISODES) -> NDArray[np.float64]:
        """[M, N * K] levels -> [M, episodes] costs; of fewer episodes it is the first ones."""
        world, shards = self._world, -(-episodes // _EPISODES)
        for shard in range(len(self._shards), shards):
            generator = torch_stream(world.device, Stream.TUNING, self._seed, shard)
            self._shards.append(world.draw(world.firm.periods.evaluate - 1, _EPISODES, generator))
        vectors = {vector.tobytes(): vector for vector in levels}
        missing = [(key, shard) for key in vectors for shard in range(len(self._costs[key]), shards)]
        for start in range(0, len(missing), self._beside):
            some = missing[start : start + self._beside]
            played = self._play(np.stack([vectors[key] for key, _ in some]), [self._shards[i] for _, i in some])
            for (key, _), cost in zip(some, played, strict=True):
                self._costs[key].append(cost)
        return np.array([np.concatenate(self._costs[v.tobytes()][:shards])[:episodes] for v in levels])

    def _play(self, levels: NDArray[np.int64], shards: Sequence[Exogenous]) -> NDArray[np.float64]:
        """[B, N * K] levels, each in a shard of its own -> [B, _EPISODES] costs."""
        world, fields = self._world, zip(*shards, strict=True)
        chance = Exogenous._make(None if some[0] is None else torch.cat(some, dim=-1) for some in fields)
        level = torch.as_tensor(levels.T, device=world.device, dtype=world.dtype)
        level = level.reshape(world.points, world.products, -1)
        if len(shards) > 1:
            level = level.repeat_interleave(_EPISODES, dim=-1)
        cost: Tensor = self._run(_Candidates(level, weights=self._weights), chance).sum(0, dtype=torch.float64)
        return cost.view(len(levels), -1).cpu().numpy()


def tuned_base_stock(
    firm: Firm,
    *,
    seed: int = 0,
    device: str = "cpu",
    eager: bool = False,
    note: Callable[[str], None] = quiet,
) -> BaseStock:
    """Installation base-stock levels of least simulated cost, searched from the benchmark's.

    Args:
        firm: a checked firm.
        seed: of the episodes.
        device: where to simulate.
        eager: simulate period by period even where the compiled world can, which is faster and adds up in double
            precision.
        note: told what compiling took, or why that cannot be, and of many products how many are done.
    """
    found = _search(firm, baseline_levels(firm), None, seed, device, None if eager else note, note)
    return BaseStock("tuned-base-stock", found)


def tuned_echelon_base_stock(
    firm: Firm,
    *,
    start: Levels | None = None,
    seed: int = 0,
    device: str = "cpu",
    eager: bool = False,
    note: Callable[[str], None] = quiet,
) -> BaseStock:
    """Echelon base-stock levels of least simulated cost; see above.

    `start`: [N, K] installation levels from whose sums the search begins, best the tuned ones; default the benchmark's.
    """
    weights = echelon_weights(firm)
    begin = np.rint(weights @ (baseline_levels(firm) if start is None else start))
    found = _search(firm, begin, weights, seed, device, None if eager else note, note)
    return BaseStock("echelon-base-stock", found, weights)


def _search(
    firm: Firm,
    start: Levels,
    weights: Levels | None,
    seed: int,
    device: str,
    compiling: Callable[[str], None] | None,
    note: Callable[[str], None],
) -> Levels:
    """[N, K] levels; product by product, since under base-stock nothing couples them where nobody chooses."""
    if len(firm.products) == 1 or firm.customers:
        return _found(firm, start, weights, seed, device, compiling)
    told, columns = time.monotonic(), []
    for k, product in enumerate(firm.products):
        one = firm.of_product(product)
        columns.append(_found(one, start[:, k : k + 1], weights, seed, device, compiling))
        if time.monotonic() - told > _TELL:
            told = time.monotonic()
            note(f"levels of {k + 1} of {len(firm.products)} products are tuned")
        if compiling is not None:
            compiling = _unless_compiled(compiling)
    return np.concatenate(columns, axis=1)


def _found(
    firm: Firm,
    start: Levels,
    weights: Levels | None,
    seed: int,
    device: str,
    compiling: Callable[[str], None] | None,
) -> Levels:
    products, cost = len(firm.products), _Simulator(firm, weights, seed, device, compiling)
    echelons = Network.of(firm).echelons()
    groups = [
        [p * products + k for p, e in enumerate(echelons) if e == echelon for k in range(products)]
        for echelon in sorted(set(echelons), reverse=True)
    ]
    tuned = [
        tune_levels(begun, cost, groups=groups).levels
        for begun in dict.fromkeys(
            tuple(np.rint(start * share).astype(np.int64).ravel()) for share in _shares(echelons)
        )
    ]
    levels = min(tuned, key=lambda found: float(cost(found[None], _FEW).mean()))
    few, many = (_FEW, _MANY) if levels.size <= _SMALL else (_EPISODES, _FEW)
    return polish_levels(levels, cost, few=few, many=many).reshape(-1, products).astype(float)


def _shares(echelons: Sequence[int]) -> Iterator[Levels]:
    """Where the search begins: shares of the given levels, [N, 1]; less and more upstream, as there may be valleys."""
    upstream = np.array(echelons)[:, None] > 1
    for share in (1.0, 0.5, 1.5):
        yield np.where(upstream, share, 1.0)


def _unless_compiled(note: Callable[[str], None]) -> Callable[[str], None]:
    """Of many products one line about compiling is enough."""
    return lambda line: None if line.startswith(("compiled", "not compiled")) else note(line)
