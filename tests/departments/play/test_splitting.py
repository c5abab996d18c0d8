"""Levels and shares of suppliers, searched together."""

import numpy as np
import pytest

from departments.named_policies import parse_policy
from departments.play.episode import run_costs
from departments.play.splitting import SplitBaseStock, tuned_split
from departments.play.tuning import tuned_base_stock
from departments.rules.ordering import baseline_levels
from environment import World, load_firm, parse_firm


def shop(choice="ordered"):
    """One supplier delivers soon, the other one late."""
    point = {"holding_cost": 1, "backorder_cost": 19, "max_order": 60, "demand": {"law": "poisson", "mean": 8}}
    supply = [{"from": "mill", "to": "shop", "lead_time": 6}, {"from": "trader", "to": "shop", "lead_time": 1}]
    names = {"name": "two-ways", "supplier_choice": choice, "suppliers": ["mill", "trader"]}
    return parse_firm(names | {"stock_points": {"shop": point}, "supply": supply})


def test_the_supplier_who_delivers_soon_gets_nearly_all():
    firm = shop()
    found = tuned_split(firm)
    assert found.parts[0, 1] <= 0.15 * 65_536
    world = World(firm, baseline_levels(firm))
    chance = world.draw(firm.periods.evaluate - 1, 512, world.generator(7))
    saving = run_costs(world, tuned_base_stock(firm), chance).sum(0) - run_costs(world, found, chance).sum(0)
    assert float(saving.mean()) > 3 * float(saving.std()) / 512**0.5


def test_orders_are_whole_and_parted_by_its_own_shares():
    firm = shop()
    world = World(firm, np.zeros((1, 1)))
    rule = SplitBaseStock("half", np.array([[9.0]]), np.array([[0, 32_768], [32_768, 65_536]]))
    assert rule.order(world, world.reset(1)).flatten().tolist() == [5, 4]


def test_it_is_for_firms_that_order_from_each_supplier():
    for firm in (load_firm("toy"), shop("split")):
        with pytest.raises(ValueError, match="'tuned-split' parts orders, which needs supplier_choice ordered"):
            parse_policy("tuned-split", firm)
