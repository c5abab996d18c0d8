"""Forecast-driven base-stock for every stock point of a firm with customers: levels that follow demand and season.

This is where a firm meets `heuristics.forecast`, which knows only plain arrays.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import Memory
from departments.rules.ordering import delivered_cost, echelon_weights
from environment import Feedback, Firm, Network, State, World
from environment.customers import Season
from heuristics.forecast import forecast_level, season_over, seasonal_factor, smoothed_forecast

Array = NDArray[np.float64]

DEFAULT_SMOOTHING = 0.2


class ForecastBaseStock:
    """Each point orders up to the newsvendor level of its smoothed, seasonal demand over the protection interval.

    The interval is the longest lead time + 1; the season at a point is that of the customers below it, weighted by mean
    demand; underage is margin + lost-sale penalty of those customers, overage one period's holding cost. A point that
    serves stock points forecasts what they order.

    Source: ours, as the companion of the recommendation rules; Jiang et al., arXiv 2510.04272, have no such rule.
    """

    def __init__(self, name: str, firm: Firm, smoothing: float = DEFAULT_SMOOTHING) -> None:
        """Prepare for `firm`; `smoothing` is the weight of the last demand, in [0, 1]."""
        network = Network.of(firm)
        self.name, self.smoothing = name, smoothing
        self.start = network.mean_flow()  # [N, K] units a period, without recommendation
        longest = np.array([[len(law.mass()) for law in laws] for laws in network.lead_time_laws])  # lead time + 1
        self.interval = np.zeros(self.start.shape, dtype=np.int64)  # [N, K] periods
        np.maximum.at(self.interval, network.edge_target, longest)
        facing = list(network.customer_facing)
        reach = echelon_weights(firm)[:, facing, None] * self.start[facing]  # [N, C, K] units for each's customers
        share = reach / np.maximum(reach.sum(1, keepdims=True), 1e-12)
        penalty = np.maximum(firm.amounts("price") - delivered_cost(firm), 0.0) + firm.amounts("backorder_cost")
        underage = (share * penalty[facing]).sum(1)
        ratio = underage / np.maximum(underage + firm.amounts("holding_cost"), 1e-12)
        self.critical_ratio = np.clip(ratio, 1e-4, 1 - 1e-4)
        self.seasons: list[Season] = [
            firm.customers[name].season if name in firm.customers else Season() for name in firm.customer_facing
        ]
        self.share = share.sum(2) / np.maximum(share.sum(2).sum(1, keepdims=True), 1e-12)  # [N, C]

    def replenish(
        self, world: World, state: State, feedback: Feedback, period: int, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Level less position; the memory is the forecast, [N, K, E] units a period of factor 1."""
        if memory is None:
            forecast = np.broadcast_to(self.start[..., None], tuple(state.on_hand.shape))
        else:
            asked, factor = feedback.asked.double().cpu().numpy(), self._factor(period - 1)
            forecast = smoothed_forecast(memory, asked, factor[:, None, None], self.smoothing)
        level = np.stack([self._level(point, forecast[point], period) for point in range(world.points)])
        wanted = torch.as_tensor(level, dtype=state.on_hand.dtype, device=state.on_hand.device)
        return wanted - state.inventory_position, forecast

    def _factor(self, period: int) -> Array:
        """Seasonal factor of a period at each point, [N]."""
        factors = [seasonal_factor(period, season.amplitude, season.period) for season in self.seasons]
        return np.asarray(self.share @ np.array(factors), dtype=np.float64)

    def season(self, period: int) -> tuple[Array, Array]:
        """Seasonal factor of a period at each point [N], and its sum over each protection interval from it [N, K]."""
        sums = [[season_over(period, i, s.amplitude, s.period) for s in self.seasons] for i in self.interval]
        return self._factor(period), np.einsum("nc,nck->nk", self.share, np.array(sums))

    def _level(self, point: int, forecast: Array, period: int) -> Array:
        """Order-up-to levels of one point, [K, E] units."""
        interval = self.interval[point]
        sums = [season_over(period, interval, season.amplitude, season.period) for season in self.seasons]
        return forecast_level(forecast, self.share[point] @ np.array(sums), self.critical_ratio[point])
