"""Recommendation rules: what to push to which segment, for numpy arrays and torch tensors alike.

Axes: S segments, C offers, K products, copies last. An offer is a set of products that are pushed to a segment at once.
[M] = Jiang et al., "Closing the Loop: Coordinating Inventory and Recommendation via Deep RL on Multiple Timescales"
(arXiv 2510.04272). The rules are our reading; the rule of Proposition 2, for linear demand, is
``heuristics.coordination.recommendation_index``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from heuristics.arrays import AnyArray, alike, array_module

Array = NDArray[np.float64]

_LEAST_AVAILABLE = 1.0  # units; below one unit a product counts as having one, so that its shadow price stays finite


def exposure_candidates(products: int, slots: int = 1) -> Array:
    """Everything that can be pushed to a segment: nothing first, then each set of at most ``slots`` products.

    [C, K] of 0 and 1; a ValueError unless slots lie in 0..K.
    """
    if not 0 <= slots <= products:
        raise ValueError(f"slots must lie in 0..{products}, the number of products, got {slots}")
    sets = [chosen for size in range(slots + 1) for chosen in combinations(range(products), size)]
    candidates = np.zeros((len(sets), products))
    for row, chosen in zip(candidates, sets, strict=True):
        row[list(chosen)] = 1.0
    return candidates


def shadow_price(price: AnyArray, available: AnyArray, expected_demand: AnyArray) -> AnyArray:
    """What a unit of stock is worth when it is scarce, [..., K, E]: pi_k = price_k * expected demand_k / available_k.

    The demand of this period is served in the next one, from what is on hand and the shipments that arrive first: for a
    recommendation the protection interval is that one period. Where stock just covers demand it is the price itself,
    where it is scarcer more; below one unit, one unit counts as available.

    Args:
        price: [..., K] selling price per unit.
        available: [..., K, E] on hand after this period's sales, plus what arrives before the next sales, units.
        expected_demand: [..., K] demand expected this period without recommendation, units.

    Source: ours; [M] has no such rule.
    """
    return (price * expected_demand)[..., None] / available.clip(min=_LEAST_AVAILABLE)


class Offers:
    """Expected margins of what each segment may be shown; weight 0 of the shadow price is the margin-greedy silo."""

    def __init__(self, arrays: Mapping[str, AnyArray]) -> None:
        """Prepare; all arrays of one kind.

        Args:
            arrays: `offers` [S, C, K] exposures of 0 and 1; `bought` [S, C, K] the chance that a customer who is shown
                an offer buys each product, and `unmoved` [S, K] one who is shown nothing; `traffic` [3, S] mean
                customers a period, amplitude and frequency of their season; `segment_point` [S] whole numbers, the
                stock point of each; `price`, `margin` [N, K]; `weight` [1] of the shadow price.
        """
        self.offers, self.bought, self._unmoved = (arrays[name] for name in ("offers", "bought", "unmoved"))
        self.price, self.margin, self._traffic = arrays["price"], arrays["margin"], arrays["traffic"]
        self.weight, point = float(arrays["weight"][0]), np.asarray(arrays["segment_point"])
        self._here = alike((point == np.arange(len(self.price))[:, None]).astype(float), self._unmoved)  # [N, S]
        self._point = point.astype(int).tolist()

    def scores(self, available: AnyArray | None, period: int, copies: int) -> AnyArray:
        """[S, C, E] money a customer.

        Args:
            available: [N, K, E] units on hand or arriving before the next sales; None: stock does not matter.
            period: t, for the season.
            copies: E.
        """
        worth = self.margin[..., None]
        if self.weight and available is not None:
            worth = worth - self.weight * shadow_price(self.price, available, self.wanted(period))
        worth = array_module(worth).broadcast_to(worth, (*worth.shape[:2], copies))[self._point]
        scores = self.bought[:, :, 0, None] * worth[:, None, 0]
        for k in range(1, worth.shape[1]):  # in turn, so that every machine rounds alike and ties are the same
            scores = scores + self.bought[:, :, k, None] * worth[:, None, k]
        return scores

    def wanted(self, period: int) -> AnyArray:
        """Demand expected in period t without recommendation, [N, K] units."""
        mean, amplitude, frequency = self._traffic
        traffic = mean * (1.0 + amplitude * array_module(mean).sin(frequency * period))
        return self._here @ (self._unmoved * traffic[:, None])

    def best(self, scores: AnyArray) -> AnyArray:
        """The exposures [S, K, E] of the best offers, the first of equally good ones."""
        chosen = [offers[best].T for offers, best in zip(self.offers, scores.argmax(1), strict=True)]
        return array_module(scores).stack(chosen)


def grid_exposures(sold: NDArray[np.bool_], slots: int, steps: int) -> Array:
    """All exposures [C, K] in steps of a slot that fit the slots, of the products that are sold; nothing first."""
    shares = [range(steps + 1) if own else (0,) for own in sold]
    return np.array([shown for shown in product(*shares) if sum(shown) <= slots * steps], dtype=float) / steps
