"""Theory of the coordinated firm over two periods: demand smoothing and adaptive ordering (Propositions 3, 4 of [M]).

[M] = Jiang et al., "Closing the Loop: Coordinating Inventory and Recommendation via Deep RL on Multiple Timescales"
(arXiv 2510.04272). The directions are the paper's, the formulation is our reading. Product 1 gets the share alpha_t of
the slot, product 2 the rest; demand_i = max(0, a_i + e_i share_i + noise), the noises few and equally likely. Period 1
sells from the stock on hand, leftovers pay the holding cost; before period 2 the pipeline and the order placed in
period 1 arrive; what is left after period 2 is salvaged. Unmet demand is lost at a penalty. Every result is exact.

Throughout, `on_hand` is the stock at the start of period 1 and `incoming` the pipeline that arrives between the
periods, units >= 0; `exposure` is product 1's share of the slot in period 1, `later_exposure` that anticipated for
period 2, both in [0, 1]. Anything else is a ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Pair = tuple[float, float]

_TIE_DECIMALS = 9  # profits that agree so far are equal; the smallest order or exposure wins


@dataclass(frozen=True)
class TwoPeriodFirm:
    """Two products that share one recommendation slot over two periods."""

    base_demand: Pair  # a, demand per period of each product without recommendation, units
    exposure_effect: Pair  # e, units per period each product gains at full share of the slot
    price: Pair  # of each product, per unit
    unit_cost: float  # per unit
    holding_cost: float  # per unit left over after period 1
    lost_sale_penalty: float  # per unit of unmet demand, either period
    salvage: float  # value of a unit left over after period 2, below the unit cost
    noise: tuple[float, ...]  # equally likely deviations of a period's demand from its mean, units

    def __post_init__(self) -> None:
        if not self.noise:
            raise ValueError("noise must hold at least one deviation, got none; use (0.0,) for certain demand")
        if not self.salvage < self.unit_cost < min(self.price) + self.lost_sale_penalty:
            raise ValueError(
                f"unit_cost must lie between salvage and price + lost_sale_penalty, got salvage {self.salvage}, "
                f"unit_cost {self.unit_cost}, price {self.price}, lost_sale_penalty {self.lost_sale_penalty}"
            )

    def demand(self, product: int, exposure: ArrayLike) -> Array:
        """Possible demands of a product (0 or 1) when product 1 has this share of the slot: [..., noises] units."""
        share = np.asarray(exposure, dtype=np.float64)[..., None]
        share = share if product == 0 else 1.0 - share
        mean = self.base_demand[product] + self.exposure_effect[product] * share
        possible: Array = np.maximum(mean + np.array(self.noise), 0.0)
        return possible


# Reference example of both propositions, ours and not the paper's; its golden figures stand in the tests.
EXAMPLE_FIRM = TwoPeriodFirm(
    base_demand=(12.0, 12.0),
    exposure_effect=(16.0, 14.0),
    price=(10.0, 9.0),
    unit_cost=5.0,
    holding_cost=0.5,
    lost_sale_penalty=2.0,
    salvage=2.0,
    noise=(-4.0, -2.0, 0.0, 2.0, 4.0),
)


def two_period_profit(
    firm: TwoPeriodFirm,
    product: int,
    on_hand: float,
    supply: ArrayLike,
    exposure: ArrayLike,
    later_exposure: float,
) -> Array:
    """Expected profit [...] of one product over both periods, before paying for the supply.

    Args:
        firm: the two-period firm.
        product: 0 or 1.
        on_hand: of the product, units.
        supply: [...] what arrives between the periods, pipeline and order together, units.
        exposure: [...] of product 1; broadcasts against ``supply``.
        later_exposure: the same in period 2.

    Source: [M], the model of Propositions 3 and 4; sequence of events our reading.
    """
    first = firm.demand(product, exposure)  # [..., n]
    left = np.maximum(on_hand - first, 0.0)
    penalty, price = firm.lost_sale_penalty, firm.price[product]
    now = price * np.minimum(first, on_hand) - penalty * np.maximum(first - on_hand, 0.0) - firm.holding_cost * left
    stock = (left + np.asarray(supply, dtype=np.float64)[..., None])[..., None]  # [..., n, 1]
    second = firm.demand(product, later_exposure)  # [n]
    sold = np.minimum(second, stock)
    later = price * sold - penalty * (second - sold) + firm.salvage * (stock - sold)
    profit: Array = now.mean(-1) + later.mean((-1, -2))
    return profit


def smoothing_exposure(firm: TwoPeriodFirm, on_hand: Pair, incoming: Pair, later_exposure: float) -> float:
    """Optimal share of the slot for product 1 in period 1, given stocks and pipelines: demand smoothing.

    The expected profit is piecewise linear in the share, so its exact maximum lies on one of its breakpoints: 0, 1, or
    where some demand exhausts a stock, alone or together with what arrives; of several optimal ones the smallest.

    Source: [M], Proposition 3. That the later exposure is given and nothing more is ordered in time is our reading;
        the reference example has ``incoming`` (20, 20), one period's demand, and an even split later.
    """
    _check_two_period(on_hand, incoming, (later_exposure,))
    shares = np.unique(
        np.concatenate(
            [[0.0, 1.0]] + [_breakpoints(firm, i, on_hand[i], incoming[i], later_exposure) for i in range(2)]
        )
    )
    profit = sum(two_period_profit(firm, i, on_hand[i], incoming[i], shares, later_exposure) for i in range(2))
    return float(shares[np.argmax(np.round(profit, _TIE_DECIMALS))])


def adaptive_order(
    firm: TwoPeriodFirm, on_hand: Pair, incoming: Pair, exposure: float, later_exposure: float
) -> tuple[int, int]:
    """Optimal whole orders in period 1, arriving before period 2, given current and anticipated recommendation.

    Of several optimal orders of a product it is the smallest.

    Source: [M], Proposition 4. That orders are whole and placed before the demand of period 1 is known is our reading;
        the reference example has stocks (20, 20) and no pipeline.
    """
    _check_two_period(on_hand, incoming, (exposure, later_exposure))
    best = []
    for product in range(2):
        most = int(np.ceil(firm.demand(product, later_exposure).max()))
        orders = np.arange(most + 1)
        supply = incoming[product] + orders
        profit = two_period_profit(firm, product, on_hand[product], supply, exposure, later_exposure)
        best.append(int(np.argmax(np.round(profit - firm.unit_cost * orders, _TIE_DECIMALS))))
    return best[0], best[1]


def _breakpoints(firm: TwoPeriodFirm, product: int, on_hand: float, incoming: float, later_exposure: float) -> Array:
    """Shares for product 1 at which the slope of the product's expected profit can change."""
    effect = firm.exposure_effect[product]
    if effect == 0.0:
        return np.empty(0)
    bends = np.concatenate([[0.0, on_hand], on_hand + incoming - firm.demand(product, later_exposure)])  # of demand
    own = (bends[:, None] - firm.base_demand[product] - np.array(firm.noise)).ravel() / effect
    own = own[(own >= 0.0) & (own <= 1.0)]
    share: Array = own if product == 0 else 1.0 - own
    return share


def _check_two_period(on_hand: Pair, incoming: Pair, exposures: tuple[float, ...]) -> None:
    """Refuse negative stocks and exposures that are no shares."""
    if min(*on_hand, *incoming) < 0:
        raise ValueError(f"on_hand and incoming must be at least 0, got {on_hand} and {incoming}")
    if not all(0.0 <= share <= 1.0 for share in exposures):
        raise ValueError(f"exposures must lie in [0, 1], got {exposures}")
