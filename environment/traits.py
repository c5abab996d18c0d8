"""What does not change about a product at a stock point, in numbers by which one network can tell products apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from environment.firm import Firm
from environment.network import Network

Table = NDArray[np.float64]  # [N, K]


def traits_of(firm: Firm) -> NDArray[np.float64]:
    """Eight numbers of each product at each point, [N, 8, K], about 0 and of the order of 1.

    Mean demand over the protection interval, its coefficient of variation, the holding cost, and in units of it what a
    unit short costs, the margin and a fixed order cost; mean and standard deviation of the lead time. Amounts as
    logarithms; all less their mean over points and products, over their standard deviation. A unit short costs a point
    that supplies others what it costs those, on average over what they buy.
    """
    network, holding = Network.of(firm), firm.amounts("holding_cost")
    _, _, short = streams(firm, network)
    lead, delay = lead_times(network, len(firm.products))
    mean, deviation = over_the_interval(firm, network)
    variation = deviation / np.maximum(mean, 1e-3)
    margin = np.maximum(firm.amounts("price") - firm.amounts("unit_cost"), 0.0)
    unit = np.maximum(holding, 1e-3)
    costs = [amount / unit for amount in (short, margin, firm.fixed_costs())]
    logs = [np.log(np.maximum(amount, 1e-3)) for amount in (mean, variation, holding, *costs)]
    table = np.stack([*logs, lead, delay], 1)
    centred = table - table.mean((0, 2), keepdims=True)
    scale = centred.std((0, 2), keepdims=True)
    return np.asarray(centred / np.where(scale > 1e-6, scale, 1.0))


def over_the_interval(firm: Firm, network: Network) -> tuple[Table, Table]:
    """Mean and standard deviation of demand over the protection interval, units."""
    flow, spread, _ = streams(firm, network)
    lead, delay = lead_times(network, flow.shape[1])
    points, products = range(len(firm.names)), range(len(firm.products))
    review = 1.0 + np.array([[network.reviews.longest(n, k) for k in products] for n in points])
    return flow * (lead + review), np.sqrt(spread * (lead + review) + (flow * delay) ** 2)


def streams(firm: Firm, network: Network) -> tuple[Table, Table, Table]:
    """Mean and variance of what passes through each point in a period, and what a unit short costs there in the end."""
    flow, spread = network.mean_flow(), np.zeros((len(firm.names), len(firm.products)))
    short = firm.amounts("backorder_cost") + firm.amounts("price") * firm.lost_shares()[:, None]
    owed = np.zeros_like(flow)  # of those below: what passes times what it costs them
    for point, laws in zip(network.customer_facing, network.demand_laws, strict=True):
        spread[point] += [_moments(law.mass())[1] for law in laws]
        owed[point] += flow[point] * short[point]
    for point in network.upwards():
        for supplier in network.predecessors(point):
            share = network.part(1.0, supplier, point)
            spread[supplier] += share * spread[point] + share * (1.0 - share) * flow[point] ** 2
            owed[supplier] += share * owed[point]
    return flow, spread, owed / np.maximum(flow, 1e-3)


def lead_times(network: Network, products: int) -> tuple[Table, Table]:
    """Mean and standard deviation of each point's lead time, suppliers by their shares, periods."""
    first, second = np.zeros((2, len(network.names), products))
    for edge, (source, point) in enumerate(zip(network.edge_source, network.edge_target, strict=True)):
        mean, variance = np.array([_moments(network.lead_time(edge, k)) for k in range(products)]).T
        first[point] += network.part(mean, source, point)
        second[point] += network.part(variance + mean**2, source, point)
    return first, np.sqrt(np.maximum(second - first**2, 0.0))


def _moments(mass: NDArray[np.float64]) -> tuple[float, float]:
    units = np.arange(len(mass))
    mean = float(units @ mass)
    return mean, float((units - mean) ** 2 @ mass)
