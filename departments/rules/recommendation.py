"""Recommendation rules by name for a firm with customers, and the pairs of a recommendation and a replenishment rule.

This is where a firm meets `heuristics.recommendation`, which knows only plain arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import Memory
from departments.rules.ordering import Rule, delivered_cost
from environment import Feedback, Firm, State, World
from heuristics.recommendation import inventory_aware, margin_greedy, shadow_price

DEFAULT_WEIGHT = 0.25
RECOMMENDATIONS = ("none", "margin-greedy", "inventory-aware")
REPLENISHMENT = "forecast-base-stock"


@dataclass(frozen=True)
class NoRecommendation:
    """Pushes nothing."""

    name: str = "none"

    def recommend(self, world: World, state: State, feedback: Feedback, period: int) -> Tensor:
        """Zeros."""
        return torch.zeros_like(feedback.exposure)


@dataclass(frozen=True)
class InventoryAware:
    """Pushes what has the largest expected margin net of the shadow price of scarce stock; weight 0: margin alone.

    What is available is the stock on hand at the segment's stock point and what arrives there next; demand is expected
    from the segments' mean traffic and the season, without recommendation. The shadow price and this reading are ours.
    """

    name: str
    weight: float  # of the shadow price
    price: NDArray[np.float64]  # [N, K] per unit
    margin: NDArray[np.float64]  # [N, K] price less what a unit has cost on its way, per unit

    @classmethod
    def of(cls, name: str, firm: Firm, weight: float) -> InventoryAware:
        """The rule for a firm."""
        price = firm.amounts("price")
        return cls(name, weight, price, price - delivered_cost(firm))

    def recommend(self, world: World, state: State, feedback: Feedback, period: int) -> Tensor:
        """Exposure of the segments of one stock point after the other."""
        choice = world.chosen()
        traffic = choice.traffic * choice.season(period)  # [S, 1]
        bought = choice.probability(torch.zeros_like(choice.preference)) * traffic.unsqueeze(1)  # [S, K, 1]
        exposure = torch.zeros_like(feedback.exposure)
        for facing, point in enumerate(world.network.customer_facing):
            here = choice.facing == facing
            if not bool(here.any()):
                continue
            utility, uplift = _numbers(choice.preference[here, :, 0]), _numbers(choice.uplift[here, :, 0])
            sold = np.isfinite(utility)  # a product without preference: no one buys it, whatever is shown
            utility, slots = np.where(sold, utility, -1e3), int(choice.slots[here][0])
            if not self.weight:
                shown = margin_greedy(utility, uplift, self.margin[point], slots)[..., None]
            else:
                available = _numbers(state.on_hand[point] + _first_arrival(world, state)[point])
                expected = _numbers(bought[here].sum(0))
                scarcity = shadow_price(self.price[point], available, expected)
                shown = inventory_aware(utility, uplift, self.margin[point], scarcity, weight=self.weight, slots=slots)
            exposure[here] = torch.as_tensor(shown * sold[..., None], dtype=exposure.dtype, device=exposure.device)
        return exposure


@dataclass(frozen=True)
class Steady:
    """A rule without memory as a replenishment rule."""

    rule: Rule

    @property
    def name(self) -> str:
        """The rule's."""
        return self.rule.name

    def replenish(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """The rule's order."""
        return self.rule.order(world, state), None


def _first_arrival(world: World, state: State) -> Tensor:
    """Units that arrive at each point before its next sales, [N, K, E]."""
    first = state.pipeline[0]
    return (world.incidence.incoming @ first.reshape(len(first), -1)).view(world.points, *first.shape[1:])


def _numbers(value: Tensor) -> NDArray[np.float64]:
    return value.double().cpu().numpy()
