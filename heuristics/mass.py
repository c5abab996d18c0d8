"""Mass functions of whole units: what demand over one period, or over a protection interval, can be.

A mass function is a 1-d float64 array ``p``: ``p[k]`` is the probability of k units, k = 0..n, and it sums to 1. All
functions are pure, never write into an argument and return new arrays. Amounts that are added up are independent of
each other, demands of different periods too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mass = NDArray[np.float64]

_FFT_NOISE = 1e-16  # absolute rounding error of a transform of probabilities; smaller entries carry no information
_DIRECT_WORK = 1 << 16  # multiplications up to which the direct convolution beats the transform
_TIE = 1e-12  # a cdf this close below a probability counts as having reached it


def as_mass(probabilities: ArrayLike, name: str = "mass function") -> Mass:
    """Check probabilities [n + 1] of 0..n units, and return them as a mass function without trailing zeros.

    Raises:
        ValueError: `name` is empty, not 1-d, not finite, negative somewhere, or does not sum to 1 within 1e-6.
    """
    mass = np.asarray(probabilities, dtype=np.float64)
    if mass.ndim != 1 or mass.size == 0:
        raise ValueError(f"{name} must be a 1-d array with at least one entry, got shape {mass.shape}")
    improper = mass[~(np.isfinite(mass) & (mass >= 0))]
    if improper.size:
        raise ValueError(f"{name} must hold finite probabilities >= 0, got {improper[0]}")
    weight = float(mass.sum())
    if abs(weight - 1.0) > 1e-6:
        raise ValueError(f"{name} must sum to 1, got {weight:.9g}; divide it by its sum")
    return _trim(mass / weight)


def point_mass(units: int) -> Mass:
    """All probability on a known whole number of units, >= 0; a ValueError if it is negative."""
    if units < 0:
        raise ValueError(f"units must be at least 0, got {units}")
    mass = np.zeros(units + 1)
    mass[units] = 1.0
    return mass


def convolve(first: Mass, second: Mass) -> Mass:
    """Mass function of the sum of two amounts, [<= n + m + 1].

    Short ones are multiplied out, long ones go through the fast Fourier transform; entries below its rounding error,
    the tiny negative ones among them, are set to zero.
    """
    if first.size * second.size <= _DIRECT_WORK:
        return _trim(np.convolve(first, second))
    size = first.size + second.size - 1
    length = transform_length(size)
    return _clean(np.fft.irfft(np.fft.rfft(first, length) * np.fft.rfft(second, length), length)[:size])


def total(masses: Iterable[Mass]) -> Mass:
    """Mass function of the sum of any number of amounts; of none, it is 0 for sure."""
    return reduce(convolve, masses, point_mass(0))


def mixture(masses: Sequence[Mass], weights: ArrayLike) -> Mass:
    """Mass function of an amount drawn from one of several laws: sum_k weights[k] * masses[k], as long as the longest.

    Raises:
        ValueError: The weights are not as many as the laws, negative, or do not sum to 1.
    """
    weight = np.asarray(weights, dtype=np.float64)
    if weight.shape != (len(masses),) or not (weight >= 0).all() or abs(weight.sum() - 1.0) > 1e-6:
        raise ValueError(f"weights must be {len(masses)} probabilities that sum to 1, got {weight.tolist()}")
    mixed = np.zeros(max(mass.size for mass in masses))
    for mass, share in zip(masses, weight, strict=True):
        mixed[: mass.size] += share * mass
    mixed /= mixed.sum()
    return mixed


def thinned(mass: Mass, probability: float) -> Mass:
    """What one supplier sees of a stream whose whole order goes to one supplier at random: (1 - q) at 0, plus q * mass.

    The customer doesn't split its order: with probability q the supplier gets all of it, otherwise nothing. The mean is
    scaled by q, as it would be if every unit chose its own supplier, but the variance is much larger:
    q E[D^2] - (q E[D])^2. Periods stay independent, since the supplier is drawn anew for each order.

    Raises:
        ValueError: The probability is outside 0..1.

    Source: our reading of the general networks of Ziegner et al. (arXiv 2503.18201); the paper is silent.
    """
    return mixture([point_mass(0), mass], [1.0 - probability, probability])


def demand_over(demand: Mass, periods: Mass) -> Mass:
    """Demand D a period over a random number of periods, [<= n L + 1] units: sum_l P(periods = l) D^{*l}.

    One transform of the period's demand, Horner's rule over the powers, one transform back.
    """
    size = (demand.size - 1) * (periods.size - 1) + 1
    length = transform_length(size)
    transform = np.fft.rfft(demand, length)
    power = np.zeros_like(transform)
    for probability in periods[::-1]:
        power = power * transform + probability
    return _clean(np.fft.irfft(power, length)[:size])


def lead_time_demand(demand: Mass, lead_time: Mass) -> Mass:
    """Demand D a period over the protection interval of a lead time, units: sum_l P(lead_time = l) D^{*(l + 1)}.

    An order placed in period t meets the demands of t..t + lead_time, which are lead_time + 1 periods.

    Source: the sequence of events of Ziegner et al. (arXiv 2503.18201), table 2.
    """
    return demand_over(demand, np.concatenate(([0.0], lead_time)))


def cdf(mass: Mass) -> Mass:
    """Cumulative probabilities F(s) = P(D <= s) for s = 0..n, [n + 1], at most 1."""
    return np.minimum(np.cumsum(mass), 1.0)


def quantile(mass: Mass, probability: float) -> int:
    """Smallest whole s in 0..n with F(s) >= probability; a cdf within 1e-12 of the probability counts as equal.

    Raises:
        ValueError: The probability is outside 0..1.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability must be between 0 and 1, got {probability}")
    return min(int(np.searchsorted(cdf(mass), probability - _TIE)), mass.size - 1)


def expected_backorders(mass: Mass) -> Mass:
    """Expected backorders E[(D - s)^+] = sum_{u >= s} P(D > u) for every level s = 0..n, [n + 1] units.

    Convex and falling from the mean at s = 0 to 0 at s = n; above n it is 0, below 0 it is mean - s.
    """
    above = np.cumsum(mass[::-1])[::-1][1:]  # P(D > u), u = 0..n-1, summed from the tail to keep small numbers exact
    return np.append(np.cumsum(above[::-1])[::-1], 0.0)


def backorders_at(mass: Mass, level: ArrayLike) -> NDArray[np.float64]:
    """Expected backorders E[(D - s)^+] at real levels s of any shape, units, possibly negative or fractional.

    Linear between whole levels, as the expectation itself is.
    """
    point = np.asarray(level, dtype=np.float64)
    inside = np.interp(point, np.arange(mass.size), expected_backorders(mass))
    return inside + np.maximum(-point, 0.0)


def mean(mass: Mass) -> float:
    """Mean of a mass function, units."""
    return float(np.arange(mass.size) @ mass)


def std(mass: Mass) -> float:
    """Standard deviation of a mass function, units."""
    return float(np.sqrt((np.arange(mass.size) - mean(mass)) ** 2 @ mass))


def _trim(mass: Mass) -> Mass:
    """Without trailing zeros; at least one entry is left."""
    return mass[: int(np.flatnonzero(mass)[-1]) + 1]


def transform_length(size: int) -> int:
    """The power of two that a Fourier transform of `size` numbers is padded to."""
    return 1 << max(size - 1, 0).bit_length()


def _clean(mass: Mass) -> Mass:
    """Back from a transform: rounding noise to zero, trailing zeros away, sum 1."""
    kept = np.where(mass < _FFT_NOISE, 0.0, mass)
    return _trim(kept / kept.sum())
