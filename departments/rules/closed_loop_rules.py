"""What the departments of a firm with customers start from: forecast-driven orders, inventory-aware scores.

The rules of `departments.rules.forecast` and `departments.rules.recommendation` without a choice at the end, in the
world's own precision, so that a learned policy can add to them.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from departments.rules.forecast import ForecastBaseStock
from departments.rules.recommendation import DEFAULT_WEIGHT, available, offer_arrays
from environment import Feedback, State, World
from heuristics.recommendation import Offers


class LoopRules:
    """Forecasts, order-up-to levels and recommendation scores of all departments at once."""

    def __init__(self, world: World) -> None:
        """Prepare for the firm of `world`."""
        self._world = world
        self._levels = ForecastBaseStock("forecast-base-stock", world.firm).levels(world.dtype, world.device)
        self._offers = Offers(single_offers(world, DEFAULT_WEIGHT))

    def forecast(self, forecast: Tensor | None, feedback: Feedback, period: int) -> Tensor:
        """Mean demand per period of factor 1 as each point sees it, [N, K, E]; None: of the period before the first."""
        followed: Tensor = self._levels.follow(forecast, feedback.asked, period)
        return followed

    def order(self, state: State, forecast: Tensor, period: int) -> Tensor:
        """Level less position, [N, K, E] units."""
        level: Tensor = self._levels.level(forecast, period)
        return level - state.inventory_position

    def scores(self, state: State, period: int, aware: bool) -> Tensor:
        """Expected margin of showing each product, or none (last), to a segment, [S, K + 1, E] money a customer.

        Args:
            state: after event 2.
            period: t, for the season.
            aware: net of the shadow price of scarce stock, as the inventory-aware rule; else as margin-greedy.
        """
        stock = available(self._world, state) if aware else None
        scores: Tensor = self._offers.scores(stock, period, state.on_hand.shape[-1])
        return scores


def single_offers(world: World, weight: float) -> dict[str, Tensor]:
    """The arrays of `Offers` where a segment is offered one product, or none (last)."""
    offers = np.vstack((np.eye(world.products), np.zeros((1, world.products))))
    everyone = np.broadcast_to(offers, (len(world.chosen().names), *offers.shape)).copy()
    return offer_arrays(world, everyone, weight, world.dtype)
