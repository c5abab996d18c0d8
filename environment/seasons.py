"""Demand that depends on the period, or on the demand beside it: seasons, trend and events on any law; correlation."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import SerializeAsAny, ValidationError, model_validator
from torch import Generator, Tensor

from environment.fields import Checked, listed, must_be, number, refusal, shown, whole
from environment.laws import (
    MAX_UNITS,
    TABLE_SIZE,
    Law,
    Mass,
    MassFunction,
    Poisson,
    cut_poisson_mass,
    parse_law,
)

MAX_PHASES = 2000
PERIODIC = ("season", "trend", "events")  # what a law of demand may have beside itself
Factor: TypeAlias = Annotated[float, number(0, 1000)]


class LawSeason(Checked):
    """A factor on demand in period t of an episode: 1 + amplitude sin(2 pi t / period), or a profile of mean 1."""

    period: Annotated[int, whole(2, MAX_PHASES)]  # periods until it begins again
    amplitude: Annotated[float | None, number(0, 1, optional=True)] = None  # share of the mean
    profile: Annotated[tuple[Factor, ...] | None, listed("numbers, one for each period of the season")] = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.amplitude is None) == (self.profile is None):
            raise ValueError(": give amplitude, such as 0.5, or profile, a number for each period, and not both")
        if self.profile is not None and len(self.profile) != self.period:
            raise ValueError(f".profile must hold {self.period} numbers, one for each period, got {len(self.profile)}")
        if self.profile is not None and not sum(self.profile):
            raise ValueError(".profile must hold a number above 0")
        return self

    def factors(self) -> NDArray[np.float64]:
        """The factor of each period of a season, [period]; their mean is 1."""
        if self.profile is not None:
            return np.asarray(np.array(self.profile) / np.mean(self.profile))
        return np.asarray(1.0 + (self.amplitude or 0.0) * np.sin(2.0 * np.pi * np.arange(self.period) / self.period))


class Trend(Checked):
    """A factor on demand that grows or falls by the same amount every period and then stays: 1 + growth min(t, n)."""

    growth: Annotated[float, number(-1, 10)]  # of the mean of period 0, a period
    periods: Annotated[int, whole(1, MAX_PHASES)]  # n, until it ends

    @model_validator(mode="after")
    def _not_below_nothing(self) -> Self:
        if 1.0 + self.growth * self.periods < 0.0:
            cure = f"at least {-1.0 / self.periods:.4g} over {self.periods} periods"
            raise ValueError(f".growth takes demand below 0: it must be {cure}, got {self.growth:g}")
        return self


class Event(Checked):
    """A factor on demand in some periods, once or again and again: a promotion, a holiday."""

    period: Annotated[int, whole(0, MAX_PHASES)]  # the first one
    periods: Annotated[int, whole(1, MAX_PHASES)] = 1  # how many
    factor: Factor
    every: Annotated[int | None, whole(2, MAX_PHASES, optional=True)] = None  # periods until it comes again
    known: Annotated[bool, must_be("true or false", lambda value: isinstance(value, bool))] = True  # to departments

    @model_validator(mode="after")
    def _over_before_it_comes_again(self) -> Self:
        if self.every is not None and self.period + self.periods > self.every:
            end = self.period + self.periods
            raise ValueError(f".every must be at least {end}, where it ends, got {self.every}: raise it")
        return self

    def factors(self, period: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of periods by number."""
        place = period if self.every is None else period % self.every
        return np.where((place >= self.period) & (place < self.period + self.periods), self.factor, 1.0)


