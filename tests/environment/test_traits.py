import numpy as np

from environment import parse_firm
from environment.traits import traits_of


def firm(**store):
    """A depot and two stores of two products that differ in one thing: demand is 4 and 9, a lead time 1 and 3."""
    shop = {
        "holding_cost": 1,
        "backorder_cost": {"tea": 9, "rice": 19},
        "max_order": 99,
        "demand": {"tea": {"law": "poisson", "mean": 4}, "rice": {"law": "poisson", "mean": 9}},
    } | store
    return parse_firm(
        {
            "name": "two",
            "products": ["tea", "rice"],
            "stock_points": {"depot": {"holding_cost": 0.5, "max_order": 99}, "east": shop, "west": shop},
            "supply": [
                {"from": "outside", "to": "depot", "lead_time": 2},
                {"from": "depot", "to": "east", "lead_time": {"tea": 1, "rice": 3}},
                {"from": "depot", "to": "west", "lead_time": {"law": "uniform", "low": 1, "high": 3}},
            ],
        }
    )


def standardised(values):
    values = np.array(values, dtype=float)
    return (values - values.mean()) / values.std()


def test_they_are_logarithms_of_demand_and_costs_and_the_moments_of_lead_times_standardised():
    demand, variation, holding, short, margin, fixed, lead, delay = traits_of(firm()).transpose(1, 0, 2)
    flow, time = np.array([[8, 18], [4, 9], [4, 9]]), np.array([[2, 2], [1, 3], [2, 2]])
    spread = np.array([[0, 0], [0, 0], np.sqrt([2 / 3, 2 / 3])])
    np.testing.assert_allclose(demand, standardised(np.log(flow * (time + 1))), atol=1e-3)
    variance = flow * (time + 1) + (flow * spread) ** 2  # of Poisson demand the mean, and of lead times
    np.testing.assert_allclose(variation, standardised(np.log(np.sqrt(variance) / (flow * (time + 1)))), atol=1e-3)
    np.testing.assert_allclose(holding, standardised(np.log([[0.5] * 2, [1] * 2, [1] * 2])))
    np.testing.assert_allclose(short, standardised(np.log([[18, 38], [9, 19], [9, 19]])), atol=1e-6)  # the stores' loss
    np.testing.assert_allclose(lead, standardised(time), atol=1e-9)
    np.testing.assert_allclose(delay, standardised(spread), atol=1e-9)
    assert not margin.any()
    assert not fixed.any()


def test_what_is_nowhere_asked_for_or_costs_nothing_gives_finite_numbers():
    found = traits_of(firm(demand={"tea": {"law": "fixed", "value": 0}, "rice": {"law": "poisson", "mean": 9}}))
    assert np.isfinite(found).all()
