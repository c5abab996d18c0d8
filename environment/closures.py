"""Closed days: when what is ordered or under way on an edge gets on, and how long lead times are with them (ours).

A lead time counts days on which the edge, its supplier and its customer are all open. What is ordered, or leaves, on a
closed day counts as of the next open one; from then on only open days count, so it arrives on an open day, too. The
plainest reading of "five working days"; who is closed still sells and ships what its demand and orders say.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from environment.parts import ClosedDays

Periods = NDArray[np.int64]
Calendar = tuple[ClosedDays, ...]  # of all who have to be open on an edge


class Closures:
    """Of every edge and product the days on which nothing gets on."""

    def __init__(self, calendars: list[list[Calendar]]) -> None:
        """Read them, [Ed][K]."""
        self._calendars = list(dict.fromkeys(each for row in calendars for each in row))  # A different ones
        place = {calendar: a for a, calendar in enumerate(self._calendars)}
        self.of = np.array([[place[each] for each in row] for row in calendars])  # [Ed, K], of A
        self._steady = dict[tuple[int, int], Periods]()  # what was counted before
        every = [own for each in self._calendars for own in each]
        self.ever = bool(every)
        self.cycle = math.lcm(1, *self.lengths())  # periods until days begin again, after
        self.lead_in = 1 + max((period for own in every for period in own.periods), default=-1)  # those that never do

    def lengths(self) -> set[int]:
        """Of cycles with closed days, in periods."""
        return {own.cycle for each in self._calendars for own in each if own.days}

    def phase(self, period: int | Periods) -> Periods:
        """The row of `times` of a period, or of many."""
        again = self.lead_in + (np.asarray(period) - self.lead_in) % self.cycle
        return np.asarray(np.where((np.asarray(period) >= 0) & (period < self.lead_in), period, again))

    def times(self, longest: int) -> NDArray[np.int32]:
        """Periods that lead times of 0 to `longest` open days take, by calendar and phase, [A, phases, longest + 1].

        Raises:
            ValueError: a calendar has no open day.
        """
        return np.stack([self._times(calendar, longest).astype(np.int32) for calendar in self._calendars])

    def steady(self, edge: int, product: int, longest: int) -> Periods:
        """The same of one edge and product, of the periods of a cycle behind all that never return, from its start."""
        key = int(self.of[edge, product]), longest
        if key not in self._steady:
            self._steady[key] = self._times(self._calendars[key[0]], longest)[self.lead_in :]
        return self._steady[key]

    def shut(self, edge: int, product: int) -> bool:
        """Whether anybody is ever closed there."""
        return bool(self._calendars[self.of[edge, product]])

    def _times(self, calendar: Calendar, longest: int) -> Periods:
        phases = self.lead_in + self.cycle
        horizon = phases + (longest + 2) * math.lcm(1, *(own.cycle for own in calendar if own.days))
        period = np.arange(horizon)
        open_ = np.ones(horizon, dtype=bool)
        for own in calendar:
            open_ &= ~np.isin(period % own.cycle, own.days)
            open_[[at for at in own.periods if at < horizon]] = False
        if not open_[self.lead_in :].any():
            raise ValueError("closed_days leave no open day")
        days = np.flatnonzero(open_)
        begins = np.searchsorted(days, period[:phases])
        return np.asarray(days[begins[:, None] + np.arange(longest + 1)] - period[:phases, None])
