import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, poisson

from heuristics.newsvendor import critical_ratio, newsvendor, newsvendor_normal


def test_the_critical_ratio_of_nineteen_to_one_is_95_percent():
    assert critical_ratio(19, 1) == pytest.approx(0.95)


def test_the_normal_newsvendor_reproduces_the_textbook_example():
    # Snyder & Shen, example 4.3: h = .18, p = .70, N(50, 8): S = 56.6, cost 1.9976
    level, cost = newsvendor_normal(50, 8, 0.70, 0.18)
    assert level == pytest.approx(56.6, abs=0.05)
    assert cost == pytest.approx(1.9976, abs=1e-3)


@given(st.floats(0.5, 30), st.integers(1, 50), st.integers(1, 50))
def test_no_other_level_is_cheaper(mean, underage, overage):
    demand = poisson.pmf(np.arange(120), mean)
    units = np.arange(120)
    gap = units[:, None] - units
    cost = (overage * np.maximum(gap, 0) + underage * np.maximum(-gap, 0)) @ demand
    assert cost[newsvendor(demand, underage, overage)] == pytest.approx(cost.min())


def test_the_normal_cost_is_the_integral():
    level, cost = newsvendor_normal(20, 4, 9, 1)
    x = np.linspace(-20, 60, 400_001)
    integrand = (np.maximum(level - x, 0) + 9 * np.maximum(x - level, 0)) * norm(20, 4).pdf(x)
    assert cost == pytest.approx(np.trapezoid(integrand, x), rel=1e-6)


def test_costs_out_of_range_are_refused():
    with pytest.raises(ValueError, match="overage_cost must be above 0"):
        critical_ratio(1, 0)
    with pytest.raises(ValueError, match="underage_cost must be at least 0"):
        critical_ratio(-1, 1)
    with pytest.raises(ValueError, match="std"):
        newsvendor_normal(1, -1, 1, 1)
    with pytest.raises(ValueError, match="underage_cost must be above 0"):
        newsvendor_normal(1, 1, 0, 1)