class Seasonal(Law):
    """A law whose demand is multiplied by factors of the period: Poisson has that mean, all others are scaled.

    Season, trend and events are multiplied. A scaled demand between two whole numbers becomes either of them, with the
    probabilities that keep the mean.
    """

    base: SerializeAsAny[Law]
    season: LawSeason | None = None
    trend: Trend | None = None
    events: Annotated[tuple[Event, ...], listed("events such as {period: 30, factor: 2}")] = ()

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        field = next((name for name in PERIODIC if getattr(self, name)), "")
        if not field:
            raise ValueError(": season, trend and events must hold something, or be left out")
        if self.base.rows() is not None:
            raise ValueError(f".{field}: a sequence has its {field} already, remove one of the two")
        if self.lead_in() + self.cycle > MAX_PHASES:
            last = f"{self.lead_in() + self.cycle} periods until demand begins again"
            raise ValueError(f".{field}: {last}, at most {MAX_PHASES}: shorten trend, season, or where events end")
        most = (len(self.base.mass()) - 1) * self._factors().max()
        if most > MAX_UNITS:
            raise ValueError(f".{field} takes demand up to {most:.6g} units, at most {MAX_UNITS}: lower it")
        return self

    def lead_in(self) -> int:
        """How many of the first periods never return: until trend and single events are over."""
        ends = [event.period + event.periods for event in self.events if event.every is None]
        return max([0, *ends, *([self.trend.periods] if self.trend else [])])

    @property
    def cycle(self) -> int:
        """Periods until demand begins again, after those."""
        seasons = [self.season.period] if self.season else []
        return math.lcm(*seasons, *(event.every for event in self.events if event.every is not None))

    def _factors(self) -> NDArray[np.float64]:
        period = np.arange(self.lead_in() + self.cycle)
        season = self.season.factors()[period % self.season.period] if self.season else 1.0
        return season * self.told(period, hidden=True)

    def told(self, period: NDArray[np.int64], *, hidden: bool = False) -> NDArray[np.float64]:
        """Factors of trend and of events that are known, or `hidden` ones, too, in periods by number."""
        grown = 1.0 + self.trend.growth * np.minimum(period, self.trend.periods) if self.trend else 1.0
        events = [event.factors(period) for event in self.events if event.known or hidden]
        return np.asarray(np.prod([np.ones(period.shape), *events], 0) * grown)

    @cached_property
    def _phases(self) -> tuple[Mass, ...]:
        factors = self._factors().tolist()
        distinct = {factor: self._of(factor) for factor in set(factors)}
        return tuple(distinct[factor] for factor in factors)

    def _of(self, factor: float) -> Mass:
        if isinstance(self.base, Poisson):
            return cut_poisson_mass(self.base.mean * factor)
        return _scaled(self.base.mass(), factor)

    def phases(self) -> tuple[Mass, ...]:
        """The mass function in each period, from period 0 on: those that never return, then those that do."""
        return self._phases

    def mass(self) -> Mass:
        """Demand of a period that is drawn at random from all of these: what levels without a clock are reckoned by."""
        mass = np.zeros(max(map(len, self._phases)))
        for part in self._phases:
            mass[: len(part)] += part / len(self._phases)
        return mass


def times(law: Law, factor: float) -> Any:  # noqa: ANN401
    """A law of demand whose demand is `factor` times as much, in whole units; seasons stay."""
    if isinstance(law, Seasonal):
        return law.model_copy(update={"base": times(law.base, factor)})
    mass = cut_poisson_mass(law.mean * factor) if isinstance(law, Poisson) else _scaled(law.mass(), factor)
    return MassFunction.of(mass)


def _scaled(mass: Mass, factor: float) -> Mass:
    """The law of `factor` times as many units."""
    units = np.arange(len(mass)) * factor
    below = np.floor(units + 1e-9).astype(np.int64)
    above = np.maximum(units - below, 0.0)
    found = np.bincount(below, mass * (1.0 - above), int(below[-1]) + 2)
    found += np.bincount(below + 1, mass * above, len(found))
    return np.asarray(np.trim_zeros(found, "b") / found.sum(), dtype=np.float64)


