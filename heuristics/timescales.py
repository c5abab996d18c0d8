"""Learning on two timescales and more: stochastic approximation on instances small enough to know what is tracked.

Departments move parameters z_i by steps of their own along noisy drifts, z_i <- z_i + a_i(n) (h_i(z) + noise). Where
the step of one vanishes against that of another, the faster one sees the slower one stand still: it tracks the point
x*(y) at which it would come to rest, and the slower one moves as if it were there already.

Source: Borkar (1997), Stochastic approximation with two time scales, Systems & Control Letters 29; rates: Konda &
Tsitsiklis (2004), Convergence rate of linear two-time-scale stochastic approximation, Annals of Applied Probability
14. [M] = Jiang et al., arXiv 2510.04272, builds its convergence theorems and the lemma on tracking on that; that they
say what stands here is our reading, and both instances are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Drift = Callable[[Array, Generator], Array]  # of parameters [n, R] of R independent runs, with noise


def follow(drift: Drift, start: ArrayLike, steps: Array, rng: Generator) -> Iterator[Array]:
    """The parameters [n, R] after each of the steps [T, n], one size for each parameter."""
    now = np.asarray(start, dtype=np.float64)
    for step in steps:
        now = now + step[:, None] * drift(now, rng)
        yield now


def exponent(at: ArrayLike, values: ArrayLike) -> float:
    """The power c of values ~ at^c: the slope of the line through their logarithms."""
    return float(np.polyfit(np.log(np.asarray(at)), np.log(np.asarray(values)), 1)[0])


@dataclass(frozen=True)
class OrderAndExposure:
    """A firm of one period: order x, and y units of demand that a recommendation brings, both learned for its profit.

    Demand is base + y + noise, the noise logistic; showing costs effort y^2 / 2; the rest is Proposition 1 of [M]. For
    a given exposure the best order is known, and so is the best exposure if orders follow it.
    """

    base: float = 30.0  # units
    spread: float = 3.3  # units, scale of the noise
    price: float = 10.0
    unit_cost: float = 5.0
    salvage: float = 2.0
    penalty: float = 2.0  # of a lost sale
    effort: float = 0.375  # money per unit^2
    response: float = 3.0  # money per unit, standard deviation of what a unit more of exposure seems to be worth

    @property
    def _at_stake(self) -> float:
        return self.price + self.penalty - self.salvage

    def best_order(self, exposure: ArrayLike) -> Array:
        """x*(y) = base + y + F^-1(rho), units."""
        ratio = (self.price + self.penalty - self.unit_cost) / self._at_stake
        best: Array = self.base + np.asarray(exposure, dtype=np.float64) + self.spread * np.log(ratio / (1.0 - ratio))
        return best

    @property
    def best_exposure(self) -> float:
        """y* = (price - unit_cost) / effort, units, where orders are x*(y)."""
        return (self.price - self.unit_cost) / self.effort

    def profit(self, order: ArrayLike, exposure: ArrayLike) -> Array:
        """Expected money of a period."""
        x, y = np.asarray(order, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
        short = self.spread * np.logaddexp(0.0, (self.base + y - x) / self.spread)
        earned = (self.price - self.salvage) * (self.base + y) - self._at_stake * short
        result: Array = earned - (self.unit_cost - self.salvage) * x - self.effort * y**2 / 2
        return result

    def exposure_slope(self, order: ArrayLike, exposure: ArrayLike) -> Array:
        """Expected derivative of the profit by the exposure: what a critic has to know."""
        x, y = np.asarray(order, dtype=np.float64), np.asarray(exposure, dtype=np.float64)
        short = 1.0 / (1.0 + np.exp((x - self.base - y) / self.spread))
        return self.price - self.salvage - self._at_stake * short - self.effort * y

    def gradient(self, now: Array, rng: Generator) -> Array:
        """Derivatives of a sampled period's profit by order and exposure, [2, R] of [2, R]."""
        order, exposure = now
        short = rng.logistic(self.base, self.spread, order.shape) + exposure > order
        by_order = np.where(short, self.price + self.penalty - self.unit_cost, self.salvage - self.unit_cost)
        by_demand = np.where(short, -self.penalty, self.price - self.salvage)
        seems = rng.normal(-self.effort * exposure, self.response)
        return np.stack((by_order, by_demand + seems))

    def gradient_by_critic(self, now: Array, rng: Generator) -> Array:
        """The same where a critic smooths what the exposure goes by: critic, order, exposure, [3, R]."""
        critic, *_ = now
        by_order, by_exposure = self.gradient(now[1:], rng)
        return np.stack((by_exposure - critic, by_order, critic))


@dataclass(frozen=True)
class OwnIndicators:
    """Two departments that mind indicators of their own: y pushes what sells, x is the price it is charged for stock.

        x <- x + a (follows y - x + noise),   y <- y + b (momentum y - y^3 - charge x + noise)

    Pushing what sells makes it sell more, until the price of scarce stock rises. x*(y) = follows y. If the price is
    fast, y moves by (momentum - charge follows) y - y^3 and comes to rest. Where both move alike, rest is unstable as
    soon as b / a > 1 / momentum, and both go round for ever: the equation of van der Pol and FitzHugh.
    """

    momentum: float = 2.0
    charge: float = 1.5
    follows: float = 2.0
    noise: float = 0.3  # standard deviation

    def best_price(self, push: ArrayLike) -> Array:
        """x*(y)."""
        return self.follows * np.asarray(push, dtype=np.float64)

    @property
    def largest_ratio(self) -> float:
        """The largest b / a for which both come to rest, from the trace of the linear part."""
        return 1.0 / self.momentum

    def drift(self, now: Array, rng: Generator) -> Array:
        """[2, R] of price and push, [2, R]."""
        price, push = now
        pull = np.stack((self.follows * push - price, self.momentum * push - push**3 - self.charge * price))
        return pull + rng.normal(0.0, self.noise, now.shape)
