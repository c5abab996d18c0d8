"""Emergency shipments: what a point cannot serve may be delivered at once from what its supplier has left.

Source: Kaynov et al. (2024), who call it partial backordering; that one draw a point and period decides for all that
is short is our reading: it gives the costs, and their spread, that they publish of the rules on their instance 11.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from environment.events import at_most
from environment.laws import TABLE_SIZE
from environment.network import Network


class Emergencies:
    """Edges that deliver at once to the customers of the point they lead to, M of them."""

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        """Prepare those of `network`."""
        edges = np.flatnonzero(network.emergency)
        source, target = network.edge_source[edges], network.edge_target[edges]
        facing = {point: line for line, point in enumerate(network.customer_facing.tolist())}
        before = np.tril(source[:, None] == source, -1)  # suppliers serve in the order of their edges
        chance = np.rint(network.emergency[edges] * TABLE_SIZE)[:, None]
        self.edges, self.count = edges, len(edges)
        self.source, self.target = (torch.as_tensor(points, device=device) for points in (source, target))  # [M]
        self.lines = torch.tensor([facing[point] for point in target.tolist()], device=device)  # [M] of C
        self._before = torch.as_tensor(before, device=device, dtype=dtype)  # [M, M]
        self._chance = torch.as_tensor(chance, device=device, dtype=torch.int32)  # [M, 1] of 65,536

    def delivered(self, on_hand: Tensor, unserved: Tensor, drawn: Tensor) -> Tensor:
        """Units delivered on each of these edges, [M, X].

        Args:
            on_hand: [N, X] units that are left after event 2.
            unserved: [C, X] units.
            drawn: [M, X] int16, what decides.
        """
        comes = drawn.to(torch.int32) + TABLE_SIZE // 2 < self._chance
        want = unserved[self.lines] * comes.to(unserved.dtype)
        return at_most(on_hand[self.source] - self._before @ want, want, in_turn=True)

    def at_suppliers(self, units: Tensor, points: int) -> Tensor:
        """What stock points give, [N, ..], of units delivered on each edge [M, ..]."""
        return units.new_zeros(points, *units.shape[1:]).index_add(0, self.source, units)

    def at_customers(self, units: Tensor, points: int) -> Tensor:
        """What is given in the place of each stock point, [N, ..]."""
        return units.new_zeros(points, *units.shape[1:]).index_add(0, self.target, units)
