"""The newsvendor: one point, one order, for any mass function and for the normal.

Costs are per unit: underage >= 0 of one too few, overage > 0 of one too many; others are a ValueError.
Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3.
"""

from __future__ import annotations

import math

from heuristics.mass import Mass, quantile


def critical_ratio(underage_cost: float, overage_cost: float) -> float:
    """Service level in [0, 1) that balances the two costs: underage / (underage + overage).

    With backorders, underage is the backorder cost and overage the holding cost, both per unit and period.
    """
    if underage_cost < 0:
        raise ValueError(f"underage_cost must be at least 0, got {underage_cost}")
    if not overage_cost > 0:
        raise ValueError(f"overage_cost must be above 0, got {overage_cost}; without it the best level is infinite")
    return underage_cost / (underage_cost + overage_cost)


def newsvendor(demand: Mass, underage_cost: float, overage_cost: float) -> int:
    """Optimal level for a demand, units: the smallest s with F(s) >= critical ratio."""
    return quantile(demand, critical_ratio(underage_cost, overage_cost))


def newsvendor_normal(mean: float, std: float, underage_cost: float, overage_cost: float) -> tuple[float, float]:
    """Optimal level mean + z std, units, and its cost (underage + overage) phi(z) std, z = Phi^-1(critical ratio).

    Mean and std >= 0 are those of demand, units; here underage must be above 0.
    """
    if std < 0:
        raise ValueError(f"std must be at least 0, got {std}")
    if not underage_cost > 0:
        raise ValueError(f"underage_cost must be above 0, got {underage_cost}; without it the best level is -infinity")
    from scipy.special import ndtri  # slow to import, and few processes come here

    z = ndtri(critical_ratio(underage_cost, overage_cost))
    density = math.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return float(mean + z * std), float((underage_cost + overage_cost) * density * std)
