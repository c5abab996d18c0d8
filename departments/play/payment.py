"""How departments are paid: by shares of the firm's costs, by its profit, or each by its own indicator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.rules.ordering import delivered_cost
from environment import World
from environment.compiled import Brought


class Payment(Protocol):
    """Pays the departments of a world."""

    def account(self, brought: Brought) -> Tensor:
        """What payments of an episode's periods are reckoned by, [T, B, E] money."""

    def reward(self, learning: Sequence[int], account: Tensor) -> Tensor:
        """Rewards [T, A, E] money of departments by number, from the accounts [T, B, E] of all periods."""


class CostShares:
    """Everyone pays some stock points' costs: reward = -weights @ cost."""

    def __init__(self, weights: NDArray[np.float32], world: World, by_product: bool = False) -> None:
        """Take [N + 1, N] what departments pay of the costs of the stock points, the last row the whole firm's.

        Of all products together, or `by_product`: then what each copy pays for each product stands beside the others.
        """
        self._weights, self._by_product = torch.as_tensor(weights, device=world.device), by_product

    def account(self, brought: Brought) -> Tensor:
        """Cost per stock point, [T, N, E], or by product [T, N, K E]."""
        if brought.cost.shape[2] == 1:
            return brought.cost[:, :, 0]
        return brought.cost.flatten(2) if self._by_product else brought.cost.sum(2)

    def reward(self, learning: Sequence[int], account: Tensor) -> Tensor:
        """By the weights."""
        return -torch.matmul(self._weights[list(learning)], account)


class Profit:
    """Everyone is paid the firm's profit.

    Profit is counted on accrual: what is bought joins the stock at its cost and is charged when it is sold, and what
    is left in the end is written down to its salvage value. The sum over an episode is the firm's profit less the
    worth of its first stock, a constant; but an order no longer costs now what it earns only after its lead time, a
    gap that discounting would punish (a potential-based shaping, Ng et al. 1999; ours).
    """

    def __init__(self, world: World) -> None:
        """Prepare."""
        self._world = world
        value = torch.as_tensor(delivered_cost(world.firm), device=world.device, dtype=world.dtype)
        self._unit_value = value.unsqueeze(-1)  # [N, K, 1] what a unit has cost when it reaches each point

    def stock_value(self, held: Tensor) -> Tensor:
        """Stock on hand and under way [.., N, K, E] at cost, [.., E] money."""
        return (self._unit_value * held).sum((-3, -2))

    def account(self, brought: Brought) -> Tensor:
        """Profit, [T, 1, E]; the stock is written down after the last period."""
        value, salvage = self.stock_value(brought.held), self._world.salvage_of(brought.held[-1])
        after = torch.cat((value[1:-1], torch.zeros_like(value[:1]) if salvage is None else salvage.sum(0)[None]))
        return (-brought.cost.sum(2).sum(1) - value[:-1] + after).unsqueeze(1)

    def reward(self, learning: Sequence[int], account: Tensor) -> Tensor:
        """The same for all."""
        return account.expand(-1, len(learning), -1)


class OwnIndicators:
    """Each silo is paid by its own indicator.

    A recommender is paid the revenue of what its customers ask for, whether or not it is in stock. A replenisher pays
    holding cost and, for each unit unserved, penalty and margin, at its own point and below (our reading).
    """

    def __init__(self, weights: NDArray[np.float32], world: World) -> None:
        """Take [N, N] whose indicators a replenisher is paid by."""
        firm = world.firm

        def column(field: str) -> Tensor:
            return torch.as_tensor(firm.amounts(field), device=world.device, dtype=world.dtype)[:, :, None]

        self._world, self._weights = world, torch.as_tensor(weights, device=world.device, dtype=world.dtype)
        facing = torch.as_tensor(world.network.customer_facing, device=world.device)
        self._holding, self._price = column("holding_cost"), column("price")[facing]
        value = torch.as_tensor(delivered_cost(firm), device=world.device, dtype=world.dtype).unsqueeze(-1)
        self._missed = (column("backorder_cost") + (column("price") - value).clamp_min(0.0))[facing]

    def account(self, brought: Brought) -> Tensor:
        """What each replenisher is paid, then the revenue, [T, N + 1, E]."""
        own = (self._holding * brought.on_hand).sum(2).transpose(0, 1).contiguous()  # [N, T, E]
        own = self._world.incidence.facing.add_to(own, (self._missed * brought.unserved).sum(2).transpose(0, 1))
        paid = -(self._weights @ own.flatten(1)).view(own.shape)
        revenue = (self._price * brought.demand).sum((1, 2))
        return torch.cat((paid.transpose(0, 1), revenue.unsqueeze(1)), 1)

    def reward(self, learning: Sequence[int], account: Tensor) -> Tensor:
        """Each its own."""
        return account[:, list(learning)]
