"""Forecast-driven base-stock: levels that follow the last demands and the season, beside a recommender.

Replenishment does not see what is being recommended, only the demand that it caused; exponential smoothing lets the
levels follow. Arrays may be numpy's or torch's. Axes [..., K, E]: stock points if there are several, products, copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heuristics.arrays import AnyArray, alike, array_module

Array = NDArray[np.float64]

_BLOCK = 256  # periods whose seasons are worked out at once


def seasonal_factor(period: ArrayLike, amplitude: ArrayLike, length: ArrayLike, share: ArrayLike) -> Array:
    """Demand relative to its mean where customers of C seasons are served: sum_c w_c (1 + A_c sin(2 pi t / P_c)).

    Args:
        period: [T] t.
        amplitude: [C] A in [0, 1).
        length: [C] P > 0, periods.
        share: [..., C] w, of each season's customers; they add up to 1.

    Returns:
        [T, ...].

    Raises:
        ValueError: An amplitude or a length is out of range.
    """
    swing, lengths = np.asarray(amplitude, dtype=np.float64), np.asarray(length, dtype=np.float64)
    if not np.all((swing >= 0) & (swing < 1)):
        raise ValueError(f"amplitude must lie in [0, 1), got {swing}")
    if not np.all(lengths > 0):
        raise ValueError(f"season_length must be above 0 periods, got {lengths}")
    waves = np.sin(2.0 * np.pi * np.asarray(period)[:, None] / lengths)
    factor: Array = (1.0 + swing * waves) @ np.asarray(share, dtype=np.float64).T
    return factor


def smoothed_forecast(forecast: AnyArray, demand: AnyArray, factor: AnyArray, smoothing: float) -> AnyArray:
    """Exponential smoothing of the deseasonalised demand: f' = f + w (demand / factor - f), [..., K, E] units a period.

    Args:
        forecast: f, mean demand forecast so far for a period of factor 1; at the start that without recommendation.
        demand: last demand observed.
        factor: seasonal factor of the period in which it was drawn, > 0.
        smoothing: w in [0, 1].

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 2.2.
    """
    return forecast + smoothing * (demand / factor - forecast)


def intermittent_forecast(
    often: AnyArray, size: AnyArray, demand: AnyArray, factor: AnyArray, smoothing: AnyArray, occurrence: AnyArray
) -> tuple[AnyArray, AnyArray]:
    """Smoothing of how often there is demand and of how much there is then: p' = p + v (1[d > 0] - p), z' = z if d = 0.

    The forecast is p z. Where v = 0 and p = 1 it is that of `smoothed_forecast`, which takes days of no demand, too.

    Args:
        often: p in [0, 1], share of periods with demand.
        size: z, mean demand of a period of factor 1 in which there is some.
        demand: d, last demand observed.
        factor: as of `smoothed_forecast`.
        smoothing: w of sizes, in [0, 1].
        occurrence: v in [0, 1]; 0: demand is not split.

    Source: Teunter, Syntetos & Babai (2011), Intermittent demand: linking forecasting to inventory obsolescence, eq. 6
    (TSB), after Croston (1972).
    """
    some = demand > 0
    weight = smoothing * (some | (occurrence == 0))
    return often + occurrence * (some - often), smoothed_forecast(size, demand, factor, weight)


def forecast_level(forecast: AnyArray, season: AnyArray, safety: AnyArray) -> AnyArray:
    """Base-stock level from a forecast, [..., K, E] units, not rounded: m + z sqrt(m), m = forecast * season.

    The safety stock is the newsvendor's for Poisson demand, whose variance is its mean, in the normal approximation.

    Args:
        forecast: of ``smoothed_forecast``.
        season: seasonal factors summed over the protection interval.
        safety: z = Phi^-1(critical ratio), where the ratio is underage / (underage + overage) with underage margin +
            lost-sale penalty and overage one period's holding cost.

    Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 4.3 (newsvendor); the combination is ours.
    """
    covered = forecast * season
    return covered + safety * array_module(covered).sqrt(covered.clip(min=0.0))


class ForecastLevels:
    """The levels of one stock point, [K, E], or of all of them, [N, K, E], from what was asked of them."""

    def __init__(
        self, start: AnyArray, safety: AnyArray, interval: ArrayLike, season: Sequence[ArrayLike], smoothing: float
    ) -> None:
        """Prepare.

        Args:
            start: [..., K, 1] mean demand without recommendation, units a period: the first forecast.
            safety: [..., K, 1] z of `forecast_level`.
            interval: [..., K] protection interval, whole periods >= 1: lead time + 1, the longest where it is random.
            season: amplitude [C], length [C] and share [..., C] of `seasonal_factor`.
            smoothing: w of `smoothed_forecast`.

        Raises:
            ValueError: An argument is out of range.
        """
        periods = np.asarray(interval)
        if np.any(periods < 1) or np.any(periods != np.floor(periods)):
            raise ValueError(f"protection_interval must hold whole periods >= 1, got {periods}")
        if not 0 <= smoothing <= 1:
            raise ValueError(f"smoothing must lie in [0, 1], got {smoothing}")
        self.start, self.safety, self.smoothing, self._interval = start, safety, smoothing, periods.astype(int)
        self._season, self._block = season, -1
        self._prepare(0)

    def _prepare(self, period: int) -> int:
        """Work out the seasons around a period: a decision should not take long to find them. Its place among them."""
        block, place = divmod(period, _BLOCK)
        if block != self._block:
            longest = int(self._interval.max())
            first = block * _BLOCK
            factor = seasonal_factor(np.arange(first - 1, first + _BLOCK + longest - 1), *self._season)
            ahead = np.lib.stride_tricks.sliding_window_view(factor[1:], longest, 0)  # [block, ..., longest]
            covered = np.take_along_axis(np.cumsum(ahead, -1), self._interval[None] - 1, -1)
            self._factor = alike(factor[..., None, None], self.start)
            self._covered = alike(covered[..., None], self.start)
            self._block = block
        return place

    def follow(self, forecast: AnyArray | None, asked: AnyArray, period: int) -> AnyArray:
        """The forecast of period t, [..., K, E] units a period of factor 1.

        From that of t - 1 (None: `start`, as nothing was asked before) and what was asked then, [..., K, E] units.
        """
        if forecast is None:
            return self.start + array_module(asked).zeros_like(asked)
        place = self._prepare(period)
        return smoothed_forecast(forecast, asked, self._factor[place], self.smoothing)

    def seasons(self, periods: int) -> tuple[AnyArray, AnyArray]:
        """Of the first T periods, the seasonal factor of that before each, [T, ...], and those covered, [T, ..., K]."""
        found = [(self._factor[place], self._covered[place]) for place in map(self._prepare, range(periods))]
        factor, covered = zip(*found, strict=True)
        stack = array_module(self.start).stack
        return stack(factor)[..., 0, 0], stack(covered)[..., 0]

    def level(self, forecast: AnyArray, period: int) -> AnyArray:
        """Order-up-to levels of period t from its forecast, [..., K, E] units."""
        place = self._prepare(period)
        return forecast_level(forecast, self._covered[place], self.safety)
