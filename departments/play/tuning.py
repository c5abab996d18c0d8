"""Base-stock levels tuned on the simulated world: what learned policies must beat beside the heuristic benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from departments.decisions import OrdersAlone
from departments.play.compiled_episodes import CompiledEpisodes
from departments.play.episode import run_costs
from departments.rules.ordering import BaseStock, Levels, baseline_levels, echelon_weights
from environment import Exogenous, Firm, Network, OrderUpTo, State, World
from environment.streams import Stream, torch_stream
from heuristics.base_stock import order_up_to
from heuristics.search import TunedLevels, tune_levels

_EPISODES = 512
_CANDIDATES = 4  # simulated side by side


def quiet(_: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class _Candidates(OrderUpTo, OrdersAlone):
    """Many level vectors at once, each by neighbouring copies."""

    def order(self, world: World, state: State) -> Tensor:
        wish: Tensor = order_up_to(state.inventory_position, self.level, weights=self.weights)
        return wish


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
        note: told why the compiled world cannot do it.
    """
    found = _search(firm, baseline_levels(firm), None, seed, device, None if eager else note)
    return BaseStock("tuned-base-stock", found.levels.reshape(-1, len(firm.products)).astype(float))


def tuned_echelon_base_stock(
    firm: Firm,
    *,
    seed: int = 0,
    device: str = "cpu",
    eager: bool = False,
    note: Callable[[str], None] = quiet,
) -> BaseStock:
    """Echelon base-stock levels of least simulated cost, searched from the sums of the benchmark's; see above."""
    weights = echelon_weights(firm)
    found = _search(firm, np.rint(weights @ baseline_levels(firm)), weights, seed, device, None if eager else note)
    return BaseStock("echelon-base-stock", found.levels.reshape(-1, len(firm.products)).astype(float), weights)


def _repeated(chance: Exogenous, times: int) -> Exogenous:
    """The same chance for several sets of copies, one after the other."""
    return Exogenous._make(f if f is None else f.repeat(*[1] * (f.dim() - 1), times) for f in chance)


def _search(
    firm: Firm,
    start: Levels,
    weights: Levels | None,
    seed: int,
    device: str,
    note: Callable[[str], None] | None,
) -> TunedLevels:
    world = World(firm, baseline_levels(firm), device=device)
    compiled = None if note is None else CompiledEpisodes(world, note)
    products = len(firm.products)
    periods = firm.periods.evaluate - 1
    chance = world.draw(periods, _EPISODES, torch_stream(world.device, Stream.TUNING, seed))
    matrix = None if weights is None else torch.as_tensor(weights, device=world.device, dtype=world.dtype)

    def cost(levels: np.typing.NDArray[np.int64]) -> np.typing.NDArray[np.float64]:
        parts = []
        for some in np.array_split(levels, -(-len(levels) // _CANDIDATES)):
            tensor = torch.as_tensor(some, device=world.device, dtype=world.dtype).view(-1, world.points, products)
            level = tensor.permute(1, 2, 0)  # [N, K, M]
            if compiled is not None and compiled.able:
                total = compiled.costs(_Candidates(level, weights=matrix), chance)
            else:
                rules = _Candidates(level.repeat_interleave(_EPISODES, dim=-1), weights=matrix)
                total = run_costs(world, rules, _repeated(chance, len(some)))
            parts.append(total.sum(0, dtype=torch.float64).view(len(some), _EPISODES).cpu().numpy())
        return np.concatenate(parts)

    echelons = Network.of(firm).echelons()
    groups = [
        [p * products + k for p, e in enumerate(echelons) if e == echelon for k in range(products)]
        for echelon in sorted(set(echelons), reverse=True)
    ]
    return tune_levels(start.reshape(-1).astype(np.int64), cost, groups=groups)
