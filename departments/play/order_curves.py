"""What departments do where: orders over inventory position, in the states that a policy brings about itself."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from departments.decisions import Policy
from departments.play.stepping import play
from environment import World
from environment.streams import Stream, torch_stream

_BINS = 24  # of equally many states
_LEAST = 20  # states that a bin must hold


@dataclass(frozen=True)
class OrderCurve:
    """Orders of one product at one stock point over its inventory position, [B] each: bins in ascending order."""

    position: NDArray[np.float64]  # mean of the bin, units
    order: NDArray[np.float64]  # mean, units
    low: NDArray[np.float64]  # tenth percentile of orders
    high: NDArray[np.float64]  # ninetieth

    def at(self, position: float) -> float:
        """The mean order at a position, interpolated; NaN beyond the positions that were met."""
        if not len(self.position) or not self.position[0] <= position <= self.position[-1]:
            return float("nan")
        return float(np.interp(position, self.position, self.order))

    @property
    def slope(self) -> float:
        """By how much the order changes for a unit more of position, by least squares over the bins."""
        return float(np.polyfit(self.position, self.order, 1)[0]) if len(self.position) > 1 else float("nan")


@torch.inference_mode()
def order_curves(world: World, policy: Policy, *, copies: int = 256, seed: int = 0) -> list[list[OrderCurve]]:
    """Play evaluation episodes, and sort the orders of the periods of review after the warm-up by inventory position.

    Args:
        world: of the firm.
        policy: of all departments; acts without exploration.
        copies: episodes side by side.
        seed: of the episodes.

    Returns:
        By stock point and product.
    """
    length, warm_up = world.firm.periods.evaluate - 1, world.firm.periods.warm_up
    chance = world.draw(length, copies, torch_stream(world.device, Stream.ORDER_CURVES, seed))
    positions, orders, taken = [], [], []
    for step in play(world, policy, chance):
        if step.period + 1 >= warm_up:
            positions.append(step.before.inventory_position)
            orders.append(world.by_point(step.order))
            taken.append(world.network.reviews.at(step.period))
    met, did = (torch.stack(parts).double().cpu().numpy() for parts in (positions, orders))
    days = np.stack(taken)  # [T, N, K]
    return [
        [_order_curve(*(of[days[:, n, k], n, k].ravel() for of in (met, did))) for k in range(world.products)]
        for n in range(world.points)
    ]


def _order_curve(position: NDArray[np.float64], order: NDArray[np.float64]) -> OrderCurve:
    """Bins of about equally many states; equal positions stay together."""
    ascending = np.argsort(position, kind="stable")
    position, order = position[ascending], order[ascending]
    edges = np.unique(np.quantile(position, np.linspace(0.0, 1.0, _BINS + 1)))
    ends = [0, *np.searchsorted(position, edges[1:-1], side="left"), len(position)]
    bins = [slice(*bounds) for bounds in itertools.pairwise(ends) if bounds[1] - bounds[0] >= _LEAST]
    rows = [(position[i].mean(), order[i].mean(), *np.quantile(order[i], [0.1, 0.9])) for i in bins]
    return OrderCurve(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)
