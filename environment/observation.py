"""What departments and the critic see: features of the state, scaled to the order of one.

A feature row is one number per copy. Positions come first, one row per stock point and product; then what only the
`pipeline` set and the critic see: stock on hand, units in transit to each point by period of arrival, units owed on each line.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from environment.state import State
from environment.world import World

ObservationSet = Literal["own", "downstream", "everything", "pipeline"]
Scaling = Literal["benchmark", "bounds"]
_ARRIVALS = 5  # periods of arrival that are told apart; later ones are added up


class Observer:
    """Scaled features of a world, and which of them belong to which department's observation set.

    Scaling `benchmark` (ours): (position - base-stock level) / mean demand through the point. Scaling `bounds` [I]: position
    mapped from [-2 max_order, base-stock level + max_order] to [-1, 1], which is the paper's table for its grid.
    """

    def __init__(self, world: World, base_stock_level: NDArray[np.float64], scaling: Scaling = "benchmark") -> None:
        """Scale by the benchmark's levels, [N, K] units."""
        network, products = world.network, world.products
        tensor = self._column = lambda value: torch.as_tensor(value, device=world.device, dtype=world.dtype).reshape(-1, 1)
        self._world = world
        flow = np.maximum(network.mean_flow(), 1e-3)
        self.spread = tensor(flow)  # [N * K, 1] units: mean demand through each point
        self.level = tensor(base_stock_level)  # [N * K, 1] units
        if scaling == "bounds":
            max_order = world.firm.amounts("max_order")
            low, high = -2.0 * max_order, base_stock_level + max_order
            self._centre, self._inverse = tensor((low + high) / 2.0), tensor(2.0 / (high - low))
        else:
            self._centre, self._inverse = self.level, 1.0 / self.spread
        line_flow = flow[np.concatenate([network.edge_target[: network.internal], network.customer_facing])]
        self._inverse_line = 1.0 / tensor(line_flow)
        self._arrivals = min(world.slots, _ARRIVALS)
        self.positions = world.points * products
        self.size = self.positions * (2 + self._arrivals) + line_flow.size  # all features

    def features(self, state: State) -> Tensor:
        """Scaled positions, [N * K, E]."""
        position = state.inventory_position.view(self.positions, -1)
        return (position - self._centre) * self._inverse

    def all_features(self, state: State) -> Tensor:
        """Everything there is to see, [features, E]."""
        copies = state.on_hand.shape[-1]
        inverse = 1.0 / self.spread
        on_hand = state.on_hand.view(self.positions, copies) * inverse
        near = list(state.pipeline[: self._arrivals])
        if self._world.slots > self._arrivals:
            near[-1] = state.pipeline[self._arrivals - 1 :].sum(0)
        incoming = self._world.incidence.incoming
        arrivals = [(incoming @ slot.view(len(slot), -1)).view(self.positions, copies) * inverse for slot in near]
        owed = state.owed.view(-1, copies) * self._inverse_line
        return torch.cat((self.features(state), on_hand, *arrivals, owed))

    def rows(self, kind: ObservationSet, point: int) -> list[int]:
        """Which feature rows the department of a stock point sees, its own position first."""
        products, network = self._world.products, self._world.network
        if kind == "pipeline":
            own = [point * products + k for k in range(products)]
            return own + [row for row in range(self.size) if row not in own]
        if kind == "own":
            points = [point]
        elif kind == "downstream":
            points = [point, *network.descendants(point)]
        else:
            points = [point, *(other for other in range(self._world.points) if other != point)]
        return [other * products + k for other in points for k in range(products)]
