"""Demand as it is: weekday profile, forecasts that follow it, and episodes drawn from history in blocks.

Axes are [T, M] or [T, M, E]: days, series, copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from environment.blocks import Blocks, Rows, weekdays_of
from environment.tables import blocks_of
from heuristics.forecast import intermittent_forecast

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]

SMOOTHINGS = (0.03, 0.07, 0.15, 0.3)  # of which each series takes the one with the least error
_RECENT = 28  # days whose mean demand rules take
BLOCK = Blocks().periods  # days
_LEAST = 0.05  # of the mean: a weekday below it tells nothing of the level
_PRIOR = 4.0  # weeks of a flat profile that a series' own is mixed with


def weekday_profile(demand: Array, days: Days) -> Array:
    """Mean demand of each weekday relative to the mean of all, [7, M]; 1 where there is no demand.

    Short histories are pulled towards a flat week.
    """
    day, mean = weekdays_of(days), demand.mean(0)
    found = np.stack([demand[day == number].mean(0) if (day == number).any() else mean for number in range(7)])
    weeks = len(demand) / 7
    profile = np.where(mean > 0, found / np.maximum(mean, 1e-12), 1.0)
    mixed = (weeks * profile + _PRIOR) / (weeks + _PRIOR)
    return np.asarray(mixed / mixed.mean(0))


METHODS = ("weekdays", "intermittent")
_OF_SERIES = ("profile", "often", "start", "smoothing", "occurrence", "spread")  # fields of a forecaster
Interval = NDArray[np.int64] | Callable[[np.datetime64, int], NDArray[np.int64]]  # days of M series: [M], or from a
# day on for so many mornings, [T or, if all are alike, 1, M]


def _intervals(interval: Interval, first: np.datetime64, periods: int) -> NDArray[np.int64]:
    return interval(first, periods) if callable(interval) else interval[None]


def recent_mean(values: Array) -> Array:
    """Mean of the four weeks before each morning and after the last day, [T + 1, ...]; 0 where nothing is known."""
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, 0)])
    ends = np.arange(len(total))
    begins = np.maximum(ends - _RECENT, 0)
    days = np.maximum(ends - begins, 1)
    return np.asarray((total[ends] - total[begins]) / days[(...,) + (None,) * (values.ndim - 1)])


class Forecaster(NamedTuple):
    """What was learned of M series: how to forecast what is asked over their protection intervals."""

    profile: Array  # [7, M]; 1 where demand is split
    often: Array  # [M] share of days with demand, before anything was seen; 1 where it is not split
    start: Array  # [M] units a day, of those with demand, likewise
    smoothing: Array  # [M]
    occurrence: Array  # [M] smoothing of the share of days with demand; 0: demand is not split
    interval: Interval
    spread: Array  # [M] units, root mean square error of forecasts over the interval

    @property
    def methods(self) -> list[str]:
        """How each series is forecast, [M]."""
        return [METHODS[split] for split in (self.occurrence > 0).tolist()]

    def levels(self, demand: Array, days: Days) -> Array:
        """Mean daily demand as known on the morning of each day and of the day after the last, [T + 1, M(, E)].

        Source: Snyder & Shen, Fundamentals of Supply Chain Theory, section 2.2; `intermittent_forecast`.
        """
        shape = (len(demand) + 1, *demand.shape[1:])
        found, day = np.empty(shape), weekdays_of(days)
        own = (slice(None),) + (None,) * (demand.ndim - 2)
        often, size, occurrence = self.often[own], self.start[own], self.occurrence[own]
        found[0] = often * size
        weight = np.where(self.profile > _LEAST, self.smoothing, 0.0)
        factor = np.maximum(self.profile, _LEAST)
        for t in range(len(demand)):
            now = day[t]
            often, size = intermittent_forecast(often, size, demand[t], factor[now][own], weight[now][own], occurrence)
            found[t + 1] = often * size
        return found

    def covered(self, first: np.datetime64, periods: int) -> Array:
        """Days of mean demand that the interval from each of so many days holds, [T, M]."""
        interval = _intervals(self.interval, first, periods)
        day = (weekdays_of(np.array([first]))[0] + np.arange(7 + int(interval.max()))) % 7
        ahead = np.concatenate([np.zeros((1, self.profile.shape[1])), np.cumsum(self.profile[day], 0)])
        place = np.arange(7 if len(interval) == 1 else periods) % 7
        table = np.take_along_axis(ahead, place[:, None] + interval, 0) - ahead[place]
        return np.asarray(table[np.arange(periods) % 7] if len(interval) == 1 else table)

    def over_interval(self, demand: Array, days: Days) -> Array:
        """Forecast demand of the interval that begins on each day and on the one after the last, [T + 1, M(, E)]."""
        covered = self.covered(days[0], len(days) + 1)
        return np.asarray(self.levels(demand, days) * covered[(...,) + (None,) * (demand.ndim - 2)])


def fitted(demand: Array, days: Days, interval: Interval, *, plain: bool = False) -> Forecaster:
    """Learn from history, [T, M]; each series takes what has the least squared error over its interval.

    Smoothing that follows the weekdays is tried, and smoothing by itself of how often there is demand, the same on all
    days of the week, unless it shall be `plain`. Of each morning's forecast the level knows the days before; the
    profile knows all that is learned from, which favours weekdays (ours).
    """
    actual = windows(demand, _intervals(interval, days[0], len(days)))
    settled = min(8 * 7, len(demand) // 3)

    def measured(tried: Forecaster) -> Forecaster:
        error = (tried.over_interval(demand, days)[:-1] - actual)[settled:]
        known = np.where(np.isnan(error).all(0), 0.0, error)
        return tried._replace(spread=np.sqrt(np.nanmean(known**2, axis=0)))

    return reduce(better, map(measured, candidates(demand, days, interval, plain=plain)))


def candidates(demand: Array, days: Days, interval: Interval, *, plain: bool = False) -> Iterator[Forecaster]:
    """All that is tried on history, [T, M], with the same parameters for all series and no spread, see `fitted`."""
    begin = demand[: 8 * 7]
    start, often = begin.mean(0), (begin > 0).mean(0)
    one, none = np.ones(demand.shape[1]), np.zeros(demand.shape[1])
    profile = weekday_profile(demand, days)
    for smoothing in SMOOTHINGS:
        yield Forecaster(profile, one, start, smoothing * one, none, interval, none)
    if not plain:
        size = np.divide(start, often, out=one.copy(), where=often > 0)
        for smoothing, occurrence in product(SMOOTHINGS, SMOOTHINGS):
            yield Forecaster(np.ones_like(profile), often, size, smoothing * one, occurrence * one, interval, none)


def better(old: Forecaster, new: Forecaster) -> Forecaster:
    """Of each series the one with the least spread, the old one if both have it."""
    less = new.spread < old.spread
    fields = {name: np.where(less, getattr(new, name), getattr(old, name)) for name in _OF_SERIES}
    return old._replace(**fields)


def windows(demand: Array, interval: NDArray[np.int64]) -> Array:
    """Demand of the interval [M] or [T, M] that begins on each day, [T, M]; NaN where history ends before it does."""
    total = np.concatenate([np.zeros((1, demand.shape[1])), np.cumsum(demand, 0)])
    end = np.arange(len(demand))[:, None] + interval
    found = np.take_along_axis(total, np.minimum(end, len(demand)), 0) - total[:-1]
    return np.asarray(np.where(end > len(demand), np.nan, found))


def classes(demand: Array, value: Array) -> tuple[list[str], list[str]]:
    """ABC and XYZ class of each item: what it is worth, and how much it changes from week to week.

    A are the items of the largest value that make up 80% of it, B those up to 95%, C the rest. X changes by at most
    half of its mean (coefficient of variation of weeks), Y by at most all of it, Z by more.

    Args:
        demand: [T, K] units a day, of which whole weeks count, the last ones.
        value: [K] money a day, or units where no cost is known.

    Source: Silver, Pyke & Thomas (2017), Inventory and Production Management in Supply Chains, section 2.5, for ABC.
    """
    weeks = demand[len(demand) % 7 :].reshape(-1, 7, demand.shape[1]).sum(1) if len(demand) >= 7 else demand
    order = np.argsort(-value, kind="stable")
    before = (np.cumsum(value[order]) - value[order]) / max(float(value.sum()), 1e-12)
    worth = np.empty(len(value), dtype="U1")
    worth[order] = np.where(before < 0.8, "A", np.where(before < 0.95, "B", "C"))
    mean = weeks.mean(0)
    spread = np.divide(weeks.std(0), mean, out=np.full(len(mean), np.inf), where=mean > 0)
    return worth.tolist(), np.where(spread <= 0.5, "X", np.where(spread <= 1.0, "Y", "Z")).tolist()


def drawn_days(days: Days, first: np.datetime64, periods: int, copies: int, rng: np.random.Generator) -> Rows:
    """Which days of history stand for the days from `first` on, [periods, copies], see `Blocks`.

    Raises:
        ValueError: history is shorter than two blocks.
    """
    blocks = blocks_of(days)
    if blocks is None:
        raise ValueError(f"episodes are drawn from at least {Blocks().least} days of history, got {len(days)}")
    return blocks.rows(len(days), np.full(copies, (first - days[0]).astype(int)), periods, rng)
