"""What the departments of a firm with customers start from, batched: forecast-driven orders, inventory-aware scores.

The same rules as `departments.rules.forecast` and `departments.rules.recommendation` (tests compare them), in tensors
and without a choice at the end, so that a learned policy can add to them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from departments.rules.forecast import ForecastBaseStock
from departments.rules.ordering import delivered_cost
from departments.rules.recommendation import DEFAULT_WEIGHT
from environment import Feedback, State, World


class LoopRules:
    """Forecasts, order-up-to levels and recommendation scores of all departments at once."""

    def __init__(self, world: World) -> None:
        """Prepare for the firm of `world`."""
        self._world, self._choice = world, world.chosen()
        self._forecast = ForecastBaseStock("forecast-base-stock", world.firm)
        self._safety: Tensor = torch.special.ndtri(self._column(self._forecast.critical_ratio))  # [N, K, 1]
        self._mean_flow = self._column(self._forecast.start)
        self._seasons: dict[int, tuple[Tensor, Tensor]] = {}
        firm, choice = world.firm, self._choice
        self._price = self._column(firm.amounts("price"))
        self._margin = self._price - self._column(delivered_cost(firm))
        # A segment is offered one product, or none: what it buys then, [S, K + 1, K].
        products = world.products
        shown = torch.cat((torch.eye(products, device=world.device), torch.zeros(1, products, device=world.device)))
        offers = [choice.probability(option.view(1, -1, 1).expand_as(choice.preference)) for option in shown]
        self._bought = torch.cat(offers, -1).transpose(1, 2).contiguous()  # [S, K + 1, K]
        self._point = torch.as_tensor(world.network.customer_facing, device=world.device)[choice.facing]  # [S]

    def _column(self, value: np.typing.NDArray[np.float64]) -> Tensor:
        return torch.as_tensor(value, device=self._world.device, dtype=self._world.dtype).unsqueeze(-1)

    def _season(self, period: int) -> tuple[Tensor, Tensor]:
        """Seasonal factor [N, 1, 1] of a period, and summed over each protection interval from then on [N, K, 1]."""
        if period not in self._seasons:
            factor, sums = self._forecast.season(period)
            self._seasons[period] = (self._column(factor[:, None]), self._column(sums))
        return self._seasons[period]

    def forecast(self, forecast: Tensor | None, feedback: Feedback, period: int) -> Tensor:
        """Mean demand per period of factor 1 as each point sees it, [N, K, E]; None: of the period before the first."""
        if forecast is None:
            return self._mean_flow + torch.zeros_like(feedback.asked)
        factor, _ = self._season(period - 1)
        return torch.lerp(forecast, feedback.asked / factor, self._forecast.smoothing)

    def order(self, state: State, forecast: Tensor, period: int) -> Tensor:
        """Level less position, [N, K, E] units."""
        covered = forecast * self._season(period)[1]
        return covered + self._safety * covered.sqrt() - state.inventory_position

    def scores(self, state: State, period: int, aware: bool) -> Tensor:
        """Expected margin of showing each product, or none (last), to a segment, [S, K + 1, E] money a customer.

        Args:
            state: after event 2.
            period: t, for the season.
            aware: net of the shadow price of scarce stock, as the inventory-aware rule; else as margin-greedy.
        """
        world, choice = self._world, self._choice
        if not aware:
            worth = self._margin[self._point].expand(-1, -1, state.on_hand.shape[-1])
        else:
            first = (world.incidence.incoming @ state.pipeline[0].reshape(world.edges, -1)).view(state.on_hand.shape)
            traffic = choice.traffic * choice.season(period)  # [S, 1]
            bought = self._bought[:, -1:].mT * traffic[:, None]
            wanted = torch.zeros_like(self._price).index_add_(0, self._point, bought)
            scarcity = self._price * wanted / (state.on_hand + first).clamp_min(1.0)
            worth = (self._margin - DEFAULT_WEIGHT * scarcity).index_select(0, self._point)
        return torch.bmm(self._bought, worth)
