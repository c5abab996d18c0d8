"""Traces worked out by two independent programs: every number must come out exactly."""

import shutil

import numpy as np
import pytest
import torch

from environment import CompiledWorld, Exogenous, World
from environment.toolchain import COMPILERS
from tests.oracles import replay
from tests.traces import TRACES, chain_of_trace, firm_of_trace, load_trace


@pytest.fixture(params=TRACES)
def trace(request):
    return load_trace(request.param)


def given(trace, copies):
    """World, state, orders and chance of `copies` differently scaled copies; copy 0 is the trace itself."""
    firm = firm_of_trace(trace)
    world = World(firm, np.zeros((len(firm.names), 1)), dtype=torch.float64)
    edges = [trace["supply"].index(list(edge)) for edge in world.network.edge_names]
    suppliers_of = {p: [s for s, target in world.network.edge_names if target == p] for p in firm.names}
    rng = np.random.default_rng(7)

    def mixed(values, high):
        """The trace in copy 0, other numbers in the other copies, [.., 1, E]."""
        other = rng.integers(0, high, (*np.shape(values), 1, copies))
        other[..., 0, 0] = values
        return torch.tensor(other, dtype=torch.float64)

    ranks = [[suppliers_of[p].index(s) for p, s in zip(firm.names, row, strict=True)] for row in trace["suppliers"]]
    lead_times = 1 + mixed(np.array(trace["lead_times"])[1:, edges] - 1, world.slots).to(torch.int16)
    state = world.reset(copies, mixed(trace["initial_on_hand"], 50))
    orders, demand, ranks = mixed(trace["orders"], 50), mixed(trace["demand"], 25), mixed(ranks, 1).to(torch.int16)
    last = trace["periods"] - 1
    return world, state, orders[:last], Exogenous(demand[:last], lead_times[:last], ranks[:last], None)


def replayed(trace, copies):
    """The world, and state and outcome of every period."""
    world, state, orders, chance = given(trace, copies)
    yield world, state, None
    for t, order in enumerate(orders):
        state, outcome = world.step(state, order, chance.at(t))
        yield world, state, outcome


def check_replay(trace, copies):
    for (world, state, outcome), expected in zip(replayed(trace, copies), trace["expected"], strict=True):

        def of(values):
            return values[..., 0, 0].tolist()

        unserved = of(outcome.unserved) if outcome else expected["lost"]
        lost = world.firm.unmet == "lost"
        assert of(state.on_hand) == expected["on_hand"]
        assert of(state.inventory_position) == expected["inventory_position"]
        assert of(world.in_transit(state)) == expected["in_transit"]
        assert of(state.owed[world.network.internal :]) == expected["backlog"]
        assert (of(outcome.sales) if outcome else expected["sales"]) == expected["sales"]
        assert unserved == (expected["lost"] if lost or not outcome else expected["backlog"])
        cost = outcome.cost if outcome else world.holding(state)
        assert round(float(cost[:, 0].sum()), 9) == expected["cost"]


def test_a_single_copy_replays_the_trace(trace):
    check_replay(trace, copies=1)


def test_the_trace_is_untouched_by_other_copies_beside_it(trace):
    check_replay(trace, copies=5)


@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C++ compiler")
def test_the_compiled_world_replays_the_trace(trace):
    world, state, orders, chance = given(trace, copies=3)
    compiled, cost = CompiledWorld(world), [world.holding(state)[:, 0].sum()]
    for t, expected in enumerate(trace["expected"][1:]):
        now = Exogenous(*(None if field is None else field[t : t + 1] for field in chance))
        state, spent, measures = compiled.play(state, orders[t : t + 1], now, measured=True)
        assert state.on_hand[..., 0, 0].tolist() == expected["on_hand"]
        assert state.inventory_position[..., 0, 0].tolist() == expected["inventory_position"]
        assert world.in_transit(state)[..., 0, 0].tolist() == expected["in_transit"]
        assert state.owed[world.network.internal :, 0, 0].tolist() == expected["backlog"]
        assert measures["order_quantity"].tolist() == orders[t, :, 0].mean(-1).tolist()
        cost.append(spent[:, 0].sum())
    assert [round(float(amount), 9) for amount in cost] == [period["cost"] for period in trace["expected"]]


def test_the_slow_world_replays_the_trace(trace):
    facing = trace["customer_facing"]
    periods = replay(
        chain_of_trace(trace),
        {(p, "unit"): n for p, n in zip(trace["stock_points"], trace["initial_on_hand"], strict=True)},
        [{(p, "unit"): n for p, n in zip(trace["stock_points"], row, strict=True)} for row in trace["orders"]],
        [{(p, "unit"): n for p, n in zip(trace["stock_points"], row, strict=True)} for row in trace["suppliers"]],
        [{(p, "unit"): n for p, n in zip(facing, row, strict=True)} for row in trace["demand"]],
        [{(*e, "unit"): n for e, n in zip(trace["supply"], row, strict=True)} for row in trace["lead_times"]],
    )
    for period, expected in zip(periods, trace["expected"], strict=True):
        for field in ("on_hand", "inventory_position", "in_transit"):
            assert [getattr(period, field)[p, "unit"] for p in trace["stock_points"]] == expected[field]
        for field in ("backlog", "lost", "sales"):
            assert [getattr(period, field)[p, "unit"] for p in facing] == expected[field]
        assert round(sum(period.cost.values()), 9) == expected["cost"]
