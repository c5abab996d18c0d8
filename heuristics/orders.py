"""Orders in whole packs and of at least a minimum, under base-stock: what they overshoot the level by."""

from __future__ import annotations

import numpy as np

from heuristics.mass import Mass, convolve, mean, quantile

_STATES = 400  # of a chain that is solved


def overshoot(demand: Mass, multiple: int, least: int) -> Mass:
    """By how many units the position after ordering exceeds a base-stock level, in the long run; 0..least - 1 units.

    Below the level the smallest order of whole packs, and of `least` units, that reaches it is placed. Without a
    minimum beyond a pack every overshoot below a pack is equally likely (Hadley & Whitin 1963, Analysis of Inventory
    Systems, section 5-3), as long as demand is not in packs itself; with one it is the stationary law of a Markov
    chain. Of minima of more than 400 units it is taken as even below the minimum, or below a pack where demand is more.

    Args:
        demand: from one review to the next, units.
        multiple: units a pack, at least 1.
        least: the smallest order, whole packs.
    """
    if least <= multiple or least > _STATES or demand[0] >= 1.0:
        size = multiple if least <= multiple or mean(demand) >= least else least
        return np.full(size, 1.0 / size)
    state, asked = np.arange(least)[:, None], np.arange(len(demand))
    short = asked - state  # below the level
    order = np.where(short > 0, np.maximum(least, -(-short // multiple) * multiple), 0)
    moves = np.zeros((least, least))
    np.add.at(moves, (np.broadcast_to(state, short.shape), order - short), np.broadcast_to(demand, short.shape))
    balance = np.vstack((moves.T - np.eye(least), np.ones(least)))
    stationary, *_ = np.linalg.lstsq(balance, np.append(np.zeros(least), 1.0), rcond=None)
    even = np.maximum(stationary, 0.0)
    return np.asarray(even / even.sum())


def level_below(needed: Mass, over: Mass, ratio: float) -> int:
    """The smallest level that with its overshoot meets what is needed with a probability of at least `ratio`, units.

    It is the newsvendor's: least average cost where what is at hand is the level and the overshoot. It may be negative.
    """
    return quantile(convolve(needed, over[::-1]), ratio) - (len(over) - 1)
