"""What the outputs of a policy mean, and what a firm accepts of it; torch is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from heuristics.arrays import AnyArray

Array = NDArray[np.float64]

SCORE = 0.5  # money a customer: the unit of a rule's scores among the inputs of a recommending policy
SHARPNESS = 5.0  # of the choice among offers that a residual recommendation starts from, per unit of score


def action_to_order(form: str, base: AnyArray, unit: AnyArray, action: AnyArray) -> AnyArray:
    """The wished order that an action stands for: base + unit action, or (action + 1) unit if the form is `plain`.

    Args:
        form: `residual` or `plain`.
        base: [.., E] units, what the rule orders that a residual policy adds to.
        unit: broadcastable to the orders, units: of residual policies mean demand, of plain ones half of max_order.
        action: [.., E].
    """
    return base + unit * action if form == "residual" else (action + 1.0) * unit


@dataclass(frozen=True)
class OrderLimits:
    """What a firm of N stock points and K products accepts of wished orders: `environment.orders` in numpy."""

    most: Array  # [N, K] units, whole packs
    multiple: Array  # [N, K] units a pack
    least: Array  # [N, K] units, whole packs
    storage: Array  # [N] units that all products share, negative: any
    load: Array  # [N] units a period from outside, likewise
    cycle: Array  # [N, K] periods
    days: Array  # [N, K, longest cycle] 1 on days of the cycle on which orders are taken

    @classmethod
    def only(cls, max_order: Array) -> Self:
        """Nothing but `max_order`, [N, K] units."""
        one, any_ = np.ones_like(max_order), np.full(max_order.shape[:1], -1.0)
        return cls(max_order, one, 0.0 * one, any_, any_, one, one[..., None])

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """From lists by field."""
        return cls(**{field: np.array(values, dtype=float) for field, values in facts.items()})

    def feasible(self, point: int, wish: Array, position: Array, period: int) -> Array:
        """Orders of a stock point as the world accepts them, [K, E] units.

        Args:
            point: its number.
            wish: [K, E] units.
            position: [K, E] units, inventory positions before the order.
            period: its number.
        """
        most, multiple, least = (limit[point][:, None] for limit in (self.most, self.multiple, self.least))
        units = np.round(np.minimum(wish.clip(min=0.0), most))
        day = (period % self.cycle[point]).astype(int)
        units = units * np.take_along_axis(self.days[point], day[:, None], 1)
        units = np.where(units > 0.0, np.maximum(np.ceil(units / multiple) * multiple, least), units)
        for limit, held in ((self.load[point], np.zeros_like(position)), (self.storage[point], position)):
            if limit >= 0:
                room = np.maximum(limit - np.maximum(held, 0.0).sum(0), 0.0)
                units = _shared_out(units, np.maximum(-held, 0.0), room, multiple, least)
        return np.asarray(units)


def _shared_out(wished: Array, free: Array, room: Array, multiple: Array, least: Array) -> Array:
    """See `environment.orders.share_out`."""

    def fitting(units: Array, k: slice) -> Array:
        packs = np.floor(np.minimum(wished[k], units) / multiple[k]) * multiple[k]
        return np.where(packs < least[k], 0.0, packs)

    asked = np.maximum(wished - free, 0.0)
    total = asked.sum(0)
    given = fitting(free + np.floor(asked * room / np.maximum(total, 1.0)), slice(None))
    for k in range(len(wished)):
        left = room - np.delete(np.maximum(given - free, 0.0), k, 0).sum(0)
        given[k] = fitting(free[k : k + 1] + left, slice(k, k + 1))[0]
    return np.where(total <= room, wished, given)
