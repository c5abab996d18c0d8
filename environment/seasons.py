"""Demand that depends on the period, or on the demand beside it: seasons on any law, and correlation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import SerializeAsAny, ValidationError, model_validator
from torch import Generator, Tensor

from environment.fields import Checked, listed, must_be, number, refusal, whole
from environment.laws import MAX_UNITS, TABLE_SIZE, Law, Mass, Poisson, cut, parse_law, poisson_mass

MAX_PHASES = 2000
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


class Seasonal(Law):
    """A law whose demand is multiplied by the season's factor: Poisson has that mean, all others are scaled.

    A scaled demand between two whole numbers becomes either of them, with the probabilities that keep the mean.
    """

    base: SerializeAsAny[Law]
    season: LawSeason

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        if self.base.rows() is not None:
            raise ValueError(".season: a sequence has its season already, remove one of the two")
        most = (len(self.base.mass()) - 1) * self.season.factors().max()
        if most > MAX_UNITS:
            raise ValueError(f".season takes demand up to {most:.6g} units, at most {MAX_UNITS}: lower it")
        return self

    @cached_property
    def _phases(self) -> tuple[Mass, ...]:
        factors = self.season.factors()
        if isinstance(self.base, Poisson):
            return tuple(cut(poisson_mass(self.base.mean * factor)) for factor in factors)
        mass = self.base.mass()
        return tuple(_scaled(mass, factor) for factor in factors)

    def phases(self) -> tuple[Mass, ...]:
        """The mass function in each period of a season, from period 0 on."""
        return self._phases

    def mass(self) -> Mass:
        """Demand of a period that is drawn at random from the season: what levels without a clock are reckoned by."""
        mass = np.zeros(max(map(len, self._phases)))
        for part in self._phases:
            mass[: len(part)] += part / len(self._phases)
        return mass


def _scaled(mass: Mass, factor: float) -> Mass:
    """The law of `factor` times as many units."""
    units = np.arange(len(mass)) * factor
    below = np.floor(units + 1e-9).astype(np.int64)
    above = np.maximum(units - below, 0.0)
    found = np.bincount(below, mass * (1.0 - above), int(below[-1]) + 2)
    found += np.bincount(below + 1, mass * above, len(found))
    return np.asarray(np.trim_zeros(found, "b") / found.sum(), dtype=np.float64)


def parse_demand(value: object, folder: Path) -> Law:
    """A law of demand from what the firm file says: `parse_law`, and perhaps `season` beside it.

    Raises:
        ValueError: as `parse_law`.
    """
    if not (isinstance(value, Mapping) and "season" in value):
        return parse_law(value, folder)
    base = parse_law({key: given for key, given in value.items() if key != "season"}, folder)
    try:
        return Seasonal(base=base, season=value["season"])
    except ValidationError as error:
        raise ValueError(refusal(error)) from None


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
