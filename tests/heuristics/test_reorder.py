import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from heuristics.mass import as_mass, lead_time_demand, point_mass
from heuristics.newsvendor import newsvendor
from heuristics.reorder import best_order_up_to, order_up_to_cost, position_cost


def poisson_mass(mean):
    return as_mass(poisson.pmf(np.arange(int(mean + 12 * mean**0.5 + 12)), mean))


def stationary_cost(states, next_state, orders, demand, law, costs):
    """Average cost from the stationary distribution of the position after ordering."""
    h, b, k = costs
    index = {y: i for i, y in enumerate(states)}
    transition = np.zeros((len(states), len(states)))
    fixed = np.zeros(len(states))
    for y in states:
        for d, p in enumerate(demand):
            transition[index[y], index[next_state(y - d)]] += p
            fixed[index[y]] += p * k * orders(y - d)
    system = np.vstack([transition.T - np.eye(len(states)), np.ones(len(states))])
    stationary = np.linalg.lstsq(system, np.append(np.zeros(len(states)), 1.0), rcond=None)[0]
    units = np.arange(law.size)
    stay = [h * np.maximum(y - units, 0) @ law + b * np.maximum(units - y, 0) @ law for y in states]
    return stationary @ (np.array(stay) + fixed)


@pytest.mark.parametrize(
    ("mean", "fixed", "s", "upper", "cost"),
    [(10, 64, 6, 40, 35.022), (20, 64, 14, 62, 49.173), (15, 64, 10, 49, 42.698), (25, 64, 19, 56, 54.262)],
)
def test_best_order_up_to_reproduces_the_published_table(mean, fixed, s, upper, cost):
    # Zheng & Federgruen (1991), table 1: Poisson demand, no lead time, h = 1, p = 9, K = 64
    demand = poisson_mass(mean)
    rule = best_order_up_to(demand, demand, 1.0, 9.0, fixed)
    assert (rule.reorder_point, rule.order_up_to) == (s, upper)
    assert rule.cost == pytest.approx(cost, abs=2e-3)


weights = st.lists(st.integers(0, 9), min_size=2, max_size=5).filter(lambda w: any(w[1:]))
cost_rates = st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(0, 60))


@settings(max_examples=20, deadline=None)
@given(weights, st.integers(0, 2), cost_rates)
def test_best_order_up_to_is_the_best_of_all_pairs(weight, lead_time, costs):
    demand = as_mass(np.array(weight) / sum(weight))
    law = lead_time_demand(demand, point_mass(lead_time))
    rule = best_order_up_to(demand, law, *costs)
    centre = newsvendor(law, costs[1], costs[0])
    reach = range(centre - 15, centre + 25)
    others = [order_up_to_cost(s, u, demand, law, *costs) for s in reach for u in reach if s < u]
    assert rule.cost == pytest.approx(order_up_to_cost(rule.reorder_point, rule.order_up_to, demand, law, *costs))
    assert rule.cost <= min(others) + 1e-9


def test_the_cost_of_order_up_to_is_that_of_its_markov_chain():
    demand, costs = as_mass([0.2, 0.3, 0.1, 0.4]), (1.0, 7.0, 12.0)
    law = lead_time_demand(demand, point_mass(2))
    s, upper = 5, 14
    slow = stationary_cost(
        range(s + 1, upper + 1), lambda y: upper if y <= s else y, lambda y: y <= s, demand, law, costs
    )
    assert order_up_to_cost(s, upper, demand, law, *costs) == pytest.approx(slow)


def test_without_a_fixed_cost_the_rule_is_base_stock():
    demand = poisson_mass(4)
    law = lead_time_demand(demand, point_mass(1))
    level = newsvendor(law, 19, 1)
    rule = best_order_up_to(demand, law, 1, 19, 0)
    assert (rule.reorder_point, rule.order_up_to) == (level - 1, level)
    assert rule.cost == pytest.approx(float(position_cost(law, level, 1, 19)))


def test_senseless_arguments_are_refused():
    demand = poisson_mass(3)
    with pytest.raises(ValueError, match="below order_up_to"):
        order_up_to_cost(5, 5, demand, demand, 1, 9, 1)
    with pytest.raises(ValueError, match="always be 0"):
        best_order_up_to(point_mass(0), point_mass(0), 1, 9, 1)
    with pytest.raises(ValueError, match="fixed_order_cost"):
        best_order_up_to(demand, demand, 1, 9, -1)
    with pytest.raises(ValueError, match="backorder_cost must be above 0"):
        best_order_up_to(demand, demand, 1, 0, 1)
