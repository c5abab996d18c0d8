"""What shipments emit and what that costs, beside closed forms; the slow oracle replays it on random firms."""

import numpy as np
import pytest
import torch
from scipy import stats

from coordinator.evaluation.evaluate import evaluate
from departments.named_policies import parse_policy
from departments.play.footprint import emissions
from departments.play.rollout import brought_by
from departments.play.stepping import play
from departments.rules.ordering import baseline_levels
from environment import Network, World, parse_firm
from tests.environment.test_happenings import line, near, played, shop

EDGE = {"emissions": 0.5, "shipment_emissions": 20}


def test_a_shop_emits_what_it_sells_and_a_shipment_in_each_period_of_demand():
    rare = {"law": "poisson", "mean": 1.5}
    firm = shop({"demand": rare}, EDGE)
    found = played(firm, "base-stock:shop=6", episodes=2048)
    expected = 0.5 * 1.5 + 20 * (1 - stats.poisson.pmf(0, 1.5))
    np.testing.assert_allclose(emissions(Network.of(firm), found), expected, rtol=0.01)
    np.testing.assert_allclose(found.shipments, 1 - stats.poisson.pmf(0, 1.5), rtol=0.01)
    priced = played(shop({"demand": rare}, EDGE, emissions={"price": 0.25}), "base-stock:shop=6", episodes=2048)
    more = 50 * 0.25 * emissions(Network.of(firm), priced).sum()
    np.testing.assert_allclose(priced.cost.mean() - found.cost.mean(), more, rtol=1e-6)


def test_who_receives_pays():
    firm = line(lower=EDGE, emissions={"price": 0.5})
    free = played(line(), "base-stock:shop=22,warehouse=22")
    found = played(firm, "base-stock:shop=22,warehouse=22")
    more = found.point_cost - free.point_cost
    np.testing.assert_allclose(more, [0, 50 * 0.5 * emissions(Network.of(firm), found)[1]], rtol=1e-5, atol=1e-3)


def test_a_price_of_shipments_is_a_fixed_cost_of_orders_to_the_rule_that_knows_one():
    fixed = parse_policy("reorder", shop({"fixed_order_cost": 64})), parse_policy("reorder", shop())
    priced = parse_policy("reorder", shop(edge={"shipment_emissions": 128}, emissions={"price": 0.5}))
    np.testing.assert_array_equal(priced.levels, fixed[0].levels)
    np.testing.assert_array_equal(priced.reorder_points, fixed[0].reorder_points)
    assert (fixed[0].levels > fixed[1].levels).all()


def two(emitted, **firm):
    """A shop with a slow supplier and a fast one, whose units emit so much."""
    point = {"holding_cost": 1, "backorder_cost": 9, "max_order": 20, "demand": {"law": "poisson", "mean": 3}}
    edges = [{"from": "mill", "to": "shop", "lead_time": 2}, {"from": "outside", "to": "shop", "lead_time": 0}]
    edges[1] |= emitted
    given = {"supplier_choice": "ordered", "suppliers": ["mill"], "stock_points": {"shop": point}, "supply": edges}
    return parse_firm({"name": "two", **given} | firm)


def test_the_optimum_of_two_suppliers_takes_a_price_of_emissions_like_a_dearer_supplier():
    priced = parse_policy("optimum", two({"emissions": 4}, emissions={"price": 0.5}))
    dearer = parse_policy("optimum", two({"unit_cost": 2}))
    np.testing.assert_allclose(priced.expected_cost, dearer.expected_cost)
    (found,) = evaluate(two({"emissions": 4}, emissions={"price": 0.5}), {"": priced}, episodes=1024).results.values()
    near(found, dearer.expected_cost)


@pytest.mark.parametrize(
    ("firm", "told"),
    [
        (lambda: shop(emissions={"price": 1}), "emissions: no supply edge has any; give edges emissions or"),
        (lambda: shop(edge={"emissions": -1}), r"supply\[0\].emissions must be a number"),
        (lambda: shop(edge=EDGE, emissions={"cap": 0}), "emissions.cap must be a number"),
        (lambda: shop(edge=EDGE, emissions={"tax": 0}), "emissions.tax"),
        (lambda: shop({"region": ""}), "stock_points.shop.region"),
        (
            lambda: parse_policy("optimum", shop(edge={"emissions": 1}, emissions={"price": 1})),
            "no exact optimum here, as emissions have a price",
        ),
        (
            lambda: parse_policy("optimum", two({"shipment_emissions": 1}, emissions={"price": 1})),
            "it has a shipment_emissions, which cost money",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(firm, told):
    with pytest.raises(ValueError, match=told) as refusal:
        firm()
    assert "\n" not in str(refusal.value)


def test_what_departments_are_paid_by_is_what_the_world_counts():
    """With emissions, and stock that expires."""
    firm = shop({"shelf_life": 1, "waste_cost": 3}, EDGE, emissions={"price": 0.25})
    world, rule = World(firm, baseline_levels(firm)), parse_policy("base-stock:shop=22", firm)
    chance = world.draw(9, 5, world.generator(1))
    steps = list(play(world, rule, chance))
    told = brought_by(world, steps, chance).cost.sum(2)
    assert sum(float(step.outcome.waste.sum()) for step in steps) > 0
    torch.testing.assert_close(told, torch.stack([step.outcome.cost for step in steps]))
