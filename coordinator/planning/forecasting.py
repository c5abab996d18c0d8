"""`firmwide forecast`: demand of the days ahead with intervals, and how good such forecasts were on earlier days."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from coordinator.planning.backtest import tables_of
from coordinator.planning.demand import METHODS, Forecaster, better, candidates
from coordinator.planning.forecast_page import forecast_page
from coordinator.planning.tuning import Past
from coordinator.shown import Shown
from coordinator.storage.files import write_atomically
from environment.blocks import weekdays_of
from environment.tables import Tables

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]

LOW, HIGH = 0.1, 0.9  # of the interval
_ORIGINS, _APART = 8, 7  # how often forecasts are tried, and days between two times
_LEAST = 84  # days of history before the first time
_SHOWN = 15  # series in the table
_NO_SCALE = 1e4  # MASE


@dataclass(frozen=True, repr=False)
class Forecast(Shown):
    """What is forecast of each series, and the errors of such forecasts on earlier days."""

    tables: Tables = field(repr=False)
    origins: int  # how many times forecasts were tried
    days: pd.DataFrame  # a row per date, location and item: mean, low and high, units of the tables
    errors: pd.DataFrame  # a row per location and item
    total: dict[str, float]  # of all series together

    def __rich__(self) -> RenderableType:
        """The errors in all, then the series whose errors are largest."""
        ahead = len(self.days["date"].unique())
        head = (
            f"{ahead} days from {self.tables.days[-1] + 1}; tried {self.origins} times on days before, which they did "
            f"not know: {self.total['wape']:.1%} of demand is off (WAPE), {self.total['plain_wape']:.1%} if all follow "
            f"weekdays, last week's {self.total['naive_wape']:.1%}; mean MASE {self.total['mase']:.3f}, "
            f"{self.total['plain_mase']:.3f} if all follow weekdays; {self.total['coverage']:.0%} of days lie in the "
            f"80% interval; {self._methods()}"
        )
        numbers = ("mean a day", "WAPE", "plain WAPE", "MASE", "pinball", "in the interval")
        table = Table(
            "location", "item", "method", *(Column(name, justify="right") for name in numbers), show_edge=False
        )
        for row in self.errors.sort_values("error", ascending=False).head(_SHOWN).to_dict("records"):
            cells = f"{row['mean']:.4g}", *(f"{row[name]:.1%}" for name in ("wape", "plain_wape")), f"{row['mase']:.2f}"
            named = (row[name] for name in ("location", "item", "method"))
            table.add_row(*named, *cells, f"{row['pinball']:.3g}", f"{row['coverage']:.0%}")
        return Group(Text(head, style="bold"), table)

    def _methods(self) -> str:
        count = self.errors["method"].value_counts()
        return ", ".join(f"{count[name]} series {name}" for name in METHODS if name in count)


def forecast(folder: Path, days: int = 28, out: Path | None = None) -> Forecast:
    """Forecast every series of an imported firm: smoothing that follows the weekdays, or of intermittent demand.

    Each series takes what was off least on the days before those on which errors are measured, see `_Smoothed.of`.

    Args:
        folder: of `firmwide import`.
        days: how many.
        out: where forecast.csv, errors.csv and forecast.html go; default: FOLDER/forecast.

    Raises:
        ValueError: one line; history is too short.
    """
    tables = tables_of(folder)
    past = Past.of(tables)
    if not 1 <= days <= 365:
        raise ValueError(f"--days must be from 1 to 365, got {days}")
    if len(past.days) < _LEAST + days:
        raise ValueError(f"--days {days} needs at least {_LEAST + days} days of history, got {len(past.days)}")
    demand, origins = past.demand.reshape(len(past.days), -1), _origins(len(past.days), days)
    tried = _Smoothed.of(demand, past.days, origins[0], days)
    errors, total = _errors(demand, tried, origins, days)
    plain, plain_total = _errors(demand, _Smoothed.of(demand, past.days, origins[0], days, plain=True), origins, days)
    errors |= {f"plain_{name}": plain[name] for name in ("wape", "mase")}
    total["plain_wape"] = plain_total["wape"]
    total |= {name: _mean_of(errors[name][tables.sold.ravel()]) for name in ("mase", "plain_mase")}
    now = _Smoothed.of(demand, past.days, len(past.days), days)
    places = [(tables.points[n], item) for n in tables.selling for item in tables.items]
    unit = np.tile(tables.unit, len(tables.selling))
    sold = tables.sold.ravel()
    names = pd.DataFrame(places, columns=["location", "item"])
    ahead = {key: (now.at(len(past.days), quantile) * unit).T for key, quantile in _QUANTILES.items()}
    dates = (past.days[-1] + 1 + np.arange(days)).astype(str)
    rows = names[sold].loc[np.repeat(np.flatnonzero(sold), days)].reset_index(drop=True)
    rows.insert(0, "date", np.tile(dates, int(sold.sum())))
    rows = rows.assign(**{key: values[sold].ravel() for key, values in ahead.items()})
    measured = names.assign(method=now.methods, tried=tried.methods, mean=demand.mean(0) * unit, **errors)
    measured["error"], measured["pinball"] = measured["error"] * unit, measured["pinball"] * unit
    done = Forecast(tables, len(origins), rows, measured[sold].reset_index(drop=True), total)
    place = folder / "forecast" if out is None else out
    write_atomically(place / "forecast.csv", rows.to_csv(index=False, float_format="%.6g"))
    write_atomically(place / "errors.csv", done.errors.to_csv(index=False, float_format="%.6g"))
    known = demand[-3 * days :].T[sold] * unit[sold, None]
    write_atomically(place / "forecast.html", forecast_page(done.errors, total, rows, known).html())
    return done


_QUANTILES: dict[str, float | None] = {"mean": None, "low": LOW, "high": HIGH}


def _mean_of(scaled: Array) -> float:
    """Mean MASE of series; those that never changed on the days before have no scale and do not count."""
    kept = scaled[scaled < _NO_SCALE]
    return float(kept.mean()) if len(kept) else 0.0


def _origins(known: int, days: int) -> list[int]:
    """Numbers of the first days of forecasts that are tried, ascending; the last one ends where history does."""
    found = [known - days - _APART * place for place in range(_ORIGINS)]
    return sorted(origin for origin in found if origin >= _LEAST)


@dataclass(frozen=True)
class _Smoothed:
    """Forecasts whose profile, smoothing and spread are learned before some day, and whose level is known each day."""

    level: Array  # [T + 1, M] units a day
    profile: Array  # [days, M] of the days from each weekday on: [7, days, M]
    first: int  # weekday of day 0
    methods: list[str]  # [M]
    residuals: Array  # [R, M] units, of forecasts before

    @classmethod
    def of(cls, demand: Array, days: Days, until: int, ahead: int, *, plain: bool = False) -> _Smoothed:
        """Learned on the first `until` days of demand, [T, M].

        Each series takes what has the least squared error of a day so far ahead, tried every week of those days: the
        least absolute error would ask for less than the mean where demand is skewed.

        Source: Kolassa (2020), Why the "best" point forecast depends on the error or accuracy measure.
        """
        known, day = demand[:until], days[:until]
        earlier = range(_LEAST // 3, until - ahead + 1, _APART)

        def measured(tried: Forecaster) -> Forecaster:
            found = cls._bare(tried, known, day, ahead)
            off = [known[origin : origin + ahead] - found.at(origin, None) for origin in earlier]
            return tried._replace(spread=np.sqrt(np.mean(np.square(off), (0, 1)))) if off else tried

        every = np.ones(demand.shape[1], dtype=np.int64)
        learned = reduce(better, map(measured, candidates(known, day, every, plain=plain)))
        bare = cls._bare(learned, demand, days, ahead)
        left = [demand[origin : origin + ahead] - bare.at(origin, None) for origin in earlier]
        return replace(bare, residuals=np.concatenate(left)) if left else bare

    @classmethod
    def _bare(cls, learned: Forecaster, demand: Array, days: Days, ahead: int) -> _Smoothed:
        week = np.stack([learned.profile[(np.arange(ahead) + day) % 7] for day in range(7)])
        first, none = int(weekdays_of(days[:1])[0]), np.zeros((1, demand.shape[1]))
        return cls(learned.levels(demand, days), week, first, learned.methods, none)

    def at(self, origin: int, quantile: float | None) -> Array:
        """Forecasts [days, M] as of the morning of a day: means, or quantiles by what earlier ones were off."""
        mean = self.level[origin] * self.profile[(self.first + origin) % 7]
        if quantile is None:
            return np.asarray(mean)
        return np.asarray(np.maximum(mean + np.quantile(self.residuals, quantile, axis=0), 0.0))


def _errors(
    demand: Array, tried: _Smoothed, origins: list[int], days: int
) -> tuple[dict[str, Array], dict[str, float]]:
    """Of each series, [M], and of all: absolute error a day, WAPE, MASE, pinball loss and coverage.

    MASE is relative to what a week before says, on the days before the first origin; the pinball loss is the mean of
    those at the low quantile, the median and the high one.

    Source: Hyndman & Koehler (2006), Another look at measures of forecast accuracy; Gneiting & Raftery (2007).
    """
    actual = np.stack([demand[origin : origin + days] for origin in origins])  # [O, days, M]
    mean, low, middle, high = (np.stack([tried.at(o, q) for o in origins]) for q in (None, LOW, 0.5, HIGH))
    weeks = np.arange(days) % 7
    naive = np.stack([demand[origin - 7 : origin][weeks] for origin in origins])
    off, total = np.abs(actual - mean).mean((0, 1)), np.maximum(actual.mean((0, 1)), 1e-9)
    known = demand[: origins[0]]
    step = np.maximum(np.abs(known[7:] - known[:-7]).mean(0), 1e-9)
    losses = [
        np.maximum(share * (actual - of), (share - 1.0) * (actual - of)).mean((0, 1))
        for share, of in ((LOW, low), (0.5, middle), (HIGH, high))
    ]
    inside = ((actual >= low) & (actual <= high)).mean((0, 1))
    found = {"error": off, "wape": off / total, "mase": off / step, "pinball": np.mean(losses, 0), "coverage": inside}
    all_naive = float(np.abs(actual - naive).sum() / np.maximum(actual.sum(), 1e-9))
    in_all = {"wape": float(np.abs(actual - mean).sum() / np.maximum(actual.sum(), 1e-9)), "naive_wape": all_naive}
    return found, in_all | {"coverage": float(inside.mean())}
