"""The newsvendor: one point, one order, for any mass function and for the normal."""

from __future__ import annotations

import math

from heuristics.mass import Mass, quantile


def critical_ratio(underage_cost: float, overage_cost: float) -> float:
    """Service level that balances the two costs: underage / (underage + overage).

    With backorders, underage is the backorder cost and overage the holding cost, both per unit and period.

    Args:
        underage_cost: cost of a unit too few, >= 0.
        overage_cost: cost of a unit too many, > 0.

    Returns:
        Ratio in [0, 1).

    Raises:
        ValueError: If a cost is out of range.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3.
    """
    if underage_cost < 0:
        raise ValueError(f"underage_cost must be at least 0, got {underage_cost}")
    if not overage_cost > 0:
        raise ValueError(f"overage_cost must be above 0, got {overage_cost}; without it the best level is infinite")
    return underage_cost / (underage_cost + overage_cost)


def newsvendor(demand: Mass, underage_cost: float, overage_cost: float) -> int:
    """Optimal level for a mass function: the smallest s with F(s) >= critical ratio.

    Args:
        demand: [n + 1] mass function of the demand to be covered, units.
        underage_cost: cost of a unit too few, >= 0.
        overage_cost: cost of a unit too many, > 0.

    Returns:
        Level in 0..n, units.

    Raises:
        ValueError: If a cost is out of range.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3.
    """
    return quantile(demand, critical_ratio(underage_cost, overage_cost))


def newsvendor_normal(mean: float, std: float, underage_cost: float, overage_cost: float) -> tuple[float, float]:
    """Optimal level mean + z std and its cost (underage + overage) phi(z) std, z = Phi^-1(critical ratio).

    Args:
        mean: mean demand, units.
        std: standard deviation of demand, units, >= 0.
        underage_cost: cost of a unit too few, > 0.
        overage_cost: cost of a unit too many, > 0.

    Returns:
        Level in units, and its expected cost.

    Raises:
        ValueError: If a cost or the standard deviation is out of range.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3.
    """
    if std < 0:
        raise ValueError(f"std must be at least 0, got {std}")
    if not underage_cost > 0:
        raise ValueError(f"underage_cost must be above 0, got {underage_cost}; without it the best level is -infinity")
    from scipy.special import ndtri  # slow to import, and few processes come here

    z = ndtri(critical_ratio(underage_cost, overage_cost))
    density = math.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return float(mean + z * std), float((underage_cost + overage_cost) * density * std)
