"""Weekday profiles, forecasts and episodes of a planner's firm against closed forms and slow loops."""

import numpy as np
import pytest

from coordinator.planning.demand import classes, drawn_days, fitted, weekday_profile, windows
from environment.blocks import filled, weekdays_of

DAYS = np.arange("2023-01-02", "2024-12-30", dtype="datetime64[D]")  # a Monday first
WEEK = np.array([0.5, 0.5, 1.0, 1.0, 1.5, 2.5, 0.0])


def test_weekdays_begin_on_monday():
    assert weekdays_of(DAYS[:8]).tolist() == [0, 1, 2, 3, 4, 5, 6, 0]


def test_a_profile_is_found_again_and_follows_into_the_forecast():
    demand = np.tile(10 * WEEK, len(DAYS) // 7)[:, None]
    days = DAYS[: len(demand)]
    profile = weekday_profile(demand, days)
    np.testing.assert_allclose(profile[:, 0], WEEK, atol=0.06)
    found = fitted(demand, days, np.array([3]))
    ahead = found.over_interval(demand, days)[-14:-7, 0]
    cyclic = np.concatenate([WEEK, WEEK])
    first = weekdays_of(days[-13:-12])[0]
    expected = [10 * cyclic[(first + t) % 7 : (first + t) % 7 + 3].sum() for t in range(7)]
    np.testing.assert_allclose(ahead, expected, rtol=0.15, atol=1.5)
    assert found.spread[0] < 2  # of three days with 30 units on average


def test_forecasts_know_only_the_days_before():
    rng = np.random.default_rng(0)
    demand, days = rng.poisson(6, (200, 3)).astype(float), DAYS[:200]
    found = fitted(demand, days, np.array([1, 2, 5]))
    changed = demand.copy()
    changed[120:] += 100
    before, after = (found.over_interval(each, days) for each in (demand, changed))
    np.testing.assert_array_equal(before[:121], after[:121])
    assert (before[121] != after[121]).all()


def rare(rng, periods, series):
    """Demand whose frequency changes every ten weeks, and whose sizes are far apart: an item that comes and goes."""
    often = np.where(np.arange(periods) // 70 % 2, 0.05, 0.5)[:, None]
    return (rng.random((periods, series)) < often) * np.rint(rng.lognormal(2.5, 0.9, (periods, series)))


def test_each_series_takes_the_method_that_is_off_least_and_that_holds_on_later_days():
    rng = np.random.default_rng(0)
    busy = rng.poisson(20 * np.tile(WEEK, 100)[:600, None], (600, 20))
    demand, days = np.concatenate([busy, rare(rng, 600, 20)], 1).astype(float), DAYS[:600]
    interval = np.full(40, 5)
    chosen, plain = (fitted(demand[:400], days[:400], interval, plain=only) for only in (False, True))
    assert chosen.methods[:20] == ["weekdays"] * 20
    assert chosen.methods[20:].count("intermittent") >= 18
    assert (chosen.spread <= plain.spread).all()
    actual = windows(demand, interval)[400:595]
    off = [((each.over_interval(demand, days)[400:595] - actual) ** 2).mean(0) for each in (chosen, plain)]
    np.testing.assert_array_equal(off[0][:20], off[1][:20])
    assert off[0][20:].sum() < 0.99 * off[1][20:].sum()


def test_forecasts_of_both_methods_and_their_choice_are_those_of_slow_loops():
    rng = np.random.default_rng(5)
    demand, days = np.concatenate([rng.poisson(6 * np.tile(WEEK, 20))[:, None], rare(rng, 140, 2)], 1), DAYS[:140]
    demand, interval = demand.astype(float), np.array([3, 2, 4])
    found, profile = fitted(demand, days, interval), weekday_profile(demand, days)
    assert set(found.methods) == {"weekdays", "intermittent"}
    steps = (0.03, 0.07, 0.15, 0.3)

    def off(series, smoothing, occurrence):
        """Root mean square error over the interval, and the last level."""
        begin, week = demand[:56, series], profile[:, series] if not occurrence else np.ones(7)
        often = (begin > 0).mean() if occurrence else 1.0
        size, errors, length = begin.mean() / often, [], interval[series]
        for t in range(140):
            if 46 <= t <= 140 - length:
                ahead = sum(often * size * week[(t + h) % 7] for h in range(length))
                errors.append(ahead - demand[t : t + length, series].sum())
            some = demand[t, series] > 0
            if week[t % 7] > 0.05 and (some or not occurrence):
                size += smoothing * (demand[t, series] / week[t % 7] - size)
            often += occurrence * (some - often)
        return np.sqrt(np.mean(np.square(errors))), often * size

    for series in range(3):
        least = min(off(series, w, v) for w in steps for v in (0.0, *steps))
        np.testing.assert_allclose((found.spread[series], found.levels(demand, days)[-1, series]), least)


def test_windows_are_sums_of_the_days_ahead():
    demand = np.arange(12.0).reshape(6, 2)
    found = windows(demand, np.array([2, 3]))
    for t in range(6):
        for series, length in enumerate((2, 3)):
            expected = demand[t : t + length, series].sum() if t + length <= 6 else np.nan
            np.testing.assert_equal(found[t, series], expected)


@pytest.mark.parametrize("length", [200, 728])
def test_episodes_keep_the_weekday_and_with_a_year_of_history_the_season(length):
    days, first = DAYS[:length], DAYS[length - 1] + 1
    rows = drawn_days(days, first, 100, 50, np.random.default_rng(1))
    assert rows.shape == (100, 50)
    wanted = first + np.arange(100)
    np.testing.assert_array_equal(
        weekdays_of(days[rows.ravel()]).reshape(100, 50), np.repeat(weekdays_of(wanted)[:, None], 50, 1)
    )
    inside = np.diff(rows, axis=0)
    assert (inside[np.arange(99) % 28 != 27] == 1).all()
    apart = np.abs(((rows - (length + np.arange(100))[:, None]) + 182) % 365 - 182)
    assert (apart.max() <= 45) == (length > 365)
    assert len(np.unique(rows[0])) > 5


def test_a_short_history_is_refused():
    with pytest.raises(ValueError, match="at least 56 days of history, got 30"):
        drawn_days(DAYS[:30], DAYS[30], 10, 1, np.random.default_rng(0))


def test_unknown_days_count_as_the_mean_of_their_weekday():
    demand = np.tile(WEEK * 10, 3)[:, None]
    demand[8] = np.nan
    assert filled(demand, DAYS[:21])[8, 0] == 5


def test_items_are_classed_by_what_they_are_worth_and_how_much_they_change():
    steady, wavy, rare = np.tile(10.0, 28), np.repeat([2.0, 14.0, 2.0, 2.0], 7), np.repeat([0.0, 0.0, 0.0, 3.0], 7)
    demand = np.stack([steady, wavy, rare, 0 * rare], 1)  # weeks change by 0, 1.04, 1.73 of their mean, or never come
    worth, change = classes(demand, np.array([79.0, 12.0, 8.0, 1.0]))
    assert worth == ["A", "A", "B", "C"]  # before them 0, 79%, 91% and 99% of the value
    assert change == ["X", "Z", "Z", "Z"]