def parse_demand(value: object, folder: Path) -> Law:
    """A law of demand from what the firm file says: `parse_law`, and perhaps season, trend and events beside it.

    Raises:
        ValueError: as `parse_law`.
    """
    if not isinstance(value, Mapping) or not any(key in value for key in PERIODIC):
        return parse_law(value, folder)
    base = parse_law({key: given for key, given in value.items() if key not in PERIODIC}, folder)
    own = {key: value[key] for key in PERIODIC if key in value}
    if isinstance(own.get("events"), Mapping):
        own["events"] = _listed(own["events"], folder)
    try:
        return Seasonal(base=base, **own)
    except ValidationError as error:
        raise ValueError(refusal(error)) from None


def _listed(given: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Events that stand in a table with the columns of an `Event`; `date` instead of `period` counts from `begins`.

    Raises:
        ValueError: one line.
    """
    allowed = "{file: promotions.csv} and, if it has dates, begins: 2026-01-01, that of period 0"
    if not isinstance(given.get("file"), str) or not set(given) <= {"file", "begins"}:
        raise ValueError(f".events must be a list, or {allowed}, got {shown(dict(given))}")
    try:
        with (folder / given["file"]).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f".events.file must be a csv table, got {shown(given['file'])}: {error}") from None
    found = []
    for number_of, row in enumerate(rows, 2):
        try:
            event: dict[str, Any] = {key: _cell(key, text) for key, text in row.items() if text}
            if "date" in event:
                begins = given.get("begins")
                if begins is None:
                    raise ValueError("its dates need events.begins, that of period 0")
                event["period"] = (event.pop("date") - date.fromisoformat(str(begins))).days
            found.append(event)
        except (ValueError, TypeError) as error:
            raise ValueError(f".events.file {given['file']}, line {number_of}: {error}") from None
    return found


def _cell(column: str | None, text: str) -> object:
    """A cell of a table of events."""
    if column == "date":
        return date.fromisoformat(text)
    if column == "known":
        return {"true": True, "false": False}.get(text.lower(), text)
    if column not in Event.model_fields:
        columns = ", ".join(["date", *Event.model_fields])
        raise ValueError(f"columns are {columns}, got {shown(column)}")
    return float(text) if column == "factor" else int(text)


class Correlation(Checked):
    """Correlation of demands in a period, of the normal numbers that they are quantiles of (a Gaussian copula).

    Demands of a product at two points have correlation every + (1 - every) points, those of two products at a point
    every + (1 - every) products, all others every + (1 - every) points products. Each keeps its law.
    """

    every: Annotated[float, number(0, 1)] = 0.0  # of any two
    points: Annotated[float, number(0, 1)] = 0.0  # beside that, of two points
    products: Annotated[float, number(0, 1)] = 0.0  # beside that, of two products

    def lanes(self, shape: tuple[int, int, int, int], generator: Generator) -> Tensor:
        """Uniform 16-bit numbers, [T, C K, E] signed, of demands [T, C, K, E] that hang together.

        Source: Nelsen (2006), An Introduction to Copulas, section 2.3; with common factors for each point, product and
        all, whose weights are the roots of the correlations.
        """
        periods, points, products, copies = shape

        def normal(*size: int) -> Tensor:
            return torch.randn(periods, *size, copies, generator=generator, device=generator.device)

        def mixed(common: Tensor, own: Tensor, share: float) -> Tensor:
            return common * math.sqrt(share) + own * math.sqrt(1.0 - share)

        own = mixed(normal(1, products), normal(points, products), self.points)
        across = mixed(normal(1, 1), normal(points, 1), self.points)
        score = mixed(normal(1, 1), mixed(across, own, self.products), self.every)
        level: Tensor = torch.special.ndtr(score.double()).mul_(TABLE_SIZE).floor_().clamp_max_(TABLE_SIZE - 1)
        return level.to(torch.int32).to(torch.int16).view(periods, points * products, copies)


def _correlation(value: Any) -> object:  # noqa: ANN401
    return {"every": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Correlations: TypeAlias = Annotated[
    Correlation | None,
    must_be(
        "a number from 0 to 1 or a mapping such as {points: 0.6}",
        lambda value: value is None or (isinstance(value, (int, float, Mapping, Correlation)) and value is not True),
        _correlation,
    ),
]
