import time

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from heuristics.aggregation import decomposition_aggregation, matching_level
from heuristics.mass import as_mass, convolve, lead_time_demand, point_mass, quantile
from heuristics.newsvendor import newsvendor

DEMAND = as_mass(np.mean([poisson.pmf(np.arange(80), mean) for mean in range(5, 16)], axis=0))
RATES = np.array([np.nan, 1.0, 0.6, 0.4])  # holding cost by echelon, 1 = retailer
ONE_PERIOD = point_mass(1)
ONE_TO_FIVE = as_mass([0, 0.2, 0.2, 0.2, 0.2, 0.2])

OUT = -1
SMALL_DIVERGENT = [(OUT, 0), (0, 1), (0, 2), (0, 3)]
CUSTOMERS_OF = [[4, 5, 6], [4, 5, 6, 7], [7, 8], [4, 5, 6, 7, 8]]
SMALL_GENERAL = [(OUT, w) for w in range(4)] + [(w, r) for w in range(4) for r in CUSTOMERS_OF[w]]
LARGE_DIVERGENT = [(OUT, 0), *((0, 1 + j) for j in range(3)), *((1 + k // 3, 4 + k) for k in range(9))]
LARGE_GENERAL = [
    *((OUT, i) for i in range(4)),
    *(((j + d) % 4, 4 + j) for j in range(5) for d in (0, 1)),
    *((4 + (k + d) % 5, 9 + k) for k in range(9) for d in (0, 1)),
]


def levels(edges, echelons, demand=DEMAND, lead_time=ONE_PERIOD):
    echelon = np.repeat(np.arange(len(echelons), 0, -1), echelons)
    leaves = np.flatnonzero(echelon == 1)
    return decomposition_aggregation(
        edges,
        RATES[echelon],
        19.0 * (echelon == 1),
        dict.fromkeys(leaves.tolist(), demand),
        dict.fromkeys(edges, lead_time),
    ).tolist()


def test_a_small_divergent_firm_gets_the_known_levels():
    assert levels(SMALL_DIVERGENT, [1, 3]) == [60, 34, 34, 34]


def test_a_small_general_firm_gets_the_known_levels():
    assert levels(SMALL_GENERAL, [4, 5]) == [33, 40, 28, 49] + [34] * 5


def test_a_large_divergent_firm_gets_the_known_levels():
    assert levels(LARGE_DIVERGENT, [1, 3, 9]) == [164, 67, 67, 67] + [34] * 9


def test_the_small_divergent_firm_agrees_with_the_steps_done_by_hand():
    interval = convolve(DEMAND, DEMAND)
    retailer = quantile(interval, 19.6 / 20)
    both = convolve(interval, interval)
    local = (quantile(both, 19 / 20) + quantile(both, 19 / 19.6)) / 2 - retailer
    units = np.arange(interval.size)
    allowed = 3 * np.maximum(units - local, 0) @ interval
    everyone = convolve(convolve(interval, interval), interval)
    units = np.arange(everyone.size)
    warehouse = next(s for s in units if np.maximum(units - s, 0) @ everyone <= allowed)
    assert levels(SMALL_DIVERGENT, [1, 3]) == [warehouse, retailer, retailer, retailer]


def test_a_single_point_is_the_newsvendor_on_the_protection_interval():
    found = decomposition_aggregation([(OUT, 0)], [1.0], [19.0], {0: DEMAND}, {(OUT, 0): ONE_TO_FIVE})
    assert found.tolist() == [newsvendor(lead_time_demand(DEMAND, ONE_TO_FIVE), 19, 1)]


def test_longer_lead_times_raise_every_level():
    short, long = levels(LARGE_GENERAL, [4, 5, 9]), levels(LARGE_GENERAL, [4, 5, 9], lead_time=ONE_TO_FIVE)
    assert all(a < b for a, b in zip(short, long, strict=True))


def test_renumbering_the_points_renumbers_the_levels():
    order = np.random.default_rng(3).permutation(9)
    edges = [(OUT if s == OUT else int(order[s]), int(order[c])) for s, c in SMALL_GENERAL]
    cost, penalty = np.empty(9), np.zeros(9)
    cost[order] = [0.6] * 4 + [1.0] * 5
    penalty[order[4:]] = 19
    demand = {int(point): DEMAND for point in order[4:]}
    found = decomposition_aggregation(edges, cost, penalty, demand, dict.fromkeys(edges, ONE_PERIOD))
    assert found[order].tolist() == levels(SMALL_GENERAL, [4, 5])


def test_a_warehouse_with_customers_of_its_own_holds_more():
    edges, demand = SMALL_DIVERGENT, dict.fromkeys([1, 2, 3], DEMAND)
    lead_time = dict.fromkeys(edges, ONE_PERIOD)
    cost, penalty = [0.6, 1, 1, 1], [19, 19, 19, 19]
    without = decomposition_aggregation(edges, cost, penalty, demand, lead_time)
    own = decomposition_aggregation(edges, cost, penalty, {0: DEMAND, **demand}, lead_time)
    assert own[0] >= without[0] + 20  # at least the mean of its own customers over two periods
    assert own[1:].tolist() == without[1:].tolist()


def test_holding_costs_that_do_not_fall_upstream_still_give_levels():
    edges = SMALL_DIVERGENT
    found = decomposition_aggregation(
        edges, [1.0] * 4, [0, 19, 19, 19], dict.fromkeys([1, 2, 3], DEMAND), dict.fromkeys(edges, ONE_PERIOD)
    )
    assert 0 < found[0] < 100


def test_long_lead_times_and_wide_demand_take_well_under_a_second():
    wide = nbinom.pmf(np.arange(500), 0.97, 0.088)
    began = time.perf_counter()
    levels(LARGE_GENERAL, [4, 5, 9], wide / wide.sum(), as_mass([0] + [1 / 15] * 15))
    assert time.perf_counter() - began < 1.0


def test_a_chain_of_many_points_with_known_demand_keeps_two_periods_of_it_everywhere():
    points = 1500
    edges = [(point - 1, point) for point in range(points)]
    found = decomposition_aggregation(
        edges,
        np.linspace(0.1, 1.0, points),
        np.full(points, 19.0),
        {points - 1: point_mass(3)},
        dict.fromkeys(edges, ONE_PERIOD),
    )
    assert found.tolist() == [6] * points


def test_the_matching_level_is_the_smallest_that_is_good_enough():
    demand = as_mass([0.25, 0.5, 0.25])  # E[(D - s)+] = 1, .25, 0
    assert [matching_level(demand, allowed) for allowed in (2.0, 1.0, 0.5, 0.25, 0.2, 0.0)] == [0, 0, 1, 1, 2, 2]


def refused(message, **changes):
    case = {
        "edges": SMALL_DIVERGENT,
        "holding_cost": [0.6, 1, 1, 1],
        "backorder_cost": [0, 19, 19, 19],
        "demand": dict.fromkeys([1, 2, 3], DEMAND),
    } | changes
    case = {"lead_time": dict.fromkeys(case["edges"], ONE_PERIOD)} | case
    with pytest.raises(ValueError, match=message):
        decomposition_aggregation(**case)


def test_networks_that_make_no_sense_are_refused():
    refused("no supplier", edges=[(0, 1), (0, 2), (0, 3)])
    refused("cycle", edges=[(OUT, 0), (0, 1), (1, 2), (2, 1), (0, 3)])
    refused("reaches no customer", demand=dict.fromkeys([1, 2], DEMAND))
    refused("join points", edges=[(OUT, 0), (0, 1), (0, 2), (0, 4)])
    refused("among 0..3", demand={7: DEMAND})
    refused("exactly the edges", lead_time={(OUT, 0): ONE_PERIOD})
    refused("backorder_cost > 0", backorder_cost=[0, 19, 19, 0])
    refused("shape", backorder_cost=[0, 19, 19])
    refused(">= 0", holding_cost=[-1, 1, 1, 1])
    refused(r"demand\[1\]", demand={1: [0.5], 2: DEMAND, 3: DEMAND})
