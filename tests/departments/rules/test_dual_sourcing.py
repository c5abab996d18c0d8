"""Rules and the optimum of two suppliers, played in the firm's own world."""

import numpy as np
import pytest

from departments.named_policies import parse_policy
from departments.play.episode import run_costs
from departments.rules.ordering import baseline_levels
from environment import World, parse_firm
from heuristics.dual_sourcing import DUAL_RULES


def uniform(high):
    return {"law": "uniform", "low": 0, "high": high}


def shop(point=None, slow=None, fast=None, **firm):
    """A mill with lead time 3 and a dearer trader with lead time 1."""
    content = {
        "name": "two-suppliers",
        "supplier_choice": "ordered",
        "suppliers": ["mill", "trader"],
        "periods": {"evaluate": 130, "warm_up": 30},
        "stock_points": {
            "shop": {"holding_cost": 1, "backorder_cost": 19, "max_order": 30, "demand": uniform(4)} | (point or {})
        },
        "supply": [
            {"from": "trader", "to": "shop", "lead_time": 1, "unit_cost": 4} | (fast or {}),
            {"from": "mill", "to": "shop", "lead_time": 3, "unit_cost": 1} | (slow or {}),
        ],
    }
    return parse_firm(content | firm)


@pytest.mark.parametrize("products", [("unit",), ("tea", "rice")])
def test_they_cost_what_they_say(products):
    demand = {product: uniform(high) for product, high in zip(products, (4, 2), strict=False)}
    firm = shop({"demand": demand}, products=list(products))
    world = World(firm, baseline_levels(firm))
    chance = world.draw(firm.periods.evaluate - 1, 512, world.generator(5))
    costs = {}
    for name in ("optimum", *DUAL_RULES):
        policy = parse_policy(name, firm)
        cost = run_costs(world, policy, chance).sum(0).double().numpy()
        costs[name] = policy.expected_cost
        assert abs(cost.mean() - policy.expected_cost) < 4 * cost.std() / np.sqrt(len(cost))
    assert min(costs, key=costs.get) == "optimum"


@pytest.mark.parametrize(
    ("firm", "line"),
    [
        (shop(unmet="lost"), "sales are lost: set unmet to backorder"),
        (shop({"order_multiple": 2}), "orders are limited by order_multiple"),
        (shop(slow={"lead_time": 1}), "neither supplier is the faster one"),
        (shop(slow={"lead_time": {"law": "uniform", "low": 2, "high": 3}}), "a lead time is random"),
        (shop(slow={"fixed_order_cost": 1}), "it has a fixed_order_cost"),
        (shop(periods={"evaluate": 130, "warm_up": 0}), "give periods a warm_up"),
        (shop(supplier_choice="split", slow={"unit_cost": 4}), "several suppliers"),
    ],
)
def test_what_they_do_not_know_is_refused(firm, line):
    with pytest.raises(ValueError, match=line):
        parse_policy("optimum", firm)


def test_rules_say_which_firm_they_need():
    firm = shop(supplier_choice="split", slow={"unit_cost": 4})
    with pytest.raises(ValueError, match="not one stock point with two suppliers and supplier_choice ordered"):
        parse_policy("dual-index", firm)
