import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import poisson

from heuristics.forecast import (
    ForecastLevels,
    forecast_level,
    intermittent_forecast,
    seasonal_factor,
    smoothed_forecast,
)


def factor(periods, amplitude=0.3, length=15):
    return seasonal_factor(periods, [amplitude], [length], [1.0])


def test_a_season_averages_to_one_and_peaks_after_a_quarter():
    factors = factor(np.arange(16), 0.3, 16)
    assert factors.mean() == pytest.approx(1.0)
    assert factors.argmax() == 4
    assert factors.max() == pytest.approx(1.3)


def test_customers_of_two_seasons_count_by_their_shares():
    share = np.array([[0.25, 0.75], [1.0, 0.0]])
    found = seasonal_factor(np.arange(9), [0.3, 0.5], [15, 6], share)
    first, second = factor(np.arange(9)), factor(np.arange(9), 0.5, 6)
    assert found[:, 0] == pytest.approx(0.25 * first + 0.75 * second)
    assert found[:, 1] == pytest.approx(first)


@given(st.integers(0, 700), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_a_level_covers_the_season_of_each_period_of_the_protection_interval(period, intervals):
    expected = [sum(1 + 0.3 * np.sin(2 * np.pi * (period + j) / 15) for j in range(n)) for n in intervals]
    ones = np.ones((len(intervals), 1))
    levels = ForecastLevels(ones, 0.0 * ones, intervals, ([0.3], [15], [1.0]), 0.2)
    assert levels.level(7.0 * ones, period)[:, 0] == pytest.approx(7.0 * np.array(expected))


def test_smoothing_is_the_geometrically_weighted_mean_of_past_demands():
    rng = np.random.default_rng(1)
    demands, factors = rng.poisson(8, size=(30, 3, 2)), factor(np.arange(30))
    forecast = np.full((3, 2), 5.0)
    for demand, season in zip(demands, factors, strict=True):
        forecast = smoothed_forecast(forecast, demand, season, 0.2)
    weights = 0.2 * 0.8 ** np.arange(29, -1, -1)
    assert forecast == pytest.approx(0.8**30 * 5.0 + np.tensordot(weights / factors, demands, 1))


def test_intermittent_demand_is_how_often_times_how_much_by_hand():
    often, size, found = np.array([0.5]), np.array([4.0]), []
    for demand in ([0.0], [6.0], [0.0]):
        often, size = intermittent_forecast(often, size, np.array(demand), 1.0, 0.2, np.array([0.1]))
        found.append((*often, *size))
    np.testing.assert_allclose(found, [(0.45, 4.0), (0.505, 4.4), (0.4545, 4.4)])


def test_what_is_not_asked_for_any_more_fades_and_its_size_stays():
    often, size = np.array([0.4]), np.array([7.0])
    for _ in range(20):
        often, size = intermittent_forecast(often, size, np.zeros(1), 1.0, 0.3, np.array([0.15]))
    np.testing.assert_allclose([*often, *size], [0.4 * 0.85**20, 7.0])


def test_demand_that_is_not_split_is_smoothed_as_a_whole():
    rng, one, none = np.random.default_rng(3), np.ones(3), np.zeros(3)
    often, size, plain = one, 2.0 * one, 2.0 * one
    for demand, season in zip(rng.poisson(0.7, (40, 3)), factor(np.arange(40)), strict=True):
        often, size = intermittent_forecast(often, size, demand, season, 0.2, none)
        plain = smoothed_forecast(plain, demand, season, 0.2)
    np.testing.assert_array_equal(often * size, plain)


def test_smoothing_of_a_seasonal_demand_without_noise_finds_its_mean():
    forecast = np.array([1.0])
    for season in factor(np.arange(100)):
        forecast = smoothed_forecast(forecast, 12.0 * season, season, 0.2)
    assert forecast == pytest.approx([12.0], abs=1e-6)


@given(st.floats(2, 15), st.integers(2, 8), st.floats(0.6, 0.98))
def test_the_level_is_the_poisson_quantile_within_a_unit_and_a_half(mean, interval, ratio):
    level = forecast_level(np.array([mean]), interval, ndtri(ratio))
    assert level[0] == pytest.approx(poisson.ppf(ratio, mean * interval), abs=1.5)


def many(array):
    """Levels of two points, three products."""
    rng = np.random.default_rng(4)
    start, safety = (array(rng.uniform(1, 20, (2, 3, 1))) for _ in range(2))
    share = rng.dirichlet([1, 1], 2)
    return ForecastLevels(start, safety, rng.integers(1, 6, (2, 3)), ([0.3, 0.5], [15, 6], share), 0.2)


@pytest.mark.parametrize("period", [0, 1, 255, 256, 257, 1000])
def test_levels_are_the_same_in_numpy_and_in_torch(period):
    plain, tensors = many(np.asarray), many(torch.tensor)
    asked = np.random.default_rng(5).poisson(9, (2, 3, 4)).astype(float)
    forecast = known = None
    for _ in range(3):
        forecast = plain.follow(forecast, asked, period)
        known = tensors.follow(known, torch.from_numpy(asked), period)
        assert known.numpy() == pytest.approx(forecast, rel=1e-14)  # torch rounds a product and a sum at once
        assert torch.equal(
            tensors.level(torch.from_numpy(forecast), period), torch.from_numpy(plain.level(forecast, period))
        )


def test_one_point_alone_decides_as_it_does_among_others():
    together = many(np.asarray)
    alone = ForecastLevels(together.start[1], together.safety[1], together._interval[1], (
        together._season[0], together._season[1], together._season[2][1]), 0.2)  # fmt: skip
    asked = np.random.default_rng(5).poisson(9, (2, 3, 4)).astype(float)
    forecast = together.follow(together.start + 0 * asked, asked, 300)
    assert alone.follow(alone.start + 0 * asked[1], asked[1], 300) == pytest.approx(forecast[1], rel=1e-14)
    assert alone.level(forecast[1], 300) == pytest.approx(together.level(forecast, 300)[1], rel=1e-14)


def test_bad_input_is_refused_with_what_is_allowed_and_what_came():
    one = np.ones((1, 1))
    with pytest.raises(ValueError, match=r"amplitude must lie in \[0, 1\), got \[1"):
        factor([0], 1.0)
    with pytest.raises(ValueError, match="season_length must be above 0"):
        factor([0], 0.3, 0)
    for intervals in ([2.5], [0]):
        with pytest.raises(ValueError, match="whole periods >= 1"):
            ForecastLevels(one, one, intervals, ([0.3], [15], [1.0]), 0.2)
    with pytest.raises(ValueError, match=r"smoothing must lie in \[0, 1\], got 2"):
        ForecastLevels(one, one, [1], ([0.3], [15], [1.0]), 2)
