"""Serial systems: Shang and Song's closed-form echelon levels, and the exact optimum of Clark and Scarf.

Stages are listed downstream first: stage 1 (index 0) faces the customer, the last one buys from outside. Local holding
costs h'_1 > h'_2 > ... are per unit and period at each stage; the echelon holding cost of stage j is h'_j - h'_{j+1}.

Which interval a stage needs depends on the world. In textbooks it is the lead time. In the firm's world an order placed
in period t meets the demands of t..t + lead_time; installation rules pass news one stage per period, so every stage
protects lead_time + 1 periods. Under echelon rules all stages see the demand at once: stage 1 protects lead_time + 1
periods and each further stage only lead_time (see ``clark_scarf``).

Throughout, `demands` [N] are mass functions of the demand over each stage's own interval, `local_holding_cost` [N] is
h'_1 >= h'_2 >= ... >= 0 and `backorder_cost` p > 0, per unit and period backordered at stage 1. Anything else, lengths
that differ included, is a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from heuristics.mass import Mass, convolve, mean, quantile, transform_length

Vector = NDArray[np.float64]


def shang_song(
    quantiles: Sequence[Callable[[float], float]], local_holding_cost: ArrayLike, backorder_cost: float
) -> Vector:
    """Echelon base-stock levels S_j = (F_j^-1((p + h'_{j+1}) / (p + h'_1)) + F_j^-1((p + h'_{j+1}) / (p + h'_j))) / 2.

    The average of the newsvendor levels of two single-stage systems that bound the serial one; h'_{N+1} = 0. [N] units,
    not rounded. `quantiles` [N] are the inverse cdfs F_j^-1 of the demand over the intervals of stages 1..j together.

    Source: Shang & Song (2003), Newsvendor bounds and heuristic for optimal policies in serial supply chains,
        Management Science 49(5); equation as in Snyder & Shen, section 6.2.
    """
    local = _checked_holding_cost(local_holding_cost, len(quantiles), backorder_cost)
    upper = backorder_cost + np.append(local[1:], 0.0)
    low_ratio, high_ratio = upper / (backorder_cost + local[0]), upper / (backorder_cost + local)
    bounds = zip(quantiles, low_ratio, high_ratio, strict=True)
    return np.array([(ppf(float(low)) + ppf(float(high))) / 2 for ppf, low, high in bounds])


def shang_song_mass(demands: Sequence[Mass], local_holding_cost: ArrayLike, backorder_cost: float) -> Vector:
    """``shang_song`` for mass functions: [N] echelon levels, whole or half units."""
    quantiles = [partial(quantile, law) for law in accumulate(demands, convolve)]
    return shang_song(quantiles, local_holding_cost, backorder_cost)


def local_levels(echelon_level: ArrayLike) -> Vector:
    """Local base-stock levels s_1 = S_1, s_j = S_j - S_{j-1} of echelon levels [N], units.

    Negative where an upstream stage should hold back orders.

    Source: Rong, Atan & Snyder (2017), step 2 of decomposition-aggregation. Where echelon levels fall upstream, the
        equivalent installation policy needs min(S_j, S_{j+1}, ...) first; the heuristic does without, and so do we.
    """
    return np.diff(np.asarray(echelon_level, dtype=np.float64), prepend=0.0)


class SerialOptimum(NamedTuple):
    """The optimal echelon base-stock policy of a serial system and what it costs per period."""

    echelon_level: Vector  # [N] units
    cost: float  # average per period, units in transit between stages included at the upstream stage's rate


def clark_scarf(
    demands: Sequence[Mass], local_holding_cost: ArrayLike, backorder_cost: float, *, step: float = 1.0
) -> SerialOptimum:
    """Exact optimum of a serial system with backorders, by induced penalties from the customer upwards.

    With echelon costs h_j, C^_j(x) = h_j x + C_{j-1}(min(S_{j-1}, x)), C^_1(x) = h_1 x + (p + h'_1) x^-,
    C_j(y) = E[C^_j(y - D_j)], S_j = argmin C_j; the cost of the system is C_N(S_N). Holding costs must fall strictly,
    to above 0. An entry of a mass function is `step` units, below 1 for finely discretised continuous demand.

    In the firm's world (module docstring) with fixed lead times L_j, pass the demand over L_1 + 1 periods for stage 1
    and over L_j periods for j > 1. Then ``echelon_level`` is optimal there, and the world's cost, which counts
    upstream stock one period later and stock in transit not at all, is ``cost`` - m (h'_2 + sum_{j>1} h'_j L_{j-1}) for
    mean demand m per period.

    Source: Clark & Scarf (1960); Chen & Zheng (1994); recursion as in Snyder & Shen, section 6.2, equations 6.3-6.6.
    """
    local = _checked_holding_cost(local_holding_cost, len(demands), backorder_cost)
    echelon = local - np.append(local[1:], 0.0)
    if not (echelon > 0).all():
        raise ValueError(
            f"local_holding_cost must fall strictly upstream to above 0 for an optimum to exist, got {local.tolist()}"
        )
    reach = sum(demand.size - 1 for demand in demands)
    position = step * np.arange(-reach, reach + 1)  # the grid of levels; below it every function is linear
    penalty = (backorder_cost + local[0]) * np.maximum(-position, 0.0)
    level = np.empty(len(demands))
    cost = 0.0
    for stage, demand in enumerate(demands):
        expected = _expectation_below(demand, echelon[stage] * position + penalty)
        best = int(np.argmin(expected))
        level[stage], cost = position[best], float(expected[best])
        penalty = np.where(np.arange(expected.size) < best, expected, expected[best])
    return SerialOptimum(level, cost)


def _expectation_below(demand: Mass, values: Vector) -> Vector:
    """E[f(y - D)] on the grid of f, which goes on linearly below the grid."""
    slope = values[1] - values[0]
    line = values[0] + slope * np.arange(values.size)
    bent = values - line  # zero below the grid, so the convolution needs nothing from there
    length = transform_length(values.size + demand.size - 1)
    product = np.fft.irfft(np.fft.rfft(bent, length) * np.fft.rfft(demand, length), length)[: values.size]
    expected: Vector = line - slope * mean(demand) + product
    return expected


def _checked_holding_cost(local_holding_cost: ArrayLike, stages: int, backorder_cost: float) -> Vector:
    local = np.asarray(local_holding_cost, dtype=np.float64)
    if stages == 0 or local.shape != (stages,):
        raise ValueError(
            f"local_holding_cost must have one entry for each of the {stages} stages, got {local.tolist()}"
        )
    if not backorder_cost > 0:
        raise ValueError(f"backorder_cost must be above 0, got {backorder_cost}; otherwise no stock is ever worth it")
    if not (local >= 0).all() or (np.diff(local) > 0).any():
        raise ValueError(
            f"local_holding_cost must be >= 0 and not rise upstream (stage 1, most downstream, first), "
            f"got {local.tolist()}"
        )
    return local
