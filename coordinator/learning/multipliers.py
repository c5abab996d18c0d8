"""What a unit short is worth while departments learn to meet service targets: a multiplier for each, by dual ascent.

Learners go by costs, and the price of what is short is the multiplier of the target: it rises while the target is
missed and falls while more is served than was asked for, by ever smaller steps and on the slowest timescale. It stands
in place of the backorder cost, so it prices what the world counts: units that wait, each period, or units lost.

Source: Borkar (2005), An actor-critic algorithm for constrained Markov decision processes, and Tessler, Mankowitz &
Mannor (2019), Reward constrained policy optimization, have multipliers on the slowest of three timescales. That a
target's price is the backorder cost, that its logarithm moves by the share that is missed too much, and the law of
steps are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from departments.learning.timescale import StepLaw
from environment import Firm
from environment.fields import Checked
from environment.parts import TARGETS

Array = NDArray[np.float64]
_FILL, _CYCLE = TARGETS


class ServiceConfig(Checked):
    """How multipliers of service targets move."""

    every: int = Field(default=10, ge=1)  # iterations, or updates, between their steps
    episodes: int = Field(default=512, ge=2, le=1024)  # of evaluation, on which service is measured for each step
    law: StepLaw = StepLaw(initial=0.3, decay=0.6, delay=20.0)  # of their logarithms, after so many steps of theirs


@dataclass
class Multipliers:
    """One for each point that sells, and product, with its target and what was last measured."""

    config: ServiceConfig
    places: list[tuple[str, str]]  # [C K] stock point and product
    target: Array  # [C, K] share
    by_cycle: NDArray[np.bool_]  # [C, K] of replenishment cycles, not of demand
    price: Array  # [C, K] money a unit short
    reached: Array = field(default_factory=lambda: np.empty(0))  # [C, K] share; nan before the first measurement
    steps: int = 0
    rounds: int = 0  # iterations so far

    @classmethod
    def of(cls, firm: Firm, config: ServiceConfig, price: Array) -> Multipliers | None:
        """Those of a firm, from what a unit short is worth at first, [C, K] money; None: it has no targets.

        Where that is not known (nan), it is the newsvendor's, `Firm.newsvendor_costs`.
        """
        if not firm.has_targets:
            return None
        facing = [firm.names.index(name) for name in firm.customer_facing]
        cycle, fill = firm.targets(_CYCLE)[facing], firm.targets(_FILL)[facing]
        by_cycle = ~np.isnan(cycle)
        target = np.where(by_cycle, cycle, fill)
        places = [(name, product) for name in firm.customer_facing for product in firm.products]
        known = np.where(np.isnan(price) | (price <= 0), firm.newsvendor_costs()[facing], price)
        return cls(config, places, target, by_cycle, known, np.full(target.shape, np.nan))

    @property
    def due(self) -> bool:
        """Whether they move after the iteration at hand."""
        return (self.rounds + 1) % self.config.every == 0

    def move(self, fill_rate: Array, cycle_service: Array) -> None:
        """A step up where what is missed is more than the target allows, or down, [C, K] shares of demand and cycles.

        log w <- log w + a_n ((1 - reached) / (1 - target) - 1), of which at most 1 in absolute value.
        """
        self.reached = np.where(self.by_cycle, cycle_service, fill_rate)
        missed = (1.0 - self.reached) / (1.0 - self.target) - 1.0
        self.price = self.price * np.exp(self.config.law.at(self.steps) * np.clip(missed, -1.0, 1.0))
        self.steps += 1

    def rows(self) -> list[dict[str, Any]]:
        """A record of each: stock_point, product, what is measured, target, reached, multiplier."""
        columns = (self.by_cycle, self.target, self.reached, self.price)
        return [
            {"stock_point": point, "product": product, "measure": TARGETS[int(cycle)]}
            | {"target": float(target), "reached": float(reached), "multiplier": float(price)}
            for (point, product), cycle, target, reached, price in zip(
                self.places, *(column.flat for column in columns), strict=True
            )
        ]

    def state(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint needs."""
        counts = np.array([self.steps, self.rounds], dtype=np.int64)
        return {"price": self.price, "reached": self.reached, "counts": counts}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a state."""
        self.price, self.reached = state["price"], state["reached"]
        self.steps, self.rounds = map(int, state["counts"])
