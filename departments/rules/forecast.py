"""Forecast-driven base-stock for every stock point of a firm with customers: levels that follow demand and season.

This is where a firm meets `heuristics.forecast`, which knows only plain arrays.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.decisions import Decision, Memory
from departments.rules.ordering import delivered_cost, echelon_weights
from environment import Feedback, Firm, ForecastUpTo, Network, State, World
from environment.customers import Season
from heuristics.forecast import ForecastLevels

Array = NDArray[np.float64]

DEFAULT_SMOOTHING = 0.2


class ForecastBaseStock:
    """Each point orders up to the newsvendor level of its smoothed, seasonal demand over the protection interval.

    The interval is the longest lead time and wait for a review + 1; the season at a point is that of the customers
    below it, weighted by mean demand; underage is margin + lost-sale penalty of those customers, overage one period's
    holding cost. A point that serves stock points forecasts what they order.

    Source: ours, as the companion of the recommendation rules; Jiang et al., arXiv 2510.04272, have no such rule.
    """

    def __init__(self, name: str, firm: Firm, smoothing: float = DEFAULT_SMOOTHING) -> None:
        """Prepare for `firm`; `smoothing` is the weight of the last demand, in [0, 1]."""
        network = Network.of(firm)
        self.name, self.smoothing = name, smoothing
        self.start = network.mean_flow()  # [N, K] units a period, without recommendation
        times = [
            [network.time_to_arrive(edge, k) for k in range(len(firm.products))]
            for edge in range(len(network.edge_target))
        ]
        longest = np.array([[len(time) for time in row] for row in times])  # lead time, wait for a review + 1
        self.interval = np.zeros(self.start.shape, dtype=np.int64)  # [N, K] periods
        np.maximum.at(self.interval, network.edge_target, longest)
        facing = list(network.customer_facing)
        reach = echelon_weights(firm)[:, facing, None] * self.start[facing]  # [N, C, K] units for each's customers
        share = reach / np.maximum(reach.sum(1, keepdims=True), 1e-12)
        penalty = np.maximum(firm.amounts("price") - delivered_cost(firm), 0.0) + firm.amounts("backorder_cost")
        underage = (share * penalty[facing]).sum(1)
        ratio = underage / np.maximum(underage + firm.amounts("holding_cost"), 1e-12)
        self.critical_ratio = np.clip(ratio, 1e-4, 1 - 1e-4)  # [N, K]
        own = [firm.customers[name].season if name in firm.customers else Season() for name in firm.customer_facing]
        total = share.sum((1, 2))[:, None]
        shares = np.where(total > 0, share.sum(2) / np.maximum(total, 1e-12), 1.0 / len(own))  # nobody asks: any season
        # [C] amplitude, [C] length, [N, C] share
        self.season = np.array([s.amplitude for s in own]), np.array([s.period for s in own]), shares
        self._working: dict[torch.device, ForecastLevels] = {}

    def levels(self, device: torch.device | str = "cpu") -> ForecastLevels:
        """Of all points at once, [N, K, E], in double precision."""
        if (where := torch.device(device)) not in self._working:
            start, ratio = (
                torch.as_tensor(value, device=where).unsqueeze(-1) for value in (self.start, self.critical_ratio)
            )
            safety = torch.special.ndtri(ratio)
            self._working[where] = ForecastLevels(start, safety, self.interval, self.season, self.smoothing)
        return self._working[where]

    def on(self, periods: int) -> ForecastUpTo:
        """As the compiled world knows it, for so many periods."""
        levels = self.levels()
        first, safety = levels.start[..., 0].contiguous(), levels.safety[..., 0].contiguous()
        return ForecastUpTo(first, safety, *levels.seasons(periods), levels.smoothing)

    def arrays(self, point: int) -> dict[str, Array]:
        """The numbers that one point needs to decide by itself."""
        amplitude, length, share = self.season
        return {
            "forecast_start": self.start[point],
            "forecast_safety": torch.special.ndtri(torch.as_tensor(self.critical_ratio[point])).numpy(),
            "forecast_interval": self.interval[point],
            "forecast_season": np.stack((amplitude, length, share[point])),
            "forecast_smoothing": np.array([self.smoothing]),
        }

    def decide(self, world: World, state: State, feedback: Feedback | None, period: int, memory: Memory) -> Decision:
        """Level less position; the memory is the forecast, [N, K, E] units a period of factor 1, in double precision.

        Raises:
            RuntimeError: nothing is told of what was asked.
        """
        if feedback is None:
            raise RuntimeError(f"{self.name} needs a firm with customers who choose")
        working = self.levels(world.device)
        forecast: Tensor = working.follow(memory, feedback.asked.double(), period)
        level: Tensor = working.level(forecast, period).to(world.dtype)
        return Decision(level - state.inventory_position, None, forecast)
