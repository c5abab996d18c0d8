"""Theory of the coordinated firm in one period: optimal orders and the product to recommend (Propositions 1, 2 of [M]).

[M] = Jiang et al., "Closing the Loop: Coordinating Inventory and Recommendation via Deep RL on Multiple Timescales"
(arXiv 2510.04272). K products, demand_i = mu_i(alpha) + noise_i; recommendations act on the means only, which is our
reading of the paper's demand. What follows over two periods is in ``heuristics.smoothing``.

Throughout, per unit and product, [K]: `price` p, `unit_cost` c, `salvage` v of a unit left over, `lost_sale_penalty`
b >= 0 of a unit of unmet demand, with v < c < p + b. In units of demand at full exposure: `own_effect` beta [K], what a
product gains by its own; `cross_effect` gamma [K, K], entry [j, i] what product i loses by that of j, with a zero
diagonal. Anything else, other shapes included, is a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Pair = tuple[float, float]


class OrderSensitivity(NamedTuple):
    """Derivatives of the optimal orders of Proposition 1, in units."""

    exposure: Array  # [K, K] d order_i / d exposure_j, per unit exposure
    price: Array  # [K] d order_i / d price_i, per currency unit; so are the others
    unit_cost: Array
    salvage: Array
    lost_sale_penalty: Array


def mean_demand(base_demand: ArrayLike, own_effect: ArrayLike, cross_effect: ArrayLike, exposure: ArrayLike) -> Array:
    """Mean demand mu_i = a_i + beta_i alpha_i - sum_{j != i} gamma_ji alpha_j, [K, ...] units.

    `base_demand` [K] is a, demand without recommendation; `exposure` [K, ...] is alpha in [0, 1], of independent cases.

    Source: [M], the demand of section 3; equation our reading.
    """
    share = np.asarray(exposure, dtype=np.float64)
    effect = _exposure_effect(own_effect, cross_effect)
    base = np.asarray(base_demand, dtype=np.float64)
    if base.shape != effect.shape[:1] or share.shape[:1] != base.shape:
        raise ValueError(
            f"base_demand and exposure need one entry per product, {len(effect)}, "
            f"got shapes {base.shape} and {share.shape}"
        )
    mean: Array = base.reshape(-1, *[1] * (share.ndim - 1)) + np.tensordot(effect, share, 1)
    return mean


def order_critical_ratio(
    price: ArrayLike, unit_cost: ArrayLike, salvage: ArrayLike, lost_sale_penalty: ArrayLike
) -> Array:
    """Share of cases the optimal order covers, [K] in (0, 1): rho = (p + b - c) / (p + b - v).

    Source: [M], Proposition 1.
    """
    p, c, v, b = (np.asarray(x, dtype=np.float64) for x in (price, unit_cost, salvage, lost_sale_penalty))
    if not (np.all(v < c) and np.all(c < p + b)):
        raise ValueError(
            f"each product needs salvage < unit_cost < price + lost_sale_penalty, got salvage {v}, unit_cost {c}, "
            f"price {p}, lost_sale_penalty {b}; otherwise nothing or everything should be ordered"
        )
    ratio: Array = (p + b - c) / (p + b - v)
    return ratio


def optimal_order(mean: ArrayLike, ratio: ArrayLike, noise_quantile: Callable[[Array], ArrayLike]) -> Array:
    """Optimal order q_i = mu_i(alpha) + F_i^-1(rho_i), [K] units, not rounded; unique where F_i strictly increases.

    Args:
        mean: [K] mean demand at the exposures chosen, units.
        ratio: [K] critical ratios of ``order_critical_ratio``.
        noise_quantile: quantile functions of the noises, [K] probabilities -> [K] units; for normal noise
            ``lambda u: scipy.stats.norm.ppf(u, scale=std)``.

    Source: [M], Proposition 1.
    """
    safety = np.asarray(noise_quantile(np.asarray(ratio, dtype=np.float64)), dtype=np.float64)
    order: Array = np.asarray(mean, dtype=np.float64) + safety
    return order


def order_sensitivity(
    own_effect: ArrayLike,
    cross_effect: ArrayLike,
    price: ArrayLike,
    unit_cost: ArrayLike,
    salvage: ArrayLike,
    lost_sale_penalty: ArrayLike,
    noise_density: ArrayLike,
) -> OrderSensitivity:
    """How the optimal orders move: beta_i with the own exposure, -gamma_ji with another's, and with the money.

    With q = mu + F^-1(rho): d q_i / d x = (d rho_i / d x) / f_i(F_i^-1(rho_i)) for price, costs and salvage.
    `noise_density` [K] is f_i there, per unit, > 0.

    Source: [M], Proposition 1 (comparative statics); the derivatives by the money are elementary and our addition.
    """
    ratio = order_critical_ratio(price, unit_cost, salvage, lost_sale_penalty)
    p, v, b, density = (np.asarray(x, dtype=np.float64) for x in (price, salvage, lost_sale_penalty, noise_density))
    per_unit = 1.0 / ((p + b - v) * density)
    return OrderSensitivity(
        exposure=_exposure_effect(own_effect, cross_effect),
        price=(1.0 - ratio) * per_unit,
        unit_cost=-per_unit,
        salvage=ratio * per_unit,
        lost_sale_penalty=(1.0 - ratio) * per_unit,
    )


def recommendation_index(margin: ArrayLike, own_effect: ArrayLike, cross_effect: ArrayLike) -> Array:
    """Profit that a full recommendation of each product brings, [K]: g_i = m_i beta_i - sum_j m_j gamma_ij.

    At the optimal orders the firm's profit is sum_i m_i mu_i(alpha) minus a constant, `margin` m [K] being p - c. It is
    linear in the exposures, so one slot belongs to the product of the largest g_i. An empty slot brings 0: where every
    g_i < 0, leave it empty.

    Source: [M], Proposition 2; for more than two products our reading.
    """
    effect = _exposure_effect(own_effect, cross_effect)
    index: Array = np.asarray(margin, dtype=np.float64) @ effect
    return index


def relative_effect(own_effect: ArrayLike, cross_effect: ArrayLike) -> float:
    """RME of product 1 against product 2, of just two, >= 0: (beta_1 + gamma_21) / (beta_2 + gamma_12).

    Recommending 1 instead of 2 brings product 1 the numerator and costs product 2 the denominator, in units.

    Source: [M], Proposition 2, compares by RME; equation our reading.
    """
    effect = _exposure_effect(own_effect, cross_effect)
    if effect.shape != (2, 2):
        raise ValueError(f"relative_effect compares two products, got {len(effect)}; use recommendation_index for more")
    return float((effect[0, 0] - effect[0, 1]) / (effect[1, 1] - effect[1, 0]))


def relative_margin(price: Pair, unit_cost: Pair) -> float:
    """RMP of product 1 against product 2, both of positive margin: (p_1 - c_1) / (p_2 - c_2).

    Source: [M], Proposition 2, compares by RMP; that it is the ratio of the units' margins is our reading.
    """
    first, second = price[0] - unit_cost[0], price[1] - unit_cost[1]
    if not (first > 0 and second > 0):
        raise ValueError(f"both margins (price - unit_cost) must be above 0, got {first} and {second}")
    return first / second


def recommendation_regions(relative_effects: ArrayLike, relative_margins: ArrayLike) -> NDArray[np.int64]:
    """Which of two products to recommend over a grid: product 1 where RME RMP > 1, product 2 where it is below.

    Args:
        relative_effects: [A] RME values, >= 0, the horizontal axis of a plot.
        relative_margins: [B] RMP values, > 0, the vertical axis.

    Returns:
        [B, A]: 1 or 2, the product to recommend; 0 on the boundary RME RMP = 1, where both are equally good.

    Source: [M], Proposition 2 and figure 2.
    """
    product = np.outer(np.asarray(relative_margins, dtype=np.float64), np.asarray(relative_effects, dtype=np.float64))
    boundary = np.isclose(product, 1.0, rtol=1e-12, atol=0.0)
    return np.where(boundary, 0, np.where(product > 1.0, 1, 2)).astype(np.int64)


def _exposure_effect(own_effect: ArrayLike, cross_effect: ArrayLike) -> Array:
    """Entry [i, j]: units that full exposure of product j adds to product i."""
    own, cross = np.asarray(own_effect, dtype=np.float64), np.asarray(cross_effect, dtype=np.float64)
    if own.ndim != 1 or cross.shape != (own.size, own.size):
        raise ValueError(f"own_effect must be [K] and cross_effect [K, K], got {own.shape} and {cross.shape}")
    if np.any(np.diag(cross) != 0.0):
        raise ValueError(f"cross_effect must have a zero diagonal, got {np.diag(cross)}; put own effects in own_effect")
    return np.diag(own) - cross.T
