"""What a running firm keeps between two ticks is all there is: whoever takes over goes on to the bit."""

import numpy as np
import torch

from coordinator.live.simulated import LIVE, Simulated
from environment import parse_firm

FIRM = {
    "name": "shaky",
    "stock_points": {
        "depot": {"holding_cost": 1, "max_order": 20, "shelf_life": 3, "waste_cost": 2},
        "shop": {"holding_cost": 1, "max_order": 20, "demand": {"law": "poisson", "mean": 4}, "lost_share": 0.5},
    },
    "supply": [
        {"from": "outside", "to": "depot", "disruption": {"start": 0.3, "end": 0.4}},
        {"from": "depot", "to": "shop", "disruption": {"start": 0.3, "end": 0.4}},
    ],
}


def test_who_is_shut_what_waits_and_how_old_stock_is_outlive_a_process():
    text = parse_firm(FIRM).to_yaml()
    kept, order, shut = Simulated(text, 3).start().arrays, np.full((2, 1, 1), 6.0), set()
    world = Simulated(text, 3).world
    state = world.reset(1)
    for tick in range(25):
        successor = Simulated(text, 3)  # knows nothing but what was kept
        now = successor.chance(tick, kept, LIVE)
        kept = successor.step(tick, {key: value.copy() for key, value in kept.items()}, order, None).arrays
        state, _ = world.step(state, torch.as_tensor(order, dtype=world.dtype), now)
        assert all(np.array_equal(kept[field], part.numpy()) for field, part in state._asdict().items())
        shut.add(tuple(kept["aside"][:2, 0, 0]))
    assert len(shut) == 4, "both edges were shut and open"
    assert kept["aside"][2:].any()


def test_firms_without_such_events_keep_what_they_always_kept():
    plain = FIRM | {"supply": [{"from": "depot", "to": "shop"}]}
    plain["stock_points"] = {name: dict(point) for name, point in FIRM["stock_points"].items()}
    for field in ("shelf_life", "waste_cost"):
        del plain["stock_points"]["depot"][field]
    simulated = Simulated(parse_firm(plain).to_yaml(), 3)
    kept = simulated.start().arrays
    assert "aside" not in kept
    assert len(simulated.step(0, kept, np.full((2, 1, 1), 6.0), None).features) == simulated.observer.size


def test_a_firm_in_operation_knows_the_closed_days_of_its_ticks():
    shop = {"holding_cost": 1, "backorder_cost": 9, "max_order": 50, "demand": 5, "closed_days": [5, 6]}
    supply = [{"from": "outside", "to": "shop", "lead_time": 1, "closed_days": {"periods": [9]}}]
    world = Simulated(parse_firm({"name": "shop", "stock_points": {"shop": shop}, "supply": supply}).to_yaml(), seed=3)
    now = world.start()
    taken = [int(world.chance(tick, now.arrays).lead_time) for tick in range(14)]
    assert taken == [1, 1, 1, 1, 3, 3, 2, 1, 2, 2, 1, 3, 3, 2]
