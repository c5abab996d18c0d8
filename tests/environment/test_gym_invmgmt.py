"""The line of gym-invmgmt beside a slow loop over its sequence of events, as the source has it: order first."""

import numpy as np
import pytest
import torch

from environment import World, load_firm
from environment.gym_invmgmt import (
    BACKORDER_COST,
    CAPACITY,
    HOLDING,
    IN_TRANSIT,
    LEAD_TIMES,
    MATERIAL,
    PERIODS,
    PRICE,
    START,
    WORK,
)
from environment.instances import families

LINE = ("factory", "distributor", "retailer")


def there(requests, demand, backlog):
    """Profit of all periods, stock of the three points at the end of each, and what customers are owed then."""
    stock, owed, profit, held = dict(START), 0, 0.0, []
    shipped = {name: [] for name in LINE}
    for t, asked in enumerate(requests):
        sent = {"factory": asked["factory"]}
        sent["distributor"] = min(asked["distributor"], stock["factory"], CAPACITY)
        sent["retailer"] = min(asked["retailer"], stock["distributor"])
        for name, customer in (("factory", "distributor"), ("distributor", "retailer")):
            stock[name] -= sent[customer]
        for name in LINE:
            shipped[name].append(sent[name])
            if t >= LEAD_TIMES[name]:
                stock[name] += shipped[name][t - LEAD_TIMES[name]]
        wanted = demand[t] + (owed if backlog else 0)
        sold = min(wanted, stock["retailer"])
        stock["retailer"] -= sold
        owed = wanted - sold
        profit += PRICE * sold - BACKORDER_COST * owed - MATERIAL * sent["factory"] - WORK * sent["distributor"]
        for name in LINE:
            under_way = sum(shipped[name][max(t - LEAD_TIMES[name] + 1, 0) :]) if LEAD_TIMES[name] else 0
            profit -= HOLDING[name] * stock[name] + IN_TRANSIT[name] * under_way
        held.append([*(stock[name] for name in LINE), owed if backlog else 0])
    return profit, np.array(held)


@pytest.mark.parametrize("name", families()["gym-invmgmt"].instances)
def test_stock_is_the_same_and_profit_but_for_what_was_ordered_too_late(name):
    rng, firm = np.random.default_rng(len(name)), load_firm(name)
    assert firm.names == LINE
    world = World(firm, np.zeros((3, 1)))
    chance = world.draw(PERIODS, 1, torch.Generator().manual_seed(5))
    edge = {customer: place for place, (_, customer) in enumerate(world.network.edge_names)}
    state, cost, requests, here = world.reset(1), 0.0, [], []
    for t in range(PERIODS):
        order = world.feasible(torch.tensor(rng.poisson(25, (3, 1, 1)), dtype=world.dtype), state.inventory_position, t)
        owed = [0.0, *state.owed[:2, 0, 0].tolist()]  # of the distributor's and the retailer's orders
        requests.append({of: int(order[i] + owed[i]) for i, of in enumerate(LINE)})
        state, outcome = world.step(state, order, chance.at(t))
        cost += float(outcome.cost.sum())
        soon = [float(state.pipeline[0, edge[of]]) for of in LINE[:2]] + [0.0]  # there it has arrived
        here.append([*(state.on_hand[:, 0, 0].numpy() + soon), float(world.backlog(state).sum())])
    profit, held = there(requests, chance.demand[:, 0, 0, 0].int().tolist(), firm.unmet == "backorder")
    np.testing.assert_array_equal(held, here)
    late = float(state.owed[:2, 0, 0] @ torch.tensor(firm.amounts("unit_cost")[1:, 0], dtype=world.dtype))
    for of in LINE:  # paid for the whole way, of which some is after the end
        for slot, units in enumerate(state.pipeline[:, edge[of], 0, 0].tolist()):
            at_hand = HOLDING[of] if of != "retailer" and slot else 0.0
            late += units * (at_hand + IN_TRANSIT[of] * max(slot - (of != "retailer"), 0))
    assert late > 1.0
    assert profit == pytest.approx(late - cost, abs=0.01)


def test_demand_ends_with_the_episode():
    world = World(load_firm("gym-invmgmt-shock-lost"), np.zeros((3, 1)))
    demand = world.draw(PERIODS + 20, 4096, torch.Generator().manual_seed(1)).demand[:, 0, 0].mean(1).numpy()
    t = np.arange(PERIODS)
    means = 20 * (1 + 0.05 * t) * (1 + 0.5 * np.sin(2 * np.pi * t / 30)) * np.where(t >= 15, 2.0, 1.0)
    np.testing.assert_allclose(demand[:PERIODS], means, atol=5 * np.sqrt(means.max() / 4096))
    assert not demand[PERIODS:].any()
