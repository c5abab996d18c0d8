"""Recommendation rules: what to push to which segment, as pure functions on numpy arrays.

Axes: S segments, K products, then any further axes, copies of the world last. An exposure is 0 or 1 here; up to
``slots`` products are pushed to a segment. Customers choose by a multinomial logit in which leaving has weight 1.

[M] = Jiang et al., "Closing the Loop: Coordinating Inventory and Recommendation via Deep RL on Multiple Timescales"
(arXiv 2510.04272). The choice model and the rules are our reading; the rule of Proposition 2, for linear demand, is
``heuristics.coordination.recommendation_index``.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_LEAST_AVAILABLE = 1.0  # units; below one unit a product counts as having one, so that its shadow price stays finite


def choice_probability(utility: ArrayLike, uplift: ArrayLike, exposure: ArrayLike) -> Array:
    """Chance that a customer buys each product: P_sk = exp(v_sk) / (1 + sum_j exp(v_sj)), v = u + uplift * exposure.

    The rest, 1 - sum_k P_sk, leaves without buying.

    Args:
        utility: [S, K] u, preference without recommendation.
        uplift: eta, what full exposure adds to the utility, a number or [S, K].
        exposure: [S, K, ...] in [0, 1].

    Returns:
        [S, K, ...] probabilities.

    Raises:
        ValueError: If the shapes disagree.

    Source: multinomial logit; its use for [M] is our reading.
    """
    u, alpha = np.asarray(utility, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
    if u.ndim != 2 or alpha.shape[:2] != u.shape:
        raise ValueError(f"utility must be [S, K] and exposure [S, K, ...], got shapes {u.shape} and {alpha.shape}")
    eta = np.broadcast_to(np.asarray(uplift, dtype=np.float64), u.shape)
    trailing = (...,) + (None,) * (alpha.ndim - 2)
    value = u[trailing] + eta[trailing] * alpha
    top = np.maximum(value.max(axis=1, keepdims=True), 0.0)  # 0 is the value of leaving
    weight = np.exp(value - top)
    probability: Array = weight / (np.exp(-top) + weight.sum(axis=1, keepdims=True))
    return probability


def expected_demand(traffic: ArrayLike, probability: ArrayLike) -> Array:
    """Expected demand of each product over all segments: D_k = sum_s M_s P_sk.

    Args:
        traffic: [S, ...] expected customers of each segment in a period.
        probability: [S, K, ...] choice probabilities.

    Returns:
        [K, ...] units per period.
    """
    customers = np.asarray(traffic, dtype=np.float64)
    demand: Array = (np.expand_dims(customers, 1) * _aligned(probability, customers.ndim + 1)).sum(axis=0)
    return demand


def exposure_candidates(products: int, slots: int = 1) -> Array:
    """Everything that can be pushed to a segment: nothing first, then each set of at most ``slots`` products.

    Args:
        products: K, >= 1.
        slots: most products pushed to a segment at once, in 0..K.

    Returns:
        [C, K] of 0 and 1.

    Raises:
        ValueError: If ``slots`` is out of range.
    """
    if not 0 <= slots <= products:
        raise ValueError(f"slots must lie in 0..{products}, the number of products, got {slots}")
    sets = [chosen for size in range(slots + 1) for chosen in combinations(range(products), size)]
    candidates = np.zeros((len(sets), products))
    for row, chosen in zip(candidates, sets, strict=True):
        row[list(chosen)] = 1.0
    return candidates


def no_recommendation(utility: ArrayLike) -> Array:
    """Push nothing to anyone.

    Args:
        utility: [S, K], only for its shape.

    Returns:
        [S, K] zeros.
    """
    return np.zeros(np.shape(utility))


def margin_greedy(utility: ArrayLike, uplift: ArrayLike, margin: ArrayLike, slots: int = 1) -> Array:
    """The silo: to each segment what raises its expected margin most, blind to stock.

    Args:
        utility: [S, K] preference without recommendation.
        uplift: what full exposure adds to the utility, a number or [S, K].
        margin: [K] price - unit cost.
        slots: most products pushed to a segment at once.

    Returns:
        [S, K] exposure, 0 or 1. Of equally good candidates the first of ``exposure_candidates``.

    Raises:
        ValueError: If shapes disagree or ``slots`` is out of range.

    Source: our reading of the siloed recommender of [M].
    """
    return _best_exposure(utility, uplift, np.asarray(margin, dtype=np.float64), slots)


def shadow_price(price: ArrayLike, available: ArrayLike, expected_demand: ArrayLike) -> Array:
    """What a unit of stock is worth when it is scarce: pi_k = price_k * expected demand_k / available_k.

    The demand of this period is served in the next one, from what is on hand and the shipments that arrive first: for a
    recommendation the protection interval is that one period. Below one unit, one unit counts as available.

    Args:
        price: [K] selling price per unit.
        available: [K, ...] on hand after this period's sales, plus what arrives before the next sales, units.
        expected_demand: [K, ...] demand expected this period without recommendation, units.

    Returns:
        [K, ...] shadow price per unit: the price itself where stock just covers demand, more where it is scarcer.

    Raises:
        ValueError: If a price, a stock or a demand is negative.

    Source: ours; [M] has no such rule.
    """
    p, stock, demand = (np.asarray(x, dtype=np.float64) for x in (price, available, expected_demand))
    for name, amount in (("price", p), ("available", stock), ("expected_demand", demand)):
        if np.any(amount < 0):
            raise ValueError(f"{name} must be at least 0 everywhere, got {amount.min()}")
    axes = max(stock.ndim, demand.ndim)
    ratio = _aligned(demand, axes) / np.maximum(_aligned(stock, axes), _LEAST_AVAILABLE)
    scarcity: Array = _aligned(p, axes) * ratio
    return scarcity


def inventory_aware(
    utility: ArrayLike, uplift: ArrayLike, margin: ArrayLike, shadow_price: ArrayLike, *, weight: float, slots: int = 1
) -> Array:
    """To each segment what raises the expected margin net of shadow prices most: value_k = margin_k - weight * pi_k.

    A weight of 0 is ``margin_greedy``; where orders can follow demand, too large a weight loses against that.

    Args:
        utility: [S, K] preference without recommendation.
        uplift: what full exposure adds to the utility, a number or [S, K].
        margin: [K] price - unit cost.
        shadow_price: [K, ...] worth of a unit of stock.
        weight: of the shadow price, >= 0.
        slots: most products pushed to a segment at once.

    Returns:
        [S, K, ...] exposure, 0 or 1. Of equally good candidates the first of ``exposure_candidates``.

    Raises:
        ValueError: If shapes disagree, ``slots`` is out of range or ``weight`` is negative.

    Source: ours; the directions are those of Propositions 3 and 4 of [M].
    """
    if weight < 0:
        raise ValueError(f"weight must be at least 0, got {weight}; a negative one would push what is scarce")
    pi = np.asarray(shadow_price, dtype=np.float64)
    return _best_exposure(utility, uplift, _aligned(margin, pi.ndim) - weight * pi, slots)


def _best_exposure(utility: ArrayLike, uplift: ArrayLike, value: Array, slots: int) -> Array:
    """The candidate of the largest sum_k value_k P_sk for each segment: value [K, ...] -> exposure [S, K, ...]."""
    preference = np.asarray(utility, dtype=np.float64)
    segments, products = preference.shape
    if value.shape[:1] != (products,):
        raise ValueError(f"margin and shadow_price need one entry per product, {products}, got shape {value.shape}")
    candidates = exposure_candidates(products, slots)
    exposures = np.broadcast_to(candidates.T, (segments, products, len(candidates)))
    probability = choice_probability(preference, uplift, exposures)  # [S, K, C]
    score = np.tensordot(probability, value, axes=(1, 0))  # [S, C, ...]
    chosen = candidates[score.argmax(axis=1)]  # [S, ..., K]
    return np.moveaxis(chosen, -1, 1)


def _aligned(array: ArrayLike, axes: int) -> Array:
    """Append axes of length 1 until there are ``axes`` of them, as copies come last."""
    values = np.asarray(array, dtype=np.float64)
    return values.reshape(values.shape + (1,) * (axes - values.ndim))
