"""Demand that sales do not show: on days that ran out of stock, demand was at least what was sold.

Source: Kaplan & Meier (1958), Nonparametric estimation from incomplete observations; for lost sales Nahmias (1994).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def kaplan_meier(values: Array, censored: NDArray[np.bool_]) -> tuple[Array, Array]:
    """The law of what was only sometimes observed to its end: P(D > v) = prod_(u <= v) (1 - d_u / n_u).

    Args:
        values: [n] observed demand, or what it was at least.
        censored: [n] whether it was at least that.

    Returns:
        The values v at which something was observed to its end, ascending, and P(D > v) for each.
    """
    support = np.unique(values[~censored])
    ended = np.array([(values[~censored] == value).sum() for value in support], dtype=np.float64)
    at_risk = np.array([(values >= value).sum() for value in support], dtype=np.float64)
    return support, np.cumprod(1.0 - ended / at_risk, dtype=np.float64)


def completed(values: Array, censored: NDArray[np.bool_]) -> Array:
    """The same days with E[D | D >= what was sold] where the stock ran out, [n].

    What lies beyond the largest demand that was seen cannot be estimated: all of it counts as that demand.
    """
    ahead = np.spacing(np.abs(values).max(initial=1.0)) * 4  # it was at least v: more than what lies just below v
    support, survival = kaplan_meier(np.where(censored, values - ahead, values), censored)
    found = values.copy()
    support, mass = np.append(support, values.max()), np.append(-np.diff(survival, prepend=1.0), survival[-1:])
    if not len(survival):  # stock ran out on every day
        return found
    for place in np.flatnonzero(censored):
        tail = support >= values[place]
        if (chance := mass[tail].sum()) > 0:
            found[place] = max(values[place], float(support[tail] @ mass[tail] / chance))
    return found
