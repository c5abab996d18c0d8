"""Tuned levels, the last steps: no neighbour in one or two levels is better, as far as many episodes can tell.

Around an optimum the mean cost is nearly a quadratic. Its slopes and curvatures are measured on few episodes, all
neighbours are ranked by it at no cost, and the most promising ones are simulated on more and more episodes. All
candidates meet the same episodes, so differences are precise, and the search cannot run in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Levels = NDArray[np.int64]
Costs = NDArray[np.float64]
Sampled = Callable[[Levels, int], Costs]  # [M, n] levels, episodes -> [M, episodes]; fewer episodes are the first ones

REACH = 4  # units by which a neighbour differs in one or two levels
_FAR = 32  # units by which a level moves at once, at most
_SPAN = 2  # units over which slopes and curvatures are measured
_TRIALS = 24  # neighbours of a round that are simulated at all
_LEFT = (8, 2, 1)  # of these, after the last three numbers of episodes


def polish_levels(
    start: ArrayLike,
    cost: Sampled,
    *,
    episodes: Sequence[int] = (512, 2048, 16_384),
    max_level: ArrayLike | None = None,
    max_rounds: int = 24,
    go_on: Callable[[], bool] = lambda: True,
) -> Levels:
    """Improve levels until no neighbour that a quadratic model finds promising is better.

    Args:
        start: [n] levels, whole units >= 0, near an optimum.
        cost: simulator on common random numbers: [M, n] levels and a number of episodes -> [M, episodes] costs.
        episodes: ever more of them. Curvatures are of the first ones; slopes too until no neighbour is better on the
            second ones, then of these until none is on the third, and so on.
        max_level: largest level, a number or [n]; default none.
        max_rounds: steps at most with each number of episodes.
        go_on: asked before every step; False ends the search with what it has found.

    Returns:
        [n] levels.

    Source: ours; response surfaces after Box & Wilson (1951), common random numbers.
    """
    best = np.asarray(start, dtype=np.int64)
    limit = np.broadcast_to(np.inf if max_level is None else np.asarray(max_level, dtype=float), best.shape)
    centre, around = None, neighbours(best.size)
    for last in range(2, len(episodes) + 1):
        for _ in range(max_rounds):
            if not go_on():
                return best
            if centre is None or np.abs(best - centre).max() > REACH:  # the model is of too far away
                centre, curvature = best, _curvature(best, cost, episodes[0])
            slope = _slope(best, cost, episodes[last - 2], curvature)
            moves = np.concatenate([_downhill(slope, curvature), around])
            moves = moves[((best + moves >= 0) & (best + moves <= limit)).all(1)]
            ranked = best + moves[np.argsort(_predicted(moves, slope, curvature), kind="stable")]
            better = _best(best, ranked, cost, episodes[:last])
            if better is None:
                break
            best = better
    return best


def neighbours(size: int, reach: int = REACH) -> Levels:
    """All moves by 1 to `reach` units in one or two of `size` levels, [M, size]."""
    units = [unit for unit in range(-reach, reach + 1) if unit]
    single = np.concatenate([unit * np.eye(size, dtype=np.int64) for unit in units])
    pairs = np.array(list(combinations(range(size), 2)), dtype=np.int64).reshape(-1, 2)
    both = np.zeros((len(units) ** 2, len(pairs), size), dtype=np.int64)
    for move, (one, other) in zip(both, ((a, b) for a in units for b in units), strict=True):
        np.put_along_axis(move, pairs[:, :1], one, 1)
        np.put_along_axis(move, pairs[:, 1:], other, 1)
    return np.concatenate([single, both.reshape(-1, size)])


def _means(points: Levels, cost: Sampled, episodes: int) -> Costs:
    return np.asarray(cost(np.maximum(points, 0), episodes).mean(1), dtype=np.float64)


def _curvature(best: Levels, cost: Sampled, few: int) -> Costs:
    """Second differences, [n, n]."""
    size = best.size
    step = _SPAN * np.eye(size, dtype=np.int64)
    pairs = list(combinations(range(size), 2))
    corners = [sign * (step[i] + step[j]) for i, j in pairs for sign in (1, -1)]
    moves = np.array([0 * best, *step, *-step, *corners])
    found = _means(best + moves, cost, few)
    base, up, down = found[0], found[1 : size + 1], found[size + 1 : 2 * size + 1]
    matrix = np.diag(up + down - 2 * base)
    for (i, j), (both_up, both_down) in zip(pairs, found[2 * size + 1 :].reshape(-1, 2), strict=True):
        matrix[i, j] = matrix[j, i] = (both_up + both_down + 2 * base - up[i] - up[j] - down[i] - down[j]) / 2
    return np.asarray(matrix / _SPAN**2, dtype=np.float64)


def _slope(best: Levels, cost: Sampled, few: int, curvature: Costs) -> Costs:
    """First differences, [n]; of a level near 0, which goes up alone, less what the curvature explains."""
    step = _SPAN * np.eye(best.size, dtype=np.int64)
    found = _means(best + np.concatenate([step, -step, 0 * step[:1]]), cost, few)
    up, down, base = found[: best.size], found[best.size : -1], found[-1]
    forward = (up - base) / _SPAN - np.diag(curvature) * _SPAN / 2
    return np.asarray(np.where(best >= _SPAN, (up - down) / (2 * _SPAN), forward), dtype=np.float64)


def _predicted(moves: Levels, slope: Costs, curvature: Costs) -> Costs:
    """Change of the mean cost, [M]."""
    return np.asarray(moves @ slope + 0.5 * (moves @ curvature * moves).sum(1), dtype=np.float64)


def _downhill(slope: Costs, curvature: Costs) -> Levels:
    """The way to the model's lowest point unit by unit, as moves of 1, 2, 3, ... units, [M, n]."""
    move, way = np.zeros(slope.size, dtype=np.int64), [np.zeros(slope.size, dtype=np.int64)]
    steps = np.concatenate([np.eye(slope.size, dtype=np.int64), -np.eye(slope.size, dtype=np.int64)])
    for _ in range(_FAR * slope.size):
        gains = _predicted(move + steps, slope, curvature)
        if gains.min() >= _predicted(move[None], slope, curvature)[0]:
            break
        move = move + steps[np.argmin(gains)]
        if np.abs(move).max() > _FAR:
            break
        way.append(move)
    return np.array(way[:0:-1] or way)[:: max(len(way) // 6, 1)]


def _best(before: Levels, ranked: Levels, cost: Sampled, episodes: Sequence[int]) -> Levels | None:
    """The best of the first candidates on ever more episodes, if it beats what was; None otherwise."""
    chosen = ranked[(ranked != before).any(1)][:_TRIALS]
    for some, left in zip(episodes[-len(_LEFT) :], _LEFT[-len(episodes) :], strict=True):
        if len(chosen) == 0:
            return None
        chosen = chosen[np.argsort(_means(chosen, cost, some), kind="stable")[:left]]
    after, was = _means(np.stack([chosen[0], before]), cost, episodes[-1])
    return chosen[0] if after < was else None
