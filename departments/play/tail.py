"""What the worst episodes cost: the conditional value at risk, as a mean over episodes, so that it has an error too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WORST = 0.05  # share of the episodes


def tail(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """What every episode adds to the mean cost of the worst 5%: v + (cost - v)^+ / .05, v their least cost.

    The mean is the conditional value at risk, of one episode at least; to first order these are independent, so its
    standard error, and that of a difference between policies, is that of a mean of them.

    Args:
        cost: [E] money of each episode.

    Returns:
        [E] money.

    Source: Rockafellar & Uryasev (2000), Optimization of conditional value-at-risk, Journal of Risk 2(3), equation 4.
    """
    v = np.quantile(cost, 1.0 - WORST, method="inverted_cdf")
    return np.asarray(v + np.maximum(cost - v, 0.0) / WORST)
