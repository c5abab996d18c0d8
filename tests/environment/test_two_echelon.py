"""A warehouse and ten stores beside a slow loop over their events."""

import numpy as np
import pytest

from coordinator.evaluation.evaluate import evaluate
from environment import load_firm
from environment.instances import families
from environment.two_echelon import LOST_SALE, PRODUCTION, SPECIAL_DELIVERY, STORAGE, STORES


def base_stock_cost(levels, lead_times, demand, periods=(100, 300), copies=600, seed=3):
    """Mean cost a period of each copy under base-stock levels of the warehouse and all stores."""
    rng, every = np.random.default_rng(seed), np.arange(copies)
    warehouse, stores = np.full(copies, float(levels[0])), np.full((len(STORES), copies), float(levels[1]))
    to_warehouse = [np.zeros(copies) for _ in range(lead_times[0])]
    to_stores = [np.zeros((len(STORES), copies)) for _ in range(lead_times[1])]
    owed, total = np.zeros((len(STORES), copies)), 0.0
    for period in range(periods[1]):
        position = stores + sum(to_stores) + owed
        wanted = np.maximum(levels[1] - position, 0.0)
        bought = np.clip(levels[0] - (warehouse + sum(to_warehouse) - owed.sum(0)), 0.0, PRODUCTION)
        asked = np.maximum(np.rint(rng.normal(*demand, (len(STORES), copies))), 0.0)
        warehouse, stores = warehouse + to_warehouse.pop(0), stores + to_stores.pop(0)
        turn = np.argsort(position + wanted - asked, 0, kind="stable")  # the lowest position first, backorders before
        shipped = np.zeros_like(owed)
        for of in (owed, wanted):
            for store in turn:
                units = np.minimum(of[store, every], warehouse)
                shipped[store, every] += units
                warehouse = warehouse - units
        owed = owed + wanted - shipped
        to_warehouse.append(bought)
        to_stores.append(shipped)
        short = np.maximum(asked - stores, 0.0)
        stores = np.maximum(stores - asked, 0.0)
        for store, waits in enumerate(rng.random((len(STORES), copies)) < SPECIAL_DELIVERY):
            units = np.minimum(short[store] * waits, warehouse)
            warehouse, short[store] = warehouse - units, short[store] - units
        if period >= periods[0]:
            total = total + STORAGE * (warehouse + stores.sum(0)) + LOST_SALE * short.sum(0)
    return total / (periods[1] - periods[0])


@pytest.mark.parametrize(
    ("name", "lead_times", "demand"), [("two-echelon-1", (2, 2), (5, 14)), ("two-echelon-2", (5, 3), (0, 20))]
)
def test_base_stock_costs_what_a_slow_loop_over_the_events_says(name, lead_times, demand):
    printed = families()["two-echelon"].instances[name].levels
    rule = f"base-stock:{','.join(f'{point}={level}' for point, level in printed.items())}"
    found = evaluate(load_firm(name), [rule], episodes=600).results[rule].cost / 200
    slow = base_stock_cost((printed["warehouse"], printed["store-1"]), lead_times, demand)
    error = ((found.var() + slow.var()) / 600) ** 0.5
    assert found.mean() == pytest.approx(slow.mean(), abs=4 * error)
    assert error < 0.005 * slow.mean()
