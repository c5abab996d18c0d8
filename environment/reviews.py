"""When stock points take orders: the days of review cycles, and how long orders wait for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from environment.customers import per_product
from environment.firm import Firm
from environment.laws import Mass


class Reviews:
    """When each point takes orders of each product."""

    def __init__(self, firm: Firm) -> None:
        """Read it from the firm."""
        cycle, offset = firm.amounts("review_period", 1.0).astype(int), firm.amounts("review_offset").astype(int)
        points = [per_product(point.review_days, firm.products, None) for point in firm.stock_points.values()]
        named = [(n, k, days) for n, row in enumerate(points) for k, days in enumerate(row) if days is not None]
        for n, k, days in named:
            cycle[n, k] = days.cycle
        self.cycle = cycle  # [N, K] periods
        self.days = np.arange(cycle.max()) == offset[..., None]  # [N, K, longest cycle] whether day t mod cycle is one
        for n, k, days in named:
            self.days[n, k] = np.isin(np.arange(self.days.shape[-1]), days.days)
        self.always = bool((self.days.sum(-1) == cycle).all())

    def at(self, period: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether orders are taken in a period, perhaps another one for each, [N, K]."""
        return np.asarray(np.take_along_axis(self.days, (period % self.cycle)[..., None], -1)[..., 0])

    def ages(self, point: int, product: int) -> Mass:
        """How many periods ago the last review was, in a period drawn evenly from the cycle.

        An order of one review meets all demands until that of the next one arrives, so under base-stock this is a part
        of a random lead time: the average cost of a period at a level is what it costs there.
        """
        cycle = int(self.cycle[point, product])
        days = np.flatnonzero(self.days[point, product, :cycle])
        ages = ((np.arange(cycle)[:, None] - days) % cycle).min(1)
        return np.asarray(np.bincount(ages) / cycle)

    def longest(self, point: int, product: int) -> int:
        """Periods from one review to the next at most, less 1."""
        return len(self.ages(point, product)) - 1

    def gaps(self) -> NDArray[np.float64]:
        """Periods from one review to the next on average, [N, K]."""
        return np.asarray(self.cycle / self.days.sum(-1))

    def between(self, point: int, product: int) -> float:
        """Periods from one review to the next on average."""
        return float(self.gaps()[point, product])
