"""Rules where orders come in packs, with minima or on some days only, beside a dynamic programme written for this."""

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from departments.rules.ordering import baseline_levels, reorder_rule
from environment import CompiledWorld, World, parse_firm

MEAN, HOLDING, SHORT, LEAD = 5, 1.0, 9.0, 1
LOW, HIGH = -60, 100  # positions
DEMAND = poisson.pmf(np.arange(40), MEAN)


def shop(**limits):
    point = {"holding_cost": HOLDING, "backorder_cost": SHORT, "max_order": 60} | limits
    point |= {"demand": {"law": "poisson", "mean": MEAN}, "initial_on_hand": 10}
    supply = [{"from": "outside", "to": "shop", "lead_time": LEAD}]
    periods = {"evaluate": 98, "warm_up": 28}
    return parse_firm({"name": "s", "periods": periods, "stock_points": {"shop": point}, "supply": supply})


def cost_at(position):
    """Expected cost of the period that an order of now decides, at a position after ordering."""
    units = np.arange(120)
    chance = poisson.pmf(units, MEAN * (LEAD + 1))
    gap = position[:, None] - units
    return (np.where(gap > 0, HOLDING, -SHORT) * gap) @ chance


def average_cost(orders, level=None, fixed=0.0):
    """Average cost a period: `orders[phase]` are allowed; of the best policy, or of that up to a level by our rule."""
    position = np.arange(LOW, HIGH)
    own, value, cycle = cost_at(position), np.zeros(HIGH - LOW), len(orders)
    below = np.maximum(position[:, None] - np.arange(len(DEMAND)), LOW) - LOW  # nobody gets to the lowest ones
    for _ in range(600):
        before = value.copy()
        for phase in reversed(range(cycle)):
            after = own + value[below] @ DEMAND  # of a position after ordering
            allowed = np.array(orders[phase])
            target = position[:, None] + allowed
            inside = (target < HIGH) | (allowed == 0)
            costs = np.where(inside, after[np.minimum(target, HIGH - 1) - LOW] + fixed * (allowed > 0), np.inf)
            if level is None:
                value = costs.min(1)
            else:
                wish = np.maximum(level - position, 0)
                chosen = np.searchsorted(allowed, np.minimum(wish, allowed[-1]))  # the smallest that is enough
                value = costs[np.arange(len(position)), chosen]
        change = (value - before)[-LOW : -LOW + 20] / cycle
        if np.ptp(change) < 1e-7:
            return change.mean()
        value -= value[-LOW]
    raise AssertionError("the programme has not settled")


ANY = list(range(61))
CASES = {
    "every day": ({}, [ANY]),
    "weekly": ({"review_period": 7}, [ANY] + [[0]] * 6),
    "packs": ({"order_multiple": 12}, [list(range(0, 61, 12))]),
    "packs on days": ({"order_multiple": 8, "review_days": {"cycle": 2, "days": [0]}}, [list(range(0, 61, 8)), [0]]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_level_is_the_best_of_all_policies_under_these_limits(case):
    limits, orders = CASES[case]
    firm = shop(**limits)
    level = int(reorder_rule(firm).levels[0, 0])
    assert abs(level - baseline_levels(firm)[0, 0]) <= 1  # which gives backorders their due, not the last whole unit
    best = average_cost(orders)
    assert average_cost(orders, level) == pytest.approx(best, rel=1e-6)
    assert min(average_cost(orders, level - 1), average_cost(orders, level + 1)) > best + 1e-4


@pytest.mark.parametrize(("least", "gap"), [(7, 0.014), (12, 0.0005), (20, 0.0005)])
def test_under_a_minimum_the_level_is_nearly_as_good_as_all_policies(least, gap):
    orders = [[0, *range(least, 61)]]
    level = int(reorder_rule(shop(min_order=least)).levels[0, 0])
    best, found = average_cost(orders), average_cost(orders, level)
    assert best <= found + 1e-7
    assert found < (1 + gap) * best
    assert min(average_cost(orders, level - 1), average_cost(orders, level + 1)) > found


def test_with_a_fixed_cost_and_an_order_every_second_day_reorder_is_the_best_of_all_policies():
    firm = shop(review_period=2, fixed_order_cost=40)
    rule = reorder_rule(firm)
    best = average_cost([ANY, [0]], fixed=40.0)
    played = _played(firm, rule)
    assert abs(played.mean() - best) < 4 * played.std() / len(played) ** 0.5


@pytest.mark.parametrize("case", CASES)
def test_the_world_costs_what_the_programme_says(case):
    limits, orders = CASES[case]
    firm = shop(**limits)
    rule = reorder_rule(firm)
    played = _played(firm, rule)
    expected = average_cost(orders, int(rule.levels[0, 0]))
    assert abs(played.mean() - expected) < 4 * played.std() / len(played) ** 0.5


def _played(firm, rule):
    """Mean cost a period in each of many episodes of 70 counted ones."""
    world = World(firm, baseline_levels(firm), dtype=torch.float64)
    chance = world.draw(97, 4096, world.generator(1))
    played = CompiledWorld(world).play(world.reset(4096), rule.on(world), chance, counted_from=27)
    return played.cost[0].numpy() / 70
