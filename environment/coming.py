"""What trend and known events make of the demand that orders of a period have to last for."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from environment.network import Network
from environment.seasons import Seasonal

Array = NDArray[np.float64]
_KEPT = 4096  # periods


class Coming:
    """Factors on the demand ahead of every stock point and product, less 1.

    They are those of the demand that comes to a point on its way up, by mean flows, on average over the protection
    interval of the point and of all below it (ours). Seasons are told apart from that, by their phases.
    """

    def __init__(self, network: Network) -> None:
        """Read them from the laws of demand."""
        self._laws = network.demand_laws
        self._weights = _weights(network)  # [N, C, K]
        self._spans = _spans(network)  # [N, K] periods
        self._known: dict[int, Array] = {}

    @classmethod
    def of(cls, network: Network) -> Self | None:
        """Of a network; None: nothing is known of any demand but its law and season."""
        laws = (law for row in network.demand_laws for law in row if isinstance(law, Seasonal))
        return cls(network) if any(law.trend or any(event.known for event in law.events) for law in laws) else None

    def at(self, period: int) -> Array:
        """Of orders of a period, [N, K]."""
        if period not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[period] = self._worked_out(period)
        return self._known[period]

    def _worked_out(self, period: int) -> Array:
        ahead = period + np.arange(int(self._spans.max()))
        one = np.ones(len(ahead))
        rows = [[law.told(ahead) if isinstance(law, Seasonal) else one for law in row] for row in self._laws]
        factors = np.einsum("nck,ckt->nkt", self._weights, np.array(rows))
        within = np.arange(len(ahead)) < self._spans[..., None]
        return np.asarray((factors * within).sum(-1) / self._spans - 1.0)


def _weights(network: Network) -> Array:
    """Of what passes through each point, the share that each one that sells asks for, [N, C, K]; sums are 1."""
    points, facing = len(network.names), network.customer_facing
    passes = np.zeros((points, len(facing)))
    passes[facing, np.arange(len(facing))] = 1.0
    for point in network.upwards():
        for supplier in network.predecessors(point):
            passes[supplier] += network.part(passes[point], supplier, point)
    means = np.array(
        [[float(np.arange(len(mass)) @ mass) for mass in (law.mass() for law in row)] for row in network.demand_laws]
    )
    flow = passes[:, :, None] * means
    total = flow.sum(1, keepdims=True)
    return np.asarray(np.divide(flow, total, out=np.full(flow.shape, 1.0 / len(facing)), where=total > 0))


def _spans(network: Network) -> NDArray[np.int64]:
    """Periods that an order of each point has to last for, with those of the points below it, [N, K]."""
    products = len(network.demand_laws[0])
    spans = np.zeros((len(network.names), products), dtype=np.int64)
    for point in network.upwards():
        edges = np.flatnonzero(network.edge_target == point)
        below = [spans[customer] for customer in network.successors(point)]
        for k in range(products):
            longest = max(len(network.lead_time(int(edge), k)) - 1 for edge in edges)
            spans[point, k] = longest + 1 + network.reviews.longest(point, k)
        spans[point] += np.max(below, 0) if below else 0
    return spans
