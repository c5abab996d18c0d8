"""What a firm keeps beside stock, pipeline and debts: who is shut, what waits for them, and how old stock is (ours).

All of it is one tensor of a state, `State.aside` [H, K, E]: D rows that are 1 where an edge is shut, Q rows of units
ordered from those of outside and held back, and A rows for each of P stock points whose goods expire.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from environment.firm import Firm
from environment.laws import TABLE_SIZE
from environment.network import Network


class Disrupted(NamedTuple):
    """One period's disruptions."""

    flags: Tensor  # [D, X] 1 where an edge is shut
    waiting: Tensor  # [Q, X] units held back outside
    placed: Tensor  # [Ed, X] orders, those of outside replaced by what leaves there
    serves: Tensor  # [L, X] 0 where a line's edge is shut, else 1


class Disruptions:
    """Edges that are shut and opened again by chance: nothing leaves on them meanwhile, and orders wait.

    An open edge is shut in the next period with probability `start`, a shut one is open again with probability `end`.
    """

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        """Prepare those of `network`."""
        self.edges = np.flatnonzero(network.disruption[:, 1])  # [D]
        outside = self.edges >= network.internal
        self.waiting = int(outside.sum())  # Q
        self.count, self._lines = len(self.edges), len(network.line_supplier)
        start, end = np.rint(network.disruption[self.edges] * TABLE_SIZE).T[..., None]
        self._start, self._end = (torch.as_tensor(part, device=device, dtype=torch.int32) for part in (start, end))
        self._inside, self._outside = (
            torch.as_tensor(np.flatnonzero(own), device=device) for own in (~outside, outside)
        )
        self.at = torch.as_tensor(self.edges, device=device)

    def step(self, flags: Tensor, waiting: Tensor, placed: Tensor, number: Tensor) -> Disrupted:
        """The next period.

        Args:
            flags: [D, X] 1 where an edge was shut when orders were placed.
            waiting: [Q, X] units held back outside.
            placed: [Ed, X] orders.
            number: [D, X] int16, what decides.
        """
        level = number.to(torch.int32) + TABLE_SIZE // 2
        flags = torch.where(flags > 0, level >= self._end, level < self._start).to(placed.dtype)
        shut, edges = flags[self._outside], self.at[self._outside]
        waiting = waiting + placed[edges]
        leaves = waiting * (1.0 - shut)
        serves = placed.new_ones(self._lines, placed.shape[1])
        serves = serves.index_copy(0, self.at[self._inside], 1.0 - flags[self._inside])
        return Disrupted(flags, waiting - leaves, placed.index_copy(0, edges, leaves), serves)


class ShelfLife:
    """Stock that expires: first expired, first out; a life is counted in periods that a unit can be sold in."""

    def __init__(self, firm: Firm, device: torch.device, dtype: torch.dtype) -> None:
        """Prepare the stock points of `firm` that have one."""
        lives = [point.shelf_life or 0 for point in firm.stock_points.values()]
        self.points = torch.as_tensor(np.flatnonzero(lives), device=device)  # [P]
        self.ages, self.count = max(lives), int(np.count_nonzero(lives))  # A, P
        life = torch.tensor([life for life in lives if life], device=device)
        self._fresh = (torch.arange(self.ages, device=device)[:, None] == life - 1).to(dtype)[..., None]  # [A, P, 1]

    def at_first(self, on_hand: Tensor) -> Tensor:
        """Ages [A, P, ..] of stock [N, ..] that is as fresh as what arrives next."""
        own = on_hand[self.points]
        return self._fresh.view(*self._fresh.shape[:2], *[1] * (own.dim() - 1)) * own

    def step(self, ages: Tensor, arrived: Tensor, used: Tensor) -> tuple[Tensor, Tensor]:
        """Ages after a period, [A, P, X], and what expired at its end, [P, X].

        Args:
            ages: [A, P, X] units by how many periods they can still be sold in, those of one period first.
            arrived: [P, X] units, new.
            used: [P, X] units that left in the period.
        """
        ages = ages + self._fresh * arrived
        upto = ages.cumsum(0)
        before = upto - ages
        left = ages - (torch.where(used < upto, used, upto) - torch.where(used < before, used, before))
        return torch.cat((left[1:], torch.zeros_like(left[:1]))), left[0]
