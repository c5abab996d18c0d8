"""Dual sourcing: the programme and the rules against closed forms and simulation; against published gaps where
instances are (`tests/environment/test_instances.py`)."""

import numpy as np
import pytest

from heuristics.dual_sourcing import (
    DUAL_RULES,
    DualSource,
    best_dual_sourcing,
    best_index_levels,
    index_orders,
)
from heuristics.mass import point_mass, total


def source(lead_time=2, expedited_cost=105.0, expedited_lead_time=0, demand=None):
    demand = np.full(5, 0.2) if demand is None else demand
    return DualSource(demand, lead_time, expedited_lead_time, 5.0, 495.0, 100.0, expedited_cost)


def simulated(own, decide, periods=150, copies=4_000):
    """Cost a period and its standard error of many copies; `decide` on y [E] and the pipeline behind it [m, E]."""
    rng = np.random.default_rng(3)
    demand = rng.choice(own.demand.size, (periods + own.expedited_lead_time, copies), p=own.demand)
    y, queue, costs = np.zeros(copies, dtype=int), np.zeros((own.behind, copies), dtype=int), []
    for t in range(periods):
        expedited, regular = decide(y, queue)
        left = y + expedited - demand[t : t + own.expedited_lead_time + 1].sum(0)
        cost = own.regular_cost * regular + own.expedited_cost * expedited
        costs.append(cost + np.maximum(left, 0) * own.holding_cost + np.maximum(-left, 0) * own.backorder_cost)
        queue = np.concatenate((queue, regular[None]))
        y, queue = y + expedited - demand[t] + queue[0], queue[1:]
    of_copies = np.mean(costs[50:], 0)
    return of_copies.mean(), of_copies.std() / copies**0.5


@pytest.mark.parametrize("instance", [(3, 110.0, 0), (3, 110.0, 1), (1, 105.0, 0)])
def test_a_simulation_costs_what_the_programme_says(instance):
    own = source(*instance)
    best = best_dual_sourcing(own, 20, 20)
    cost, error = simulated(own, best.orders.at)
    assert abs(cost - best.cost) < 3 * error
    for rule in DUAL_RULES:
        numbers = best_index_levels(own, rule)
        cost, error = simulated(own, lambda y, queue, numbers=numbers: index_orders(numbers, y, y + queue.sum(0)))
        assert abs(cost - numbers.cost) < 3 * error


def test_with_lead_times_a_period_apart_dual_index_is_optimal():
    """Fukuda (1964), Optimal policies for the inventory problem with negotiable leadtime."""
    own = source(2, 110.0, 1)
    assert best_index_levels(own, "dual-index").cost == pytest.approx(best_dual_sourcing(own, 20, 20).cost, abs=1e-6)


def test_where_expediting_costs_nothing_more_it_is_base_stock_of_the_short_lead_time():
    own = source(3, 100.0, 1)
    level = np.arange(40)
    alone = own.loss(level).min() + 100.0 * 2.0
    assert best_dual_sourcing(own, 20, 20).cost == pytest.approx(alone, abs=1e-5)


def test_where_it_costs_too_much_it_is_base_stock_of_the_long_lead_time():
    own = source(2, 5_000.0)
    over, level = total([own.demand] * 3), np.arange(13)
    units = np.arange(over.size)
    loss = [
        over @ (5.0 * np.maximum(s - units, 0) + 495.0 * np.maximum(units - s, 0)) for s in level
    ]  # what a level meets
    assert best_dual_sourcing(own, 20, 20).cost == pytest.approx(min(loss) + 200.0, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"expedited_lead_time": 2}, r"expedited_lead_time must be at least 0 and below .* got 2 and 2"),
        ({"demand": point_mass(0)}, "demand must not always be 0"),
    ],
)
def test_what_is_no_dual_source_is_refused(change, line):
    with pytest.raises(ValueError, match=line):
        source(**change)


@pytest.mark.parametrize(("demand", "lead_time"), [(np.full(31, 1 / 31), 4), (np.full(301, 1 / 301), 1)])
def test_levels_that_take_too_long_to_find_are_refused_at_once(demand, lead_time):
    with pytest.raises(ValueError, match="its levels take more than five minutes to find: shorter lead times"):
        best_index_levels(source(lead_time, demand=demand), "capped-dual-index")


def test_demand_that_is_more_than_orders_is_refused():
    with pytest.raises(ValueError, match="so that ever more waits"):
        best_dual_sourcing(source(), 1, 1)
