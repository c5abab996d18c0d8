"""Customers as a firm file declares them: segments with traffic, season, preferences and what a recommendation adds.

Source: Jiang et al., arXiv 2510.04272 (customers who choose under recommendations); the equations, the choice model and
the traffic are our reading. How they behave, batched over copies, is in `environment.choice`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, model_validator

from environment.fields import Checked, by_product, mapped, must_be, number, whole
from environment.laws import Mass, MassFunction, cut, poisson_mass

MAX_TRAFFIC = 1000
MAX_UTILITY = 20
MAX_CROWD = 10_000  # customers of a segment in a period, four standard deviations of the regime out
_TAIL = 1e-9
_NODES = 15  # of the quadrature over the regime
_PHASES = 24  # of a season without whole periods


def _utilities(low: float) -> BeforeValidator:
    """Something by which utilities from `low` are given, before they are checked one by one."""
    return must_be(
        f"a number from {low:g} to {MAX_UTILITY} or a mapping product -> number",
        lambda value: not (isinstance(value, (list, tuple, str)) or value is None or value == {}),
    )


Utilities: TypeAlias = Annotated[Any, by_product(number(-MAX_UTILITY, MAX_UTILITY)), _utilities(-MAX_UTILITY)]
Uplifts: TypeAlias = Annotated[Any, by_product(number(0, MAX_UTILITY)), _utilities(0)]
Exposures: TypeAlias = Annotated[Any, by_product(number(0, 1))]


class Season(Checked):
    """Traffic's factor 1 + amplitude sin(2 pi t / period) in period t of an episode."""

    amplitude: Annotated[float, number(0, 0.999)] = 0.0  # share of the mean
    period: Annotated[float, number(1, 100_000, above=True)] = 15.0  # periods from peak to peak

    def factor(self, period: NDArray[np.float64]) -> NDArray[np.float64]:
        """The factors of the given periods."""
        return 1.0 + self.amplitude * np.sin(2.0 * np.pi * period / self.period)


class Segment(Checked):
    """Customers who choose alike: each buys one unit of one product, or leaves.

    Traffic is Poisson(traffic season exp(z)); the hidden regime z starts at 0, z' = persistence z + volatility noise.
    The utility of product k is preference_k + uplift_k * exposure_k - impatience * wait_k, that of leaving 0; what is
    on hand and under way promises the wait, see `World.wait`.
    """

    traffic: Annotated[float, number(0, MAX_TRAFFIC, above=True)]  # customers a period at regime 0 and season factor 1
    preference: Utilities = 0.0  # by product; one that a mapping leaves out is not sold to this segment
    uplift: Uplifts = 1.0  # what full exposure adds to the utility
    persistence: Annotated[float, number(0, 0.999)] = 0.0  # of the regime
    volatility: Annotated[float, number(0, 2)] = 0.0  # of the regime, standard deviation of its noise
    exposure: Exposures = 0.0  # shown where no recommendation department decides
    impatience: Annotated[float, number(0, MAX_UTILITY)] = 0.0  # what a period of promised wait takes off the utility

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        crowd = self.traffic * np.exp(min(4.0 * self.regime_std, 100.0))
        if crowd > MAX_CROWD:
            raise ValueError(
                f".volatility lets traffic swing up to {crowd:.3g} customers a period, at most {MAX_CROWD} may come: "
                "lower volatility, persistence or traffic"
            )
        return self

    @property
    def regime_std(self) -> float:
        """Standard deviation of the regime in the long run."""
        return float(self.volatility / np.sqrt(1.0 - self.persistence**2))

    def preference_per(self, products: Sequence[str]) -> list[float]:
        """Utility without recommendation, [K]; minus infinity where the product is not sold to this segment."""
        return per_product(self.preference, products, -np.inf)

    def choice_probability(self, products: Sequence[str]) -> NDArray[np.float64]:
        """Chance that a customer buys each product under the segment's own exposure, [K]."""
        utility = np.array(self.preference_per(products))
        weight = np.exp(utility + np.multiply(per_product(self.uplift, products), per_product(self.exposure, products)))
        return np.asarray(weight / (1.0 + weight.sum()), dtype=np.float64)


class Clientele(Checked):
    """The customers of one stock point."""

    segments: Annotated[dict[str, Segment], mapped("name -> segment with at least one entry")]
    slots: Annotated[int, whole(0, 1000)] = 1  # largest sum of a segment's exposures over products
    season: Season = Season()

    def demand_laws(self, products: Sequence[str]) -> list[MassFunction]:
        """Demand of a period by product under the segments' own exposure, in the long run, [K].

        The Poisson law averaged over the season and the normal regime (by quadrature): what benchmarks and scales need.
        The world itself draws customers, whose periods and products are not independent.
        """
        whole_periods = self.season.period.is_integer() and self.season.period <= 4 * _PHASES
        phases = int(self.season.period) if whole_periods else _PHASES
        season = self.season.factor(np.arange(phases) * self.season.period / phases)
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        masses: list[Mass] = [np.ones(1) for _ in products]
        for segment in self.segments.values():
            regime = np.exp(segment.regime_std * nodes)
            rate = segment.traffic * np.multiply.outer(season, regime).ravel()
            share = np.tile(weights / weights.sum() / phases, phases)
            for k, probability in enumerate(segment.choice_probability(products)):
                masses[k] = np.convolve(masses[k], _poisson_mixture(tuple(rate * probability), tuple(share)))
        return [MassFunction.of(cut(mass, _TAIL)) for mass in masses]


def per_product(value: Any, products: Sequence[str], default: Any = 0.0) -> list[Any]:  # noqa: ANN401
    """One value for all products or a mapping product -> value, as a list [K]."""
    return [value.get(product, default) if isinstance(value, dict) else value for product in products]


def check_customers(customers: Mapping[str, Clientele], products: Sequence[str]) -> None:
    """Refuse more slots than products, exposures beyond the slots, and uplifts that are missing.

    Raises:
        ValueError: one line that names the field, what is allowed and what came.
    """
    for point, clientele in customers.items():
        most, slots = len(products), clientele.slots
        if slots > most:
            raise ValueError(f"customers.{point}.slots must be at most the number of products ({most}), got {slots}")
        for name, segment in clientele.segments.items():
            _check_exposure(f"customers.{point}.segments.{name}", slots, segment, products)


def _check_exposure(place: str, slots: int, segment: Segment, products: Sequence[str]) -> None:
    preference, exposure = segment.preference_per(products), per_product(segment.exposure, products)
    shown_sum = sum(exposure)
    if shown_sum > slots + 1e-9:
        raise ValueError(f"{place}.exposure must sum to at most the number of slots ({slots}), got {shown_sum:g}")
    for product, utility, share in zip(products, preference, exposure, strict=True):
        if share and utility == -np.inf:
            raise ValueError(f"{place}.exposure.{product} shows a product without preference: give it one or remove it")
        if isinstance(segment.uplift, dict) and product not in segment.uplift and utility > -np.inf:
            raise ValueError(f"{place}.uplift.{product} is missing: give one number for all products or one for each")


@lru_cache(maxsize=1024)  # every network of a firm asks for them
def _poisson_mixture(rate: tuple[float, ...], weight: tuple[float, ...]) -> Mass:
    mixture = np.zeros(len(poisson_mass(float(max(rate)))))
    for mean, share in zip(rate, weight, strict=True):
        part = poisson_mass(float(mean))
        mixture[: len(part)] += share * part
    mixture.flags.writeable = False
    return mixture
