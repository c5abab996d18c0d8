"""Registered rules in simulations: every stock point of a firm follows one by itself, as its process would."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from departments.decisions import Decision, Memory
from departments.rules.local import Array, BoundRule, Local
from environment import Feedback, State, World
from environment.observation import Observer


class LocalPolicy:
    """A registered rule at all stock points."""

    def __init__(self, name: str, rule: BoundRule, levels: NDArray[np.float64]) -> None:
        """Prepare; `levels` [N, K] are the benchmark's."""
        self.name, self.rule, self._levels = name, rule, levels
        self._world: World | None = None

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Point by point, on the host and in double precision."""
        if world is not self._world:
            self._world, self._observer = world, Observer(world, self._levels)
            found = [local_arrays(self._observer, point, self.rule) for point in range(world.points)]
            self._points = [(arrays["rows"], Local(self.rule, arrays)) for arrays in found]
        seen = self._observer.units(state, feedback, period).double().cpu().numpy()
        wished = np.stack([point.wish(seen[rows], period) for rows, point in self._points])
        return Decision(torch.as_tensor(wished, dtype=world.dtype, device=world.device))


def local_arrays(observer: Observer, point: int, rule: BoundRule) -> dict[str, Array]:
    """The arrays of `departments.rules.local.Local` for a stock point, and the `rows` of the features that it sees."""
    world, products = observer.world, observer.world.products
    lines = np.count_nonzero(world.network.line_supplier == point) if rule.rule.sees_backlog else 0
    rows = observer.node_rows(point)[: (2 + observer.arrivals + lines) * products]
    told = [observer.told_at(what) + point * products for what in ("asked", "handed")] if world.choice else []
    return {
        "rows": np.array(rows + [start + k for start in told for k in range(products)]),
        "level": observer.level.view(-1, products)[point].double().cpu().numpy(),
        "mean_demand": observer.spread.view(-1, products)[point].double().cpu().numpy(),
        "max_order": world.firm.amounts("max_order")[point],
        "sees": np.array([observer.arrivals, lines, len(told)]),
    }
