"""Who sees what before deciding: a firm's two departments as a joint, sequential, factorised or siloed policy, exactly.

One period, two products that share a slot; the recommendation department knows which product customers would follow,
the replenishment department what is on hand, each of two cases and equally likely. All policies without chance are few
enough to try. [M] = Jiang et al., arXiv 2510.04272, compares such structures in a figure; the instance is ours, and so
is the reading that the difference lies in what a department sees of the other one's side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Structure(NamedTuple):
    """A way to decide, and the best that it can do."""

    name: str
    profit: float  # expected money
    shown: NDArray[np.int64]  # [S, Z] the product shown in each case of customers and of stock
    order: NDArray[np.int64]  # [S, Z, 2] units


@dataclass(frozen=True)
class Team:
    """Two departments, what each may know, and what their decisions earn."""

    base_demand: float = 10.0  # units of each product that is not shown
    effect: tuple[float, float] = (14.0, 4.0)  # units more of a shown product, if customers follow it, and if not
    on_hand: tuple[float, float] = (16.0, 0.0)  # units of the product that is there, and of the other one
    price: tuple[float, float] = (10.0, 9.0)
    unit_cost: float = 5.0
    salvage: float = 2.0
    penalty: float = 2.0  # of a lost sale
    noise: tuple[float, ...] = (-4.0, 0.0, 4.0)  # equally likely deviations of demand, units
    largest_order: int = 12  # units, of each product

    def profits(self) -> Array:
        """Expected money of every case and decision, [S, Z, shown, order of 1, order of 2]."""
        units = np.arange(self.largest_order + 1)
        found = np.zeros((2, 2, 2, units.size, units.size))
        for liked, there, shown in product(range(2), repeat=3):
            earned = []
            for k in range(2):
                effect = self.effect[0 if liked == k else 1] * (shown == k)
                demand = self.base_demand + effect + np.array(self.noise)
                stock = (self.on_hand[0 if there == k else 1] + units)[:, None]
                sold = np.minimum(stock, demand)
                money = self.price[k] * sold - self.penalty * (demand - sold) + self.salvage * (stock - sold)
                earned.append(money.mean(-1) - self.unit_cost * units)
            found[liked, there, shown] = np.add.outer(*earned)
        return found

    def structures(self) -> list[Structure]:
        """Joint, sequential, factorised and siloed, each at its best."""
        profits = self.profits()
        flat = profits.reshape(2, 2, 2, -1)  # [S, Z, shown, orders]
        joint = flat.reshape(2, 2, -1).argmax(-1)
        shown, order = np.divmod(joint, flat.shape[-1])
        found = [self._structure("joint", flat, shown, order)]
        pushes = [np.array(push) for push in product(range(2), repeat=2)]  # a product for each case of customers
        for name, sees in (("sequential", True), ("factorised", False)):
            tried = [self._answered(name, flat, push, sees) for push in pushes]
            found.append(max(tried, key=lambda structure: structure.profit))
        return [*found, self._in_silos(flat)]

    def _answered(self, name: str, flat: Array, push: NDArray[np.int64], sees: bool) -> Structure:
        """Orders that answer a way to push best: to each product shown, or (not `sees`) to all that may be shown."""
        worth = flat[np.arange(2), :, push]  # [S, Z, orders]
        groups = [push == shown for shown in range(2)] if sees else [np.ones(2, dtype=bool)]
        order = np.zeros((2, 2), dtype=np.int64)
        for group in groups:
            if group.any():
                order[group] = worth[group].mean(0).argmax(-1)
        return self._structure(name, flat, np.repeat(push[:, None], 2, 1), order)

    def _in_silos(self, flat: Array) -> Structure:
        """Income alone decides what is shown, as if stock were no matter; orders answer the mean of both pushes."""
        wanted = [[self.price[k] * self.effect[0 if liked == k else 1] for k in range(2)] for liked in range(2)]
        push = np.argmax(wanted, axis=1)
        expected = flat.mean((0, 2)).argmax(-1)  # [Z] as if either product were shown to either customers
        return self._structure("in silos", flat, np.repeat(push[:, None], 2, 1), np.repeat(expected[None], 2, 0))

    def _structure(self, name: str, flat: Array, shown: NDArray[np.int64], order: NDArray[np.int64]) -> Structure:
        liked, there = np.indices((2, 2))
        profit = float(flat[liked, there, shown, order].mean())
        return Structure(name, profit, shown, np.stack(np.divmod(order, self.largest_order + 1), -1))
