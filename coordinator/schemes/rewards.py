"""What departments pay of the costs of the firm's stock points: rows departments, columns stock points."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from coordinator.learning.settings import Settings
from environment import Network

Paid = Literal["own", "downstream", "network"]


class MixedReward(Settings):
    """Settings of a run whose departments may be paid by their own cost and by the network's in part (ours)."""

    own_share: float = Field(default=1.0, ge=0, le=1)  # of what the scheme pays them by; the rest is the network's cost

    def mixed(self, own: NDArray[np.float32]) -> NDArray[np.float32]:
        """What departments pay if the scheme says `own`, [N, N] both: share x own + (1 - share) x the network's."""
        return np.float32(self.own_share) * own + np.float32(1.0 - self.own_share)


def reward_weights(network: Network, kind: Paid = "downstream") -> NDArray[np.float32]:
    """How departments are paid, [N, N]: `own` cost, own and `downstream` cost ([I]), or the `network`'s."""
    points = len(network.names)
    if kind == "network":
        return np.ones((points, points), dtype=np.float32)
    weights = np.eye(points, dtype=np.float32)
    if kind == "downstream":
        for point in range(points):
            weights[point, network.descendants(point)] = 1.0
    return weights


def retailers_by_their_own(network: Network) -> NDArray[np.float32]:
    """Retailers by their own cost, all others by the network's, [N, N]."""
    weights = reward_weights(network, "network")
    for point in network.customer_facing:
        weights[point] = 0.0
        weights[point, point] = 1.0
    return weights
