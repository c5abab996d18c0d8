import numpy as np
import torch

from departments.rules.forecast import ForecastBaseStock
from environment import World, parse_firm


def test_a_point_that_nobody_asks_orders_nothing():
    firm = parse_firm(
        {
            "name": "half-asleep",
            "stock_points": {
                "shop": {"holding_cost": 1, "max_order": 9},
                "idle": {"holding_cost": 1, "max_order": 9, "demand": 0},
            },
            "customers": {"shop": {"segments": {"all": {"traffic": 5}}}},
            "supply": [],
        }
    )
    world, rule = World(firm, np.zeros((2, 1))), ForecastBaseStock("rule", firm)
    state, told = world.reset(2), world.no_feedback(2)
    memory = rule.decide(world, state, told, 0, None).memory
    order = rule.decide(world, state, told, 1, memory).order
    assert torch.isfinite(order).all()
    assert not order[firm.names.index("idle")].any()
