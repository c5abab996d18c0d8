"""Tuned levels: integer pattern search on a simulated cost with common random numbers.

The simulator evaluates many candidates at once, so the search is built of few wide rounds. Every candidate meets the
same demands, lead times and choices of supplier; differences are taken episode by episode, which removes most noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, product
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Levels = NDArray[np.int64]
Costs = NDArray[np.float64]
Simulator = Callable[[Levels], Costs]  # [M, n] levels -> [M, episodes] costs on common random numbers

_FULL_FACTORIAL_GROUPS = 3  # up to 3^3 = 27 joint moves; beyond, groups move alone and in pairs
_FINER = 8  # times as small steps of every block begin as those of groups
_COMBINED = 8  # how many of a round's good moves are tried together


class TunedLevels(NamedTuple):
    """What the search found."""

    levels: Levels  # [n] the best levels found, whole units
    mean: float  # cost at these levels over the search's episodes; slightly flattering, as the winner's always is
    standard_error: float  # of that mean
    evaluations: int  # different candidates simulated
    rounds: int  # calls of the simulator


def tune_levels(
    start: ArrayLike,
    cost: Simulator,
    groups: Sequence[Sequence[int]] | None = None,
    *,
    blocks: Sequence[Sequence[int]] | None = None,
    max_level: ArrayLike | None = None,
    first_step: int | None = None,
    last_step: int = 1,
    significance: float = 1.0,
    max_rounds: int = 200,
    go_on: Callable[[], bool] = lambda: True,
) -> TunedLevels:
    """Search the levels of least mean simulated cost from a starting point.

    Coarse part, from all starts side by side: whole groups (the echelons) move by a step together and against each
    other; after a round without improvement the step is halved, down to the last one. Fine part, from the best of
    these ends and with a small step: the same with every block's own moves and the best moves combined. A move that
    helped is tried again doubled. The new levels must beat the old in the mean of paired differences by
    ``significance`` standard errors of that mean.

    Args:
        start: [n] levels to start from, whole units >= 0, or [starts, n].
        cost: simulator: [M, n] int64 levels -> [M, episodes] costs; episode e must be driven by the same random
            numbers for every candidate and in every call.
        groups: index groups that move together at first, typically the echelons; default all points as one group.
            They may overlap and need not cover all points.
        blocks: index groups that move together to the end, such as retailers known to be alike; default every point
            alone. An empty list leaves the fine part out.
        max_level: largest level, a number or [n]; default none.
        first_step: first step of the search, units; default the power of 2 at about a half of the largest start level.
        last_step: last step of both parts, units.
        significance: standard errors by which a move must win; 0 takes every gain in the sample mean.
        max_rounds: largest number of calls of the simulator.
        go_on: asked before every round; False ends the search with what it has found.

    Returns:
        The levels found and the record of the search.

    Raises:
        ValueError: If an index, level, step or limit is out of range, or the simulator returns a wrong shape or
            costs that are not finite.

    Source: pattern search of Hooke & Jeeves (1961) with common random numbers; joint group moves are our addition.
    """
    starts = np.atleast_2d(np.array(start, dtype=np.int64))
    if starts.ndim != 2 or starts.size == 0 or (starts != np.atleast_2d(np.asarray(start))).any() or (starts < 0).any():
        raise ValueError(f"start must be an array of whole levels >= 0, got {np.asarray(start).tolist()}")
    levels = starts[0]
    step = first_step if first_step is not None else 1 << max(int(starts.max()) // 2, 1).bit_length() - 1
    if min(step, last_step, max_rounds) < 1:
        told = f"{step}, {last_step} and {max_rounds}"
        raise ValueError(f"first_step, last_step and max_rounds must be at least 1, got {told}")
    limit = np.broadcast_to(np.inf if max_level is None else np.asarray(max_level, dtype=np.float64), levels.shape)
    if (limit < starts).any():
        raise ValueError(f"start must not exceed max_level, got {starts.tolist()} above {limit.tolist()}")
    joint = _joint_moves(_indicators([range(levels.size)] if groups is None else groups, levels.size))
    blocks = [[i] for i in range(levels.size)] if blocks is None else blocks
    single = _indicators(blocks, levels.size) if len(blocks) else joint[:0]
    seen = _Simulated(cost, max_rounds, go_on)
    begun = [_Search(seen, one, limit, significance, last_step) for one in starts]
    seen.follow([search.descend(joint, step, combine=False) for search in begun])
    search = min(begun, key=lambda search: search.mean)
    if len(single):
        moves = np.concatenate([joint, single, -single])
        seen.follow([search.descend(moves, max(step // _FINER, last_step), combine=True)])
    return search.result()


class _Simulated:
    """Every cost seen, and the simulator that told it."""

    def __init__(self, cost: Simulator, max_rounds: int, go_on: Callable[[], bool]) -> None:
        self.cost, self.max_rounds, self.go_on = cost, max_rounds, go_on
        self.costs: dict[bytes, Costs] = {}
        self.rounds = 0

    def __getitem__(self, levels: Levels) -> Costs:
        return self.costs[levels.tobytes()]

    def follow(self, ways: Iterable[Iterator[Levels]]) -> None:
        """Go all ways to their ends, side by side; what each asks for has been simulated when it goes on."""
        going = [(way, next(way)) for way in ways]
        while going and (self.rounds == 0 or (self.rounds < self.max_rounds and self.go_on())):
            self.simulate(np.concatenate([candidates for _, candidates in going]))
            asked = [(way, next(way, None)) for way, _ in going]
            going = [(way, candidates) for way, candidates in asked if candidates is not None]

    def simulate(self, candidates: Levels) -> None:
        """See those that have not been seen before."""
        fresh = np.array([row for row in np.unique(candidates, axis=0) if row.tobytes() not in self.costs])
        if not fresh.size:
            return
        costs = np.asarray(self.cost(fresh), dtype=np.float64)
        if costs.ndim != 2 or costs.shape[0] != len(fresh) or costs.shape[1] == 0:
            raise ValueError(
                f"cost must return [{len(fresh)}, episodes] for {len(fresh)} candidates, got {costs.shape}"
            )
        if not np.isfinite(costs).all():
            raise ValueError("cost must return finite numbers, got nan or infinity")
        self.rounds += 1
        self.costs.update((row.tobytes(), values) for row, values in zip(fresh, costs, strict=True))


class _Search:
    """The best levels on one way so far."""

    def __init__(
        self, seen: _Simulated, start: Levels, limit: NDArray[np.float64], significance: float, last_step: int
    ) -> None:
        self.seen, self.limit, self.significance, self.last_step = seen, limit, significance, last_step
        self.best = start

    def descend(self, moves: Levels, step: int, *, combine: bool) -> Iterator[Levels]:
        """Step along the moves while that helps, halving the step when it doesn't, until the last one fails."""
        yield self.best[None]
        last = np.zeros_like(self.best)
        while True:
            before = self.best
            candidates = self.inside(np.concatenate([before + step * moves, (before + 2 * last)[None]]))
            yield candidates
            gains = self.gains(candidates, before)
            if combine and np.count_nonzero(gains > 0) > 1:
                good = np.argsort(-gains)[: min(_COMBINED, np.count_nonzero(gains > 0))]
                together = self.inside(before + np.cumsum(candidates[good] - before, axis=0))
                yield together
                candidates = np.concatenate([candidates, together])
                gains = self.gains(candidates, before)
            if gains.max() > 0:
                self.best = candidates[np.argmax(gains)]
                last = self.best - before
            elif step <= self.last_step:
                return
            else:
                step, last = step // 2, np.zeros_like(last)

    def inside(self, candidates: Levels) -> Levels:
        """Candidates brought into the limits."""
        return np.clip(candidates, 0, self.limit).astype(np.int64)

    def gains(self, candidates: Levels, before: Levels) -> NDArray[np.float64]:
        """Mean saving over ``before`` per candidate, [M]; 0 where it is not significant."""
        base = self.seen[before]
        saving = base - np.array([self.seen[row] for row in candidates])
        mean = saving.mean(axis=1)
        return np.where(mean > self.significance * saving.std(axis=1) / sqrt(base.size), mean, 0.0)

    @property
    def mean(self) -> float:
        """Cost of the best levels."""
        return float(self.seen[self.best].mean())

    def result(self) -> TunedLevels:
        costs = self.seen[self.best]
        error = float(costs.std(ddof=1)) / sqrt(costs.size) if costs.size > 1 else float("nan")
        return TunedLevels(self.best, self.mean, error, len(self.seen.costs), self.seen.rounds)


def _indicators(groups: Iterable[Iterable[int]], points: int) -> Levels:
    """[groups, points] 1 where the point belongs to the group."""
    rows = [list(group) for group in groups]
    if not rows or not all(row and all(0 <= index < points for index in row) for row in rows):
        raise ValueError(f"groups and blocks must be non-empty lists of indices 0..{points - 1}, got {rows}")
    indicator = np.zeros((len(rows), points), dtype=np.int64)
    for indices, row in zip(rows, indicator, strict=True):
        row[indices] = 1
    return indicator


def _joint_moves(group: Levels) -> Levels:
    """[moves, points] of groups up, down or still: every combination if they are few, else alone and in pairs."""
    count = len(group)
    if count <= _FULL_FACTORIAL_GROUPS:
        signs = np.array([sign for sign in product((-1, 0, 1), repeat=count) if any(sign)])
    else:
        unit = np.eye(count, dtype=np.int64)
        pairs = [
            a * unit[i] + b * unit[j] for i, j in combinations(range(count), 2) for a, b in product((-1, 1), repeat=2)
        ]
        signs = np.concatenate([unit, -unit, np.array(pairs)])
    return signs @ group
