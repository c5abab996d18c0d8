import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gamma, norm

from heuristics.coordination import (
    mean_demand,
    optimal_order,
    order_critical_ratio,
    order_sensitivity,
    recommendation_index,
    recommendation_regions,
    relative_effect,
    relative_margin,
)

BASE = np.array([30.0, 30.0, 25.0])
OWN = np.array([20.0, 14.0, 10.0])
CROSS = np.array([[0.0, 6.0, 3.0], [5.0, 0.0, 2.0], [2.0, 3.0, 0.0]])
PRICE, COST, SALVAGE, PENALTY = np.array([10.0, 9.0, 8.0]), np.array([5.0, 5.0, 4.0]), 2.0, 2.0
STD = np.array([6.0, 6.0, 5.0])
RATIO = order_critical_ratio(PRICE, COST, SALVAGE, PENALTY)


def order(exposure, price=PRICE, cost=COST, salvage=SALVAGE, penalty=PENALTY):
    ratio = order_critical_ratio(price, cost, salvage, penalty)
    return optimal_order(mean_demand(BASE, OWN, CROSS, exposure), ratio, lambda u: norm.ppf(u, scale=STD))


def profit(quantity, mean, std, price, cost):
    """Expected profit of one product by integration."""
    u = (np.arange(20_000) + 0.5) / 20_000
    demand = mean + std * norm.ppf(u)
    sold = np.minimum(demand, quantity)
    return np.mean(price * sold + SALVAGE * (quantity - sold) - PENALTY * (demand - sold)) - cost * quantity


# Proposition 1


@pytest.mark.parametrize(
    ("exposure", "expected"),
    [((0.3, 0.3, 0.3), (37.0464, 34.0844, 29.8724)), ((0.9, 0.1, 0.0), (50.6464, 28.5844, 25.4724))],
)
def test_the_optimal_orders_are_those_of_the_worked_example(exposure, expected):
    assert order(exposure) == pytest.approx(expected, abs=5e-5)


def test_no_other_order_earns_more():
    mean = mean_demand(BASE, OWN, CROSS, (0.3, 0.3, 0.3))
    for i, quantity in enumerate(order((0.3, 0.3, 0.3))):
        grid = np.arange(quantity - 10, quantity + 10, 0.05)
        earned = [profit(q, mean[i], STD[i], PRICE[i], COST[i]) for q in grid]
        assert grid[np.argmax(earned)] == pytest.approx(quantity, abs=0.06)


def test_any_noise_law_will_do():
    law = gamma(2.0, loc=-4.0, scale=2.0)
    quantity = optimal_order([30.0], [0.7], law.ppf)
    assert law.cdf(quantity - 30.0) == pytest.approx([0.7])


def test_the_sensitivities_are_the_difference_quotients_of_the_orders():
    exposure, step = np.array([0.3, 0.2, 0.1]), 1e-5
    density = norm.pdf(norm.ppf(RATIO)) / STD
    found = order_sensitivity(OWN, CROSS, PRICE, COST, SALVAGE, PENALTY, density)
    for j in range(3):
        move = step * np.eye(3)[j]
        assert found.exposure[:, j] == pytest.approx((order(exposure + move) - order(exposure)) / step, rel=1e-4)
    for name, key in (
        ("price", "price"),
        ("unit_cost", "cost"),
        ("salvage", "salvage"),
        ("lost_sale_penalty", "penalty"),
    ):
        value = {"price": PRICE, "cost": COST, "salvage": SALVAGE, "penalty": PENALTY}[key]
        quotient = (order(exposure, **{key: value + step}) - order(exposure, **{key: value - step})) / (2 * step)
        assert getattr(found, name) == pytest.approx(quotient, rel=1e-4)


def test_an_order_rises_with_the_own_exposure_and_falls_with_the_others():
    exposure = order_sensitivity(OWN, CROSS, PRICE, COST, SALVAGE, PENALTY, np.ones(3)).exposure
    assert np.all(np.diag(exposure) > 0)
    assert np.all(exposure[~np.eye(3, dtype=bool)] < 0)


def test_mean_demand_takes_many_exposures_at_once():
    exposure = np.random.default_rng(0).uniform(size=(3, 4, 5))
    expected = mean_demand(BASE, OWN, CROSS, exposure[:, 2, 3])
    assert mean_demand(BASE, OWN, CROSS, exposure)[:, 2, 3] == pytest.approx(expected)


# Proposition 2


def test_the_indices_are_those_of_the_worked_example():
    assert recommendation_index(PRICE - COST, OWN, CROSS)[:2] == pytest.approx((64.0, 23.0))


def test_the_index_is_the_profit_that_a_recommendation_adds_at_the_optimal_orders():
    def firm_profit(exposure):
        mean, quantity = mean_demand(BASE, OWN, CROSS, exposure), order(exposure)
        return sum(profit(quantity[i], mean[i], STD[i], PRICE[i], COST[i]) for i in range(3))

    gain = [firm_profit(np.eye(3)[i]) - firm_profit(np.zeros(3)) for i in range(3)]
    assert gain == pytest.approx(recommendation_index(PRICE - COST, OWN, CROSS), rel=1e-9)


@given(
    own=st.tuples(*[st.floats(0.1, 30.0)] * 2),
    lost=st.tuples(*[st.floats(0.0, 30.0)] * 2),
    margin=st.tuples(*[st.floats(0.1, 30.0)] * 2),
)
def test_the_two_product_rule_agrees_with_the_indices(own, lost, margin):
    cross = [[0.0, lost[0]], [lost[1], 0.0]]
    first, second = recommendation_index(margin, own, cross)
    strength = relative_effect(own, cross) * relative_margin(margin, (0.0, 0.0))
    if abs(strength - 1.0) > 1e-9:
        assert (strength > 1.0) == (first > second)


def test_the_recommendation_regions_meet_where_the_product_of_the_ratios_is_one():
    effects, margins = np.array([0.25, 0.5, 1.0, 2.0]), np.array([0.5, 1.0, 2.0])
    expected = [[2, 2, 2, 0], [2, 2, 0, 1], [2, 0, 1, 1]]
    assert recommendation_regions(effects, margins).tolist() == expected


def test_bad_input_is_refused_in_one_line_that_names_the_cure():
    with pytest.raises(ValueError, match="zero diagonal"):
        mean_demand([1.0, 1.0], [1.0, 1.0], np.ones((2, 2)), [0.0, 0.0])
    with pytest.raises(ValueError, match=r"cross_effect \[K, K\]"):
        recommendation_index([1.0, 1.0], [1.0, 1.0], np.zeros((2, 3)))
    with pytest.raises(ValueError, match="one entry per product"):
        mean_demand([1.0, 1.0], [1.0, 1.0], np.zeros((2, 2)), [0.0])
    with pytest.raises(ValueError, match="salvage < unit_cost"):
        order_critical_ratio([4.0], [5.0], [6.0], [0.0])
    with pytest.raises(ValueError, match="two products"):
        relative_effect(OWN, CROSS)
    with pytest.raises(ValueError, match="margins"):
        relative_margin((4.0, 4.0), (5.0, 3.0))
