"""What one network for all stock points is told of each, on scales that are the same in every firm (ours).

Positions count as surplus over the base-stock level as it stands before an order, in standard deviations of the own
demand over the protection interval. Those of other points are added up by how they are related, each with the part of
its orders that comes to this point: the order in which they stand, their number and their names do not matter. What
does not change about a point is a handful of numbers about 0 and of the order of 1, by constants and not by the firm.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from environment.firm import Firm
from environment.network import Network
from environment.traits import lead_times, over_the_interval, streams

Array = NDArray[np.float64]
RELATED = ("self", "customers", "further downstream", "suppliers", "others")
TOLD = len(RELATED) + 12  # numbers in all: a sum of positions for each kind of relation, and what does not change


def alike(firm: Firm, apart: Collection[str] = ()) -> NDArray[np.int64]:
    """The number of each point's class, [N]: points of a class have equal amounts, and neighbours of equal classes.

    Where customers choose, regimes switch or demands hang together, or where it counts who of the suppliers is listed
    first, everyone is a class alone, and so are points that are to be told `apart`.

    Source: colour refinement (Weisfeiler & Leman 1968). In trees and chains points of a class differ by their names
    alone; elsewhere the rest of the network may still look different from them.
    """
    points, names = np.arange(len(firm.names)), firm.names
    if firm.customers or firm.regimes or firm.correlation or firm.supplier_choice != "random":
        return points
    told = {"source", "target", "name"}
    edges = [(edge.source, edge.target, repr(edge.model_dump(exclude=told))) for edge in firm.supply]
    colour: dict[str, object] = {
        name: name if name in apart else repr(firm.stock_points[name].model_dump()) for name in names
    }
    while True:
        seen: dict[object, int] = {}
        before = colour | {edge[0]: edge[0] for edge in edges if edge[0] not in colour}
        of = [
            (
                colour[name],
                tuple(sorted((how, str(before[a])) for a, b, how in edges if b == name)),
                tuple(sorted((how, str(before[b])) for a, b, how in edges if a == name)),
            )
            for name in names
        ]
        numbers = [seen.setdefault(each, len(seen)) for each in of]
        if len(seen) == len(set(colour.values())):
            return np.array(numbers)
        colour = dict(zip(names, numbers, strict=True))


class Likeness(NamedTuple):
    """Of N stock points."""

    weight: Array  # [N, RELATED, N] what a unit of each point's surplus counts to a point, by relation
    mean: Array  # [N] units that pass through each point in a period: by so much surplus is short before an order
    fixed: Array  # [N, TOLD - RELATED] what does not change
    spread: Array  # [N] units, standard deviation of demand over the protection interval


def likeness_of(firm: Firm, level: Array) -> Likeness:
    """What the points of a firm look like to one network.

    What does not change is: logarithms of mean demand over the protection interval, of its coefficient of variation,
    of what a unit short costs in holding costs, and of what holding costs downstream in those here; the level's safety
    stock in standard deviations; mean and standard deviation of the lead time; the share of demand that comes from
    outside; the logarithm of 1 + the number of customers that are stock points; the share that is bought from stock
    points, and their lead time; the share of unmet demand that is lost.

    Args:
        firm: of one product.
        level: [N] base-stock levels, units.

    Raises:
        ValueError: one line; it has several products.
    """
    if len(firm.products) > 1:
        raise ValueError(f"policy.over_points: shared is for firms of one product, and {firm.name} has several")
    network, points = Network.of(firm), len(firm.names)
    flow, _, short = (table[:, 0] for table in streams(firm, network))
    mean, spread = (table[:, 0] for table in over_the_interval(firm, network))
    mean, spread = np.maximum(mean, 1e-3), np.maximum(spread, 0.5)
    holding = np.maximum(firm.amounts("holding_cost")[:, 0], 1e-3)
    lead, delay = (table[:, 0] for table in lead_times(network, 1))
    part, below = np.zeros((2, points, points))  # of what each point (column) orders, what comes to this one (row)
    for point in range(points):
        for supplier in network.predecessors(point):
            part[supplier, point] = network.part(1.0, supplier, point)
    for supplier in network.upwards():
        below[supplier] = part[supplier] + part[supplier] @ below
    direct, further = np.where(part > 0.0, below, 0.0), np.where(part > 0.0, 0.0, below)
    above = part.T
    others = ((below + above + np.eye(points)) == 0.0).astype(float)
    weight = np.stack((np.eye(points), direct, further, above, others), 1) / spread[:, None, None]
    outside = np.zeros(points)
    outside[network.customer_facing] = 1.0
    own = np.where(outside > 0.0, np.maximum(flow - part @ flow, 0.0), 0.0) / np.maximum(flow, 1e-3)
    downstream = own * holding
    for point in network.upwards():
        downstream[point] += part[point] @ (flow * downstream) / max(flow[point], 1e-3)
    fixed = (
        np.log(mean / 30.0) / 2.0,
        np.log(spread / mean) + 1.0,
        (np.log(np.maximum(short / holding, 1e-3)) - 3.0) / 2.0,
        np.log(np.maximum(downstream, 1e-3) / holding),
        (level - mean) / spread - 1.0,
        (lead - 2.0) / 3.0,
        delay / 2.0,
        own,
        np.log1p((part > 0.0).sum(1)) / 2.0,
        above.sum(1),
        above @ lead / 3.0,
        firm.lost_shares(),
    )
    return Likeness(weight, flow, np.clip(np.stack(fixed, 1), -4.0, 4.0), spread)
