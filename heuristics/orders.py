"""From what is wished to what a supplier takes: whole packs, and at least a minimum."""

from __future__ import annotations

from heuristics.arrays import AnyArray, array_module


def packed(wish: AnyArray, multiple: AnyArray, minimum: AnyArray) -> AnyArray:
    """Nothing where nothing is wished, else at least the minimum, rounded up to whole packs; units.

    Args:
        wish: units, of any shape.
        multiple: units a pack, at least 1, broadcastable.
        minimum: units an order, at least 0, broadcastable.
    """
    xp = array_module(wish)
    least = xp.maximum(wish, minimum + 0 * wish)
    return xp.where(wish > 0.5, xp.ceil(least / multiple - 1e-9) * multiple, 0 * wish)
