"""A planner's calendar: on which weekdays and dates orders are taken and places closed, and what that means day by day.

Days are counted from a Monday on, so that periods of a firm with tables are weekdays, see `period_of`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Periods = NDArray[np.int64]

_WEEKDAYS = (
    *("monday montag", "tuesday dienstag", "wednesday mittwoch", "thursday donnerstag"),
    *("friday freitag", "saturday samstag sonnabend", "sunday sonntag"),
)


class Closed(NamedTuple):
    """When somebody is closed without whom nothing gets on."""

    days: tuple[int, ...] = ()  # weekdays, Monday 0
    dates: tuple[int, ...] = ()  # as periods


class Rhythm(NamedTuple):
    """When a stock point orders an item, and how it comes."""

    lead_time: int  # days that are open, see `environment.closures`
    review_days: tuple[int, ...] = ()  # weekdays on which orders are taken; (): any
    review_period: int = 1  # days from one order to the next, where no weekdays are told
    closed: Closed = Closed()

    @property
    def steady(self) -> bool:
        """Whether all days are alike."""
        return not any(self.closed) and not self.review_days and self.review_period == 1

    def wait(self, first: int, periods: int) -> Periods:
        """Days from each morning until what its review orders is there, or else that of the next review, [T]."""
        return self._there(first, periods, "left")

    def interval(self, first: int, periods: int) -> Periods:
        """Days from each morning until what the review after it orders is there, [T]: what an order has to last for."""
        return self._there(first, periods, "right")

    def _there(self, first: int, periods: int, side: str) -> Periods:
        morning = first + np.arange(periods)
        shut = 7 * (self.lead_time + 2 + sum(date >= first for date in self.closed.dates))  # one day a week is open
        day = first + np.arange(periods + 7 + self.review_period + shut)
        on = np.isin(day % 7, self.review_days) if self.review_days else day % self.review_period == 0
        reviews = day[on]
        placed = reviews[np.searchsorted(reviews, morning, side=side)]  # type: ignore[call-overload]
        open_ = day[~np.isin(day % 7, self.closed.days) & ~np.isin(day, self.closed.dates)]
        return np.asarray(open_[np.searchsorted(open_, placed) + self.lead_time] - morning, dtype=np.int64)


def period_of(day: np.datetime64) -> int:
    """The number of a day as a period of the firm: those since a Monday."""
    return int((day - np.datetime64("1970-01-05", "D")).astype(int))


def weekdays(text: str) -> tuple[int, ...]:
    """Weekdays by name, English or German, two letters at least, in order, Monday 0: `Mon Thu` is (0, 3).

    Raises:
        ValueError: something else is written.
    """
    found = set[int]()
    for word in re.findall(r"\w+", text.casefold()):
        fits = [n for n, names in enumerate(_WEEKDAYS) if len(word) > 1 and re.search(rf"\b{word}", names)]
        if not fits:
            raise ValueError(f" must be weekdays such as 'Mon Thu', got {text!r}")
        found.add(fits[0] if word != "so" else 6)
    return tuple(sorted(found))
