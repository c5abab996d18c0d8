"""What a unit short or emitted is worth while departments learn to meet targets: a multiplier each, by dual ascent.

Learners go by costs, and the price of what is short is the multiplier of the target: it rises while the target is
missed and falls while more is served than was asked for, by ever smaller steps and on the slowest timescale. It stands
in place of the backorder cost, so it prices what the world counts: units that wait, each period, or units lost. That of
a cap on emissions stands in place of their price.

Source: Borkar (2005), An actor-critic algorithm for constrained Markov decision processes, and Tessler, Mankowitz &
Mannor (2019), Reward constrained policy optimization, have multipliers on the slowest of three timescales. That a
target's price is the backorder cost, that its logarithm moves by the share that is missed too much, the law of
steps, and that a tenth above a cap is a whole step are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from departments.learning.timescale import StepLaw
from environment import Firm, Network
from environment.fields import Checked
from environment.parts import TARGETS

Array = NDArray[np.float64]
_FILL, _CYCLE = TARGETS
EMISSIONS = "emissions"  # the measure that a cap is of
_WHOLE_STEP = 0.1  # of the cap


class ServiceConfig(Checked):
    """How multipliers of service targets and of a cap on emissions move."""

    every: int = Field(default=10, ge=1)  # iterations, or updates, between their steps
    episodes: int = Field(default=512, ge=2, le=1024)  # of evaluation, on which service is measured for each step
    law: StepLaw = StepLaw(initial=0.3, decay=0.6, delay=20.0)  # of their logarithms, after so many steps of theirs


@dataclass
class Multipliers:
    """M of them: one for each point that sells, and product, if service has targets; one for a cap on emissions."""

    config: ServiceConfig
    places: list[tuple[str, str, str]]  # [M] stock point, product, and of what the target is; a cap's is of no place
    target: Array  # [M] share, or emission a period
    price: Array  # [M] money a unit short, or a unit of emission
    reached: Array = field(default_factory=lambda: np.empty(0))  # [M] as the target; nan before the first measurement
    steps: int = 0
    rounds: int = 0  # iterations so far

    @classmethod
    def of(cls, firm: Firm, config: ServiceConfig, price: Array) -> Multipliers | None:
        """Those of a firm, from what a unit short is worth at first, [C, K] money; None: it has no targets.

        Where that is not known (nan), it is the newsvendor's, `Firm.newsvendor_costs`. A unit of emission is worth its
        price at first; if it has none, all that the cap allows costs what a period's flow costs to hold (ours).
        """
        places, targets, prices = list[tuple[str, str, str]](), list[float](), list[float]()
        if firm.has_targets:
            facing = [firm.names.index(name) for name in firm.customer_facing]
            cycle, fill = firm.targets(_CYCLE)[facing], firm.targets(_FILL)[facing]
            known = np.where(np.isnan(price) | (price <= 0), firm.newsvendor_costs()[facing], price)
            for (c, k), of_cycles in np.ndenumerate(~np.isnan(cycle)):
                places.append((firm.customer_facing[c], firm.products[k], _CYCLE if of_cycles else _FILL))
            targets, prices = [*np.where(np.isnan(cycle), fill, cycle).flat], [*known.flat]
        if (cap := firm.emission_cap) is not None:
            places.append(("", "", EMISSIONS))
            targets.append(cap)
            held = float((firm.amounts("holding_cost") * Network.of(firm).mean_flow()).sum())
            prices.append(firm.emission_price or max(held, 1e-6) / cap)
        found = cls(config, places, np.array(targets), np.array(prices), np.full(len(places), np.nan))
        return found if places else None

    @property
    def due(self) -> bool:
        """Whether they move after the iteration at hand."""
        return (self.rounds + 1) % self.config.every == 0

    @property
    def short(self) -> Array | None:
        """What units short are worth, [C K] money; None: service has no targets."""
        own = [price for price, (_, _, measure) in zip(self.price, self.places, strict=True) if measure != EMISSIONS]
        return np.array(own) if own else None

    @property
    def emission(self) -> float | None:
        """What a unit of emission is worth, money; None: there is no cap."""
        return float(self.price[-1]) if self.places[-1][2] == EMISSIONS else None

    def move(self, fill_rate: Array, cycle_service: Array, emitted: float = 0.0) -> None:
        """A step up where what is missed, or emitted, is more than the target allows, or down.

        log w <- log w + a_n ((1 - reached) / (1 - target) - 1), of a cap a_n 10 (reached / cap - 1); of which at most 1
        in absolute value.

        Args:
            fill_rate: [C, K] share of demand.
            cycle_service: [C, K] share of cycles.
            emitted: a period.
        """
        measured = {_FILL: fill_rate.flat, _CYCLE: cycle_service.flat}
        reached = [emitted if of == EMISSIONS else measured[of][m] for m, (_, _, of) in enumerate(self.places)]
        self.reached = np.array(reached)
        capped = np.array([of == EMISSIONS for _, _, of in self.places])
        over = (self.reached / self.target - 1.0) / _WHOLE_STEP
        missed = (1.0 - self.reached) / np.where(capped, 1.0, 1.0 - self.target) - 1.0
        step = np.clip(np.where(capped, over, missed), -1.0, 1.0)
        self.price = self.price * np.exp(self.config.law.at(self.steps) * step)
        self.steps += 1

    def rows(self) -> list[dict[str, Any]]:
        """A record of each: stock_point, product, what is measured, target, reached, multiplier."""
        return [
            {"stock_point": point, "product": product, "measure": measure}
            | {"target": float(target), "reached": float(reached), "multiplier": float(price)}
            for (point, product, measure), target, reached, price in zip(
                self.places, self.target, self.reached, self.price, strict=True
            )
        ]

    def state(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint needs."""
        counts = np.array([self.steps, self.rounds], dtype=np.int64)
        return {"price": self.price, "reached": self.reached, "counts": counts}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from a state."""
        self.price, self.reached = state["price"].reshape(-1), state["reached"].reshape(-1)
        self.steps, self.rounds = map(int, state["counts"])
