"""Base-stock rules: order up to a level, on the own inventory position or on that of the whole echelon.

The rules use only operators and methods that numpy arrays and torch tensors share, so either may be passed; levels,
limits and weights must then be of the same kind as the positions (plain numbers always work).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from heuristics.arrays import AnyArray

OUTSIDE = -1  # the supplier index of whoever buys from outside the firm; -2, -3, .. are other suppliers there


def order_up_to(
    inventory_position: AnyArray,
    level: AnyArray,
    reorder_point: AnyArray | None = None,
    weights: AnyArray | None = None,
) -> AnyArray:
    """Base-stock, echelon base-stock or (s, S): level less position, where the position is at or below s.

    Args:
        inventory_position: [N, ...] units.
        level: order-up-to level, broadcastable to the positions, units.
        reorder_point: s, broadcastable to the positions, units; None: order every period.
        weights: [N, N] from ``descendant_weights``: level and s are those of the echelon position; None: of the own.

    Returns:
        [N, ...] wished order, units, negative above the level; the firm's bounds are laid upon it elsewhere.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, sections 4.3 to 4.5 and 6.2.
    """
    if weights is not None:
        inventory_position = echelon_inventory_position(inventory_position, weights)
    wish = level - inventory_position
    return wish if reorder_point is None else wish * (inventory_position <= reorder_point)


def descendant_weights(
    edges: Iterable[tuple[int, int]], points: int, shares: Mapping[tuple[int, int], float] | None = None
) -> NDArray[np.float64]:
    """Share of each point's stream that passes through each other point: W = (I - A)^-1, A[i, j] = 1 / n_j.

    A[i, j] is the chance that j, which has n_j suppliers, the outside included, sends its order to i. With one supplier
    each, W is the 0/1 matrix of the divergent network's echelons; with several it is our reading, papers being silent.

    Args:
        edges: pairs (supplier, customer) of point indices 0..points - 1; suppliers -1, -2, .. are outside.
        points: number of stock points N.
        shares: of a customer's orders by edge; None: its suppliers are alike, 1 / n_j each.

    Returns:
        [N, N] weights in [0, 1]: W[i, i] = 1, W[i, j] > 0 for every j below i, else 0.

    Raises:
        ValueError: An index is out of range, an edge comes twice, or the network has a cycle.
    """
    adjacency = np.zeros((points, points + max((-supplier for supplier, _ in edges), default=1)))
    below = TopologicalSorter[int]()
    for supplier, customer in edges:
        if not (supplier < points and 0 <= customer < points):
            raise ValueError(
                f"edge ({supplier}, {customer}) must join points 0..{points - 1}, or -1 (outside) to one of them"
            )
        if adjacency[customer, supplier]:
            raise ValueError(f"edge ({supplier}, {customer}) comes twice; list it once")
        adjacency[customer, supplier] = 1.0
        if supplier >= 0:
            below.add(supplier, customer)
    share = adjacency / np.maximum(adjacency.sum(axis=1, keepdims=True), 1.0)
    for (supplier, customer), part in (shares or {}).items():
        share[customer, supplier] = part
    passing = share[:, :points].T
    try:
        below.prepare()
    except CycleError as error:
        cure = "let every stock point be supplied from further upstream"
        raise ValueError(f"edges must not form a cycle; {cure}") from error
    return np.linalg.inv(np.eye(points) - passing)


def echelon_inventory_position(inventory_position: AnyArray, weights: AnyArray) -> AnyArray:
    """Echelon inventory position, [N, ...] units: the own one plus all below, by their share (``descendant_weights``).

    Orders not yet served cancel out between customer and supplier, so this sum is the stock in the echelon, in transit
    and on order, less the backlog owed to external customers. Exact where every point has one supplier; with several,
    weighting by shares is our reading.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 6.2.
    """
    shape = inventory_position.shape
    return (weights @ inventory_position.reshape(shape[0], -1)).reshape(shape)
