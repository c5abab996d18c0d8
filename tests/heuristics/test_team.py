from itertools import product

import numpy as np
import pytest

from heuristics.team import Team

TEAM = Team(largest_order=4, noise=(-3.0, 3.0), base_demand=2.0, effect=(4.0, 1.0), on_hand=(3.0, 0.0))
CASES = list(product(range(2), repeat=2))


def worth(team, liked, there, shown, orders):
    """Money of one case by hand, demand by demand."""
    total = 0.0
    for k in range(2):
        stock = (team.on_hand[0] if there == k else team.on_hand[1]) + orders[k]
        for noise in team.noise:
            effect = 0.0 if shown != k else team.effect[0] if liked == k else team.effect[1]
            demand = team.base_demand + effect + noise
            sold = min(stock, demand)
            money = team.price[k] * sold - team.penalty * (demand - sold) + team.salvage * (stock - sold)
            total += money / len(team.noise)
        total -= team.unit_cost * orders[k]
    return total


def test_structures_are_the_best_of_all_that_they_may_decide():
    orders = list(product(range(5), repeat=2))
    money = {
        (*case, shown, own): worth(TEAM, *case, shown, own) for case in CASES for shown in (0, 1) for own in orders
    }
    joint = np.mean([max(money[s, z, shown, own] for shown in (0, 1) for own in orders) for s, z in CASES])

    def answered(push, seen):
        groups = {}
        for s, z in CASES:
            groups.setdefault((z, push[s] if seen else None), []).append((s, z))
        return (
            sum(max(sum(money[s, z, push[s], own] for s, z in group) for own in orders) for group in groups.values())
            / 4
        )

    expected = {
        "joint": joint,
        "sequential": max(answered(push, True) for push in CASES),
        "factorised": max(answered(push, False) for push in CASES),
    }
    found = {structure.name: structure.profit for structure in TEAM.structures()}
    assert list(found) == ["joint", "sequential", "factorised", "in silos"]
    for name, profit in expected.items():
        assert found[name] == pytest.approx(profit, abs=1e-9), name
    for structure in TEAM.structures():
        told = [worth(TEAM, s, z, structure.shown[s, z], structure.order[s, z]) for s, z in CASES]
        assert np.mean(told) == pytest.approx(structure.profit, abs=1e-9)


def test_who_sees_more_earns_more_in_the_example():
    profits = [structure.profit for structure in Team().structures()]
    assert (np.diff(profits) < -5).all()


def test_a_silo_shows_what_is_liked_and_orders_without_knowing_it():
    *_, siloed = Team().structures()
    assert siloed.shown.tolist() == [[0, 0], [1, 1]]
    np.testing.assert_array_equal(siloed.order[0], siloed.order[1])
