"""Forecast-driven base-stock: levels that follow the last demands and the season, beside a recommender.

Replenishment does not see what is being recommended, only the demand that it caused; exponential smoothing lets the
levels follow. All functions are pure, on numpy arrays; axes [K, ...], products first, copies last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def seasonal_factor(period: ArrayLike, amplitude: float, season_length: float) -> Array:
    """Demand of a period relative to its mean: 1 + A sin(2 pi t / P).

    Args:
        period: t, any shape.
        amplitude: A in [0, 1).
        season_length: P, periods, > 0.

    Returns:
        The factors, in the shape of ``period``.

    Raises:
        ValueError: If the amplitude or the length is out of range.
    """
    if not 0 <= amplitude < 1:
        raise ValueError(f"amplitude must lie in [0, 1), got {amplitude}")
    if not season_length > 0:
        raise ValueError(f"season_length must be above 0 periods, got {season_length}")
    factor: Array = 1.0 + amplitude * np.sin(2.0 * np.pi * np.asarray(period, dtype=np.float64) / season_length)
    return factor


def season_over(period: int, protection_interval: ArrayLike, amplitude: float, season_length: float) -> Array:
    """Sum of the seasonal factors of the periods t .. t + interval - 1 that an order placed in t must cover.

    Args:
        period: t.
        protection_interval: [K] whole periods, >= 0; lead time + 1, with the longest lead time where it is random.
        amplitude: A in [0, 1).
        season_length: P, periods, > 0.

    Returns:
        [K] mean-demand periods.

    Raises:
        ValueError: If an interval is negative or not whole, or the season out of range.
    """
    intervals = np.asarray(protection_interval)
    if np.any(intervals < 0) or np.any(intervals != np.floor(intervals)):
        raise ValueError(f"protection_interval must hold whole periods >= 0, got {intervals}")
    ahead = np.arange(int(intervals.max(initial=0)))
    factors = seasonal_factor(period + ahead, amplitude, season_length)
    total: Array = np.concatenate([[0.0], np.cumsum(factors)])[intervals.astype(int)]
    return total


def smoothed_forecast(forecast: ArrayLike, demand: ArrayLike, factor: ArrayLike, smoothing: float) -> Array:
    """Exponential smoothing of the deseasonalised demand: f' = (1 - w) f + w demand / factor.

    Args:
        forecast: [K, ...] mean demand per period forecast so far, units; at the start that without recommendation.
        demand: [K, ...] last demand observed, units.
        factor: seasonal factor of the period in which it was drawn, > 0.
        smoothing: w in [0, 1].

    Returns:
        [K, ...] new forecast, units per period of factor 1.

    Raises:
        ValueError: If ``smoothing`` is out of range or a factor is not positive.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 2.2.
    """
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must lie in [0, 1], got {smoothing}")
    season = np.asarray(factor, dtype=np.float64)
    if np.any(season <= 0):
        raise ValueError(f"factor must be above 0, got {season.min()}; keep the seasonal amplitude below 1")
    old, observed = np.asarray(forecast, dtype=np.float64), np.asarray(demand, dtype=np.float64)
    new: Array = (1.0 - smoothing) * old + smoothing * observed / season
    return new


def forecast_level(forecast: ArrayLike, season: ArrayLike, critical_ratio: ArrayLike) -> Array:
    """Base-stock level from a forecast: m + z sqrt(m), m = forecast * season, z = Phi^-1(critical ratio).

    The safety stock is the newsvendor's for Poisson demand, whose variance is its mean, in the normal approximation.

    Args:
        forecast: [K, ...] mean demand per period of factor 1, units, >= 0.
        season: [K] seasonal factors summed over the protection interval, from ``season_over``.
        critical_ratio: a number or [K], in (0, 1): underage / (underage + overage) with underage margin + lost-sale
            penalty and overage one period's holding cost.

    Returns:
        [K, ...] levels, units, not rounded.

    Raises:
        ValueError: If a ratio lies outside (0, 1) or a forecast is negative.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3 (newsvendor); the combination is ours.
    """
    ratio, mean = np.asarray(critical_ratio, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    if np.any(ratio <= 0) or np.any(ratio >= 1):
        raise ValueError(f"critical_ratio must lie strictly between 0 and 1, got {ratio}")
    if np.any(mean < 0):
        raise ValueError(f"forecast must be at least 0, got {mean.min()}")
    trailing = (...,) + (None,) * (mean.ndim - 1)
    covered = mean * np.asarray(season, dtype=np.float64)[trailing]
    from scipy.special import ndtri  # slow to import, and few processes come here

    safety = np.broadcast_to(ndtri(ratio), mean.shape[:1])[trailing]
    level: Array = covered + safety * np.sqrt(covered)
    return level
