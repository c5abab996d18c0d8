"""Days of history in blocks: episodes that keep what hangs together, weekday and season, and differ all the same."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from environment.fields import Checked, whole

Array = NDArray[np.float64]
Days = NDArray[np.datetime64]
Rows = NDArray[np.int64]


class Blocks(Checked):
    """Rows of history are played in blocks, drawn with replacement: the moving block bootstrap.

    Source: Künsch (1989), The jackknife and the bootstrap for general stationary observations; that blocks keep their
    place in a week and in a year is ours.
    """

    periods: Annotated[int, whole(1, 1000)] = 28  # of a block: four whole weeks
    cycle: Annotated[int, whole(1, 1000)] = 7  # periods of a cycle in which every row keeps its place; 1: none
    first: Annotated[int, whole(0, 999)] = 0  # place of the first row in it: of days, 0 is Monday
    season: Annotated[int | None, whole(2, 100_000, optional=True)] = None  # periods of a year; None: none is kept
    within: Annotated[int, whole(0, 1000)] = 45  # periods of a year by which a block may lie earlier or later

    @model_validator(mode="after")
    def _first_lies_in_the_cycle(self) -> Self:
        if self.first >= self.cycle:
            raise ValueError(f".first must be below cycle ({self.cycle}), got {self.first}")
        return self

    @property
    def least(self) -> int:
        """How many rows there must be: two blocks, and with a season a year and what may lie later."""
        return max(2 * self.periods, self.periods + self.cycle, (self.season or -self.within) + self.within)

    def rows(self, count: int, place: Rows, periods: int, rng: np.random.Generator) -> Rows:
        """Which rows stand for the periods from a place of history on, [T, E].

        All demands take the same ones, so that what hangs together stays together.

        Args:
            count: of rows there are.
            place: [E] the row that the first period is like, perhaps beyond the last one: by cycle and season.
            periods: T.
            rng: draws the blocks, one from each of E equal parts of history.
        """
        copies, starts = len(place), np.arange(count - self.periods + 1)
        found = np.empty((periods, copies), dtype=np.int64)
        for begin in range(0, periods, self.periods):
            share = (rng.permutation(copies) + rng.random(copies)) / copies
            for like in np.unique(place):
                own = place == like
                among = self._alike(starts, int(like) + begin)
                chosen = among[(share[own] * len(among)).astype(np.int64)]
                rows = min(self.periods, periods - begin)
                found[begin : begin + rows, own] = chosen + np.arange(rows)[:, None]
        return found

    def _alike(self, starts: Rows, place: int) -> Rows:
        """Where blocks may begin that stand for a place."""
        fits: Rows = starts[(starts - place) % self.cycle == 0]
        if self.season is None:
            return fits
        half = self.season // 2
        near: Rows = fits[np.abs((fits - place + half) % self.season - half) <= self.within]
        return near if len(near) else fits

    def episodes(self, count: int, periods: int, copies: int, rng: np.random.Generator, start: int | None) -> Rows:
        """Rows of episodes, [T, E], of which each is like another part of the year.

        Args:
            count: of rows there are.
            periods: T; one alone, of a firm in operation, which goes on from day to day, is the next row of history.
            copies: E.
            rng: draws.
            start: number of the first period, whose place in the cycle it takes; None: 0, like a day that is drawn. Of
                stretches that go on each copy keeps its part of the year.
        """
        whole_cycles = count - count % self.cycle
        if periods == 1 and start is not None:
            return np.full((1, copies), (start - self.first) % whole_cycles)
        place = np.full(copies, (start or 0) - self.first)
        if self.season is not None:
            mondays = np.arange(-self.first % self.cycle, count, self.cycle)
            share = (np.arange(copies) + 0.5) / copies if start is not None else rng.random(copies)
            place = mondays[(share * len(mondays)).astype(np.int64)] + (start or 0)
        return self.rows(count, place, periods, rng)


def weekdays_of(days: Days) -> Rows:
    """0 for Monday to 6 for Sunday."""
    return np.asarray((days.astype("datetime64[D]").astype(np.int64) + 3) % 7)


def filled(demand: Array, days: Days) -> Array:
    """Days of which nothing is known as the mean of their weekday, [T, ...]."""
    unknown = np.isnan(demand)
    if not unknown.any():
        return demand
    day, found = weekdays_of(days), demand.copy()
    total = np.nan_to_num(demand)
    for number in range(7):
        here = day == number
        known = (~unknown[here]).sum(0)
        mean = total[here].sum(0) / np.maximum(known, 1)
        found[here] = np.where(unknown[here], np.rint(mean), demand[here])
    return found
