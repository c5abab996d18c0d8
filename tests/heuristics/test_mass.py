import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, poisson

from heuristics import mass as m


@st.composite
def masses(draw, longest=12, first=0):
    weights = draw(st.lists(st.integers(0, 20), min_size=1, max_size=longest).filter(any))
    return m.as_mass(np.concatenate((np.zeros(first), weights)) / sum(weights))


def slow_convolution(a, b):
    out = np.zeros(len(a) + len(b) - 1)
    for i, p in enumerate(a):
        for j, q in enumerate(b):
            out[i + j] += p * q
    return out


@given(masses(), masses())
def test_a_convolution_is_the_double_sum(a, b):
    np.testing.assert_allclose(m.convolve(a, b), slow_convolution(a, b), atol=1e-15)


def test_long_convolutions_agree_with_the_direct_ones_and_hold_nothing_negative():
    a, b = poisson.pmf(np.arange(700), 300), poisson.pmf(np.arange(900), 40)
    fast = m.convolve(a, b)
    np.testing.assert_allclose(fast, np.convolve(a, b)[: fast.size], atol=1e-15)
    assert (fast >= 0).all()
    assert fast.sum() == pytest.approx(1.0, abs=1e-12)


@given(masses(), masses(first=1, longest=6))
def test_lead_time_demand_is_the_mixture_of_powers_and_has_wald_moments(demand, lead_time):
    law = m.lead_time_demand(demand, lead_time)
    slow = np.zeros((demand.size - 1) * lead_time.size + 1)
    power = np.ones(1)
    for probability in lead_time:
        power = slow_convolution(power, demand)
        slow[: power.size] += probability * power
    np.testing.assert_allclose(np.pad(law, (0, slow.size - law.size)), slow, atol=1e-14)
    interval = m.mean(lead_time) + 1
    assert law.sum() == pytest.approx(1)
    assert m.mean(law) == pytest.approx(m.mean(demand) * interval, abs=1e-9)
    variance = interval * m.std(demand) ** 2 + (m.std(lead_time) * m.mean(demand)) ** 2
    assert m.std(law) ** 2 == pytest.approx(variance, abs=1e-8)


def test_demand_over_no_periods_is_nothing():
    assert m.demand_over(m.point_mass(7), m.point_mass(0)).tolist() == [1.0]


def test_poisson_demand_over_four_periods_is_poisson_of_four_times_the_mean():
    demand = m.as_mass(poisson.pmf(np.arange(60), 5))
    law = m.lead_time_demand(demand, m.point_mass(3))
    np.testing.assert_allclose(law, poisson.pmf(np.arange(law.size), 20), atol=1e-14)


@given(masses(), st.floats(0, 1))
def test_thinning_scales_the_mean_and_keeps_orders_whole(mass, share):
    thin = m.thinned(mass, share)
    units = np.arange(mass.size)
    second_moment = np.arange(thin.size) ** 2 @ thin
    assert m.mean(thin) == pytest.approx(share * m.mean(mass))
    assert second_moment == pytest.approx(share * (units**2 @ mass))


@given(masses(), st.floats(0.01, 1))
def test_a_quantile_is_the_smallest_level_that_reaches_the_probability(mass, probability):
    level = m.quantile(mass, probability)
    reached = mass[: level + 1].sum()
    assert reached >= probability - 1e-9
    assert level == 0 or mass[:level].sum() < probability


def test_a_quantile_at_a_tie_is_not_moved_by_rounding():
    tenths = m.as_mass(np.full(10, 0.1))
    assert [m.quantile(tenths, k / 10) for k in range(1, 11)] == list(range(10))


@given(masses())
def test_expected_backorders_are_the_sum_of_shortfalls(mass):
    units = np.arange(mass.size)
    slow = [sum(p * max(d - s, 0) for d, p in enumerate(mass)) for s in units]
    np.testing.assert_allclose(m.expected_backorders(mass), slow, atol=1e-12)
    assert m.backorders_at(mass, -2.5) == pytest.approx(m.mean(mass) + 2.5)
    assert m.backorders_at(mass, mass.size + 3) == 0


def test_expected_backorders_of_a_fine_normal_follow_the_loss_function():
    step = 0.01
    grid = np.arange(0, 2000) * step
    mass = np.diff(norm(10, 1).cdf(np.append(grid, grid[-1] + step) - step / 2))
    z = 1.5
    loss = norm.pdf(z) - z * norm.sf(z)
    assert step * m.expected_backorders(mass)[1150] == pytest.approx(loss, rel=1e-4)


def test_total_of_nothing_is_zero_and_mixtures_weigh_their_parts():
    assert m.total([]).tolist() == [1.0]
    assert m.mixture([m.point_mass(0), m.point_mass(2)], [0.25, 0.75]).tolist() == [0.25, 0, 0.75]
    assert m.cdf(m.as_mass([0.5, 0.5, 0.0])).tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [([], "1-d"), ([[1.0]], "1-d"), ([0.5, 0.4], "sum to 1"), ([1.5, -0.5], ">= 0"), ([float("nan")], "finite")],
)
def test_what_is_no_mass_function_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        m.as_mass(bad)


def test_impossible_arguments_are_refused():
    with pytest.raises(ValueError, match="at least 0"):
        m.point_mass(-1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        m.quantile(m.point_mass(1), 1.5)
    with pytest.raises(ValueError, match="sum to 1"):
        m.thinned(m.point_mass(1), 2.0)
