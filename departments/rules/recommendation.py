"""Recommendation rules by name for a firm with customers, and the pairs of a recommendation and a replenishment rule.

This is where a firm meets `heuristics.recommendation`, which knows only plain arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from departments.rules.closed_loop import Memory, Pair, Recommender, Replenisher
from departments.rules.forecast import DEFAULT_SMOOTHING, ForecastBaseStock
from departments.rules.ordering import Rule, delivered_cost, parse_rule
from environment import Firm, Report, State, World
from heuristics.recommendation import inventory_aware, margin_greedy, shadow_price

DEFAULT_WEIGHT = 0.25
RECOMMENDATIONS = ("none", "margin-greedy", "inventory-aware")
REPLENISHMENT = "forecast-base-stock"


@dataclass(frozen=True)
class NoRecommendation:
    """Pushes nothing."""

    name: str = "none"

    def recommend(self, world: World, state: State, report: Report, period: int) -> Tensor:
        """Zeros."""
        return torch.zeros_like(report.exposure)


@dataclass(frozen=True)
class InventoryAware:
    """Pushes what has the largest expected margin net of the shadow price of scarce stock; weight 0: margin alone.

    What is available is the stock on hand at the segment's stock point and what arrives there next; demand is expected
    from the segments' mean traffic and the season, without recommendation. The shadow price and this reading are ours.
    """

    name: str
    weight: float  # of the shadow price
    price: NDArray[np.float64]  # [N, K] per unit
    margin: NDArray[np.float64]  # [N, K] price less what a unit has cost on its way, per unit

    @classmethod
    def of(cls, name: str, firm: Firm, weight: float) -> InventoryAware:
        """The rule for a firm."""
        price = firm.amounts("price")
        return cls(name, weight, price, price - delivered_cost(firm))

    def recommend(self, world: World, state: State, report: Report, period: int) -> Tensor:
        """Exposure of the segments of one stock point after the other."""
        choice = world.chosen()
        traffic = choice.traffic * choice.season(period)  # [S, 1]
        bought = choice.probability(torch.zeros_like(choice.preference)) * traffic.unsqueeze(1)  # [S, K, 1]
        exposure = torch.zeros_like(report.exposure)
        for facing, point in enumerate(world.network.customer_facing):
            here = choice.facing == facing
            if not bool(here.any()):
                continue
            utility, uplift = _numbers(choice.preference[here, :, 0]), _numbers(choice.uplift[here, :, 0])
            sold = np.isfinite(utility)  # a product without preference: no one buys it, whatever is shown
            utility, slots = np.where(sold, utility, -1e3), int(choice.slots[here][0])
            if not self.weight:
                shown = margin_greedy(utility, uplift, self.margin[point], slots)[..., None]
            else:
                available = _numbers(state.on_hand[point] + _first_arrival(world, state)[point])
                expected = _numbers(bought[here].sum(0))
                scarcity = shadow_price(self.price[point], available, expected)
                shown = inventory_aware(utility, uplift, self.margin[point], scarcity, weight=self.weight, slots=slots)
            exposure[here] = torch.as_tensor(shown * sold[..., None], dtype=exposure.dtype, device=exposure.device)
        return exposure


@dataclass(frozen=True)
class Steady:
    """A rule without memory as a replenishment rule."""

    rule: Rule

    @property
    def name(self) -> str:
        """The rule's."""
        return self.rule.name

    def replenish(
        self, world: World, state: State, report: Report, period: int, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """The rule's order."""
        return self.rule.order(world, state), None


def parse_policy(text: str, firm: Firm) -> Rule | Pair:
    """A rule by name, or RECOMMENDATION[+REPLENISHMENT] such as `inventory-aware:0.25+forecast-base-stock:0.2`.

    RECOMMENDATION is `none`, `margin-greedy` or `inventory-aware[:weight]`; REPLENISHMENT is any rule of orders or
    `forecast-base-stock[:smoothing]`, the default. `forecast-base-stock` alone recommends nothing.

    Raises:
        ValueError: one line; unknown rule or number, or a firm without customers.
    """
    first, plus, second = text.partition("+")
    kind = first.partition(":")[0]
    if kind == REPLENISHMENT and not plus:
        first, second = "none", first
    elif kind not in RECOMMENDATIONS:
        if plus:
            raise ValueError(f"policy: before '+' stands one of {', '.join(RECOMMENDATIONS)}, got {first!r}")
        return parse_rule(text, firm)
    elif plus and not second:
        raise ValueError(f"policy: after '+' stands a replenishment rule such as {REPLENISHMENT}, got {text!r}")
    if not firm.customers:
        raise ValueError(f"policy {text!r} needs a firm with customers who choose, and {firm.name} has none")
    return Pair(text, _recommender(first, firm), _replenisher(second or REPLENISHMENT, firm))


def _recommender(text: str, firm: Firm) -> Recommender:
    kind, colon, given = text.partition(":")
    if kind == "inventory-aware":
        return InventoryAware.of(text, firm, _number(text, given, 1000.0) if colon else DEFAULT_WEIGHT)
    if colon:
        raise ValueError(f"policy {kind!r} takes no number, got {given!r}")
    return NoRecommendation() if kind == "none" else InventoryAware.of(kind, firm, 0.0)


def _replenisher(text: str, firm: Firm) -> Replenisher:
    kind, colon, given = text.partition(":")
    if kind != REPLENISHMENT:
        return Steady(parse_rule(text, firm))
    return ForecastBaseStock(text, firm, _number(text, given, 1.0) if colon else DEFAULT_SMOOTHING)


def _number(text: str, given: str, highest: float) -> float:
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= highest:
        raise ValueError(f"policy {text!r}: the number after ':' must be from 0 to {highest:g}, got {given!r}")
    return value


def _first_arrival(world: World, state: State) -> Tensor:
    """Units that arrive at each point before its next sales, [N, K, E]."""
    first = state.pipeline[0]
    return (world.incidence.incoming @ first.reshape(len(first), -1)).view(world.points, *first.shape[1:])


def _numbers(value: Tensor) -> NDArray[np.float64]:
    return value.double().cpu().numpy()
