"""Who is served how well, and what it takes: service by group and region, emissions, concentration over suppliers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from departments.play.episode import Episodes
from environment import Firm, Network

Array = NDArray[np.float64]


def emissions(network: Network, episodes: Episodes) -> Array:
    """What is emitted on the way to each stock point a period, [N], in the unit of the firm's factors."""
    by_edge = (network.emissions * episodes.product_shipped).sum(1) + network.shipment_emissions * episodes.shipments
    return _by_point(network, by_edge)


def concentration(network: Network, episodes: Episodes) -> Array:
    """The Herfindahl index of what each stock point is sent: 1 / n from n alike, 1 from one supplier, [N]; else nan."""
    units = episodes.product_shipped.sum(1)
    total, square = _by_point(network, units), _by_point(network, units**2)
    return np.asarray(np.divide(square, total**2, out=np.full(total.shape, np.nan), where=total > 0))


def concentration_of_all(network: Network, episodes: Episodes) -> float:
    """The same of those with several suppliers together, by the units that they are sent; nan where none has."""
    several = network.supplier_count > 1
    units = _by_point(network, episodes.product_shipped.sum(1)) * several
    index = np.nan_to_num(concentration(network, episodes))
    return float(units @ index / units.sum()) if units.sum() > 0 else np.nan


def by_region(firm: Firm, episodes: Episodes) -> dict[str, float]:
    """Share of demand served at once in each region that sells; none where no stock point has one."""
    regions = [firm.stock_points[name].region for name in firm.customer_facing]
    found = {}
    for region in dict.fromkeys(region for region in regions if region is not None):
        own = np.array([each == region for each in regions])
        found[region] = _served(episodes.served_at_once[own].sum(), episodes.demand[own].sum())
    return found


def by_segment(firm: Firm, episodes: Episodes) -> dict[str, float]:
    """Share of their demand that is served at once of each segment of customers who choose, by STOCK_POINT/SEGMENT.

    A unit of a product is as likely to be had for one segment as for another, as they come in no order (ours).
    """
    names = [(point, segment) for point in firm.customer_facing for segment in firm.segments(point)]
    found = {}
    for (point, segment), asked in zip(names, episodes.segment_demand, strict=True):
        rates = episodes.product_fill_rate[firm.customer_facing.index(point)]
        found[f"{point}/{segment}"] = _served(float(asked @ rates), asked.sum())
    return found


def gap(rates: Mapping[str, float]) -> float:
    """The best less the worst."""
    return max(rates.values()) - min(rates.values())


def footprint(firm: Firm, episodes: Episodes) -> dict[str, Any]:
    """All of it as plain values, as far as the firm has it: what `evaluate --json` tells of a policy."""
    network = Network.of(firm)
    groups = {"regions": by_region(firm, episodes), "segments": by_segment(firm, episodes)}
    groups = {name: rates for name, rates in groups.items() if rates}
    found: dict[str, Any] = {"shipments": float(episodes.shipments.sum())}
    if firm.emits:
        found["emissions"] = float(emissions(network, episodes).sum())
    if any(point.shelf_life for point in firm.stock_points.values()):
        found["waste"] = float(episodes.waste.sum())
    if not np.isnan(index := concentration_of_all(network, episodes)):
        found["supplier_concentration"] = index
    gaps = {name: gap(rates) for name, rates in groups.items() if len(rates) > 1}
    return found | groups | ({"gaps": gaps} if gaps else {})


def _by_point(network: Network, by_edge: Array) -> Array:
    return np.asarray(np.bincount(network.edge_target, by_edge, len(network.names)), dtype=np.float64)


def _served(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 1.0
