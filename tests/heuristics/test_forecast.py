import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from heuristics.forecast import forecast_level, season_over, seasonal_factor, smoothed_forecast


def test_a_season_averages_to_one_and_peaks_after_a_quarter():
    factors = seasonal_factor(np.arange(16), 0.3, 16)
    assert factors.mean() == pytest.approx(1.0)
    assert factors.argmax() == 4
    assert factors.max() == pytest.approx(1.3)


@given(st.integers(0, 40), st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_the_season_over_an_interval_is_the_sum_of_its_periods(period, intervals):
    expected = [sum(1 + 0.3 * np.sin(2 * np.pi * (period + j) / 15) for j in range(n)) for n in intervals]
    assert season_over(period, intervals, 0.3, 15) == pytest.approx(expected)


def test_smoothing_is_the_geometrically_weighted_mean_of_past_demands():
    rng = np.random.default_rng(1)
    demands, factors = rng.poisson(8, size=(30, 3, 2)), seasonal_factor(np.arange(30), 0.3, 15)
    forecast = np.full((3, 2), 5.0)
    for demand, factor in zip(demands, factors, strict=True):
        forecast = smoothed_forecast(forecast, demand, factor, 0.2)
    weights = 0.2 * 0.8 ** np.arange(29, -1, -1)
    assert forecast == pytest.approx(0.8**30 * 5.0 + np.tensordot(weights / factors, demands, 1))


def test_smoothing_of_a_seasonal_demand_without_noise_finds_its_mean():
    forecast = np.array([1.0])
    for t in range(100):
        factor = seasonal_factor(t, 0.3, 15)
        forecast = smoothed_forecast(forecast, 12.0 * factor, factor, 0.2)
    assert forecast == pytest.approx([12.0], abs=1e-6)


@given(st.floats(2, 15), st.integers(2, 8), st.floats(0.6, 0.98))
def test_the_level_is_the_poisson_quantile_within_a_unit_and_a_half(mean, interval, ratio):
    level = forecast_level([mean], season_over(0, [interval], 0.0, 1.0), ratio)
    assert level[0] == pytest.approx(poisson.ppf(ratio, mean * interval), abs=1.5)


def test_levels_come_for_every_product_and_copy():
    forecast = np.array([[4.0, 9.0], [1.0, 16.0]])
    level = forecast_level(forecast, [4.0, 1.0], [0.5, 0.9])
    assert level[0] == pytest.approx([16.0, 36.0])
    assert level[1] == pytest.approx([1 + 1.2816, 16 + 4 * 1.2816], abs=1e-3)


def test_bad_input_is_refused_with_what_is_allowed_and_what_came():
    with pytest.raises(ValueError, match=r"amplitude must lie in \[0, 1\), got 1"):
        seasonal_factor(0, 1.0, 15)
    with pytest.raises(ValueError, match="season_length must be above 0"):
        seasonal_factor(0, 0.3, 0)
    with pytest.raises(ValueError, match="whole periods"):
        season_over(0, [2.5], 0.3, 15)
    with pytest.raises(ValueError, match=r"smoothing must lie in \[0, 1\], got 2"):
        smoothed_forecast([1.0], [1.0], 1.0, 2)
    with pytest.raises(ValueError, match="factor must be above 0"):
        smoothed_forecast([1.0], [1.0], 0.0, 0.5)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        forecast_level([1.0], [1.0], 1.0)
    with pytest.raises(ValueError, match="forecast must be at least 0"):
        forecast_level([-1.0], [1.0], 0.5)
