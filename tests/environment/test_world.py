import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from environment import Exogenous, World, built_in_firms, load_firm, parse_firm
from tests.random_firms import examples, firms, follow, run, slow_replay

EXAMPLES = examples(40)
SEEDS = st.integers(0, 10_000)


def start(firm):
    return np.full((len(firm.names), len(firm.products)), 20.0)


def all_tensors(record):
    return [value for value in record if value is not None]


@EXAMPLES
@given(firms(), SEEDS)
def test_the_world_is_the_slow_world_on_random_firms(firm, seed):
    episode = run(firm, copies=2, seed=seed)
    world, inside = episode.world, episode.world.network.internal
    keys = [(p, k) for p in firm.names for k in firm.products]
    facing = [(p, k) for p in firm.customer_facing for k in firm.products]
    for which in range(2):
        expected = slow_replay(episode, which)
        for t, (state, outcome) in enumerate(zip(episode.states, episode.outcomes, strict=True)):

            def of(values):
                return values[..., which].flatten().tolist()  # noqa: B023

            assert of(state.on_hand) == [expected[t].on_hand[key] for key in keys]
            assert of(state.inventory_position) == [expected[t].inventory_position[key] for key in keys]
            asks = [(*edge, k) for edge in world.network.edge_names for k in firm.products]
            asks = asks if world.network.by_edge else keys
            assert of(episode.orders[t, : world.orders]) == [expected[t].order[ask] for ask in asks]
            assert of(world.in_transit(state)) == [expected[t].in_transit[key] for key in keys]
            assert of(state.owed[inside:]) == [expected[t].backlog[key] for key in facing]
            if outcome is not None:
                unserved = {key: expected[t].lost[key] + expected[t].backlog[key] for key in facing}
                assert of(outcome.sales) == [expected[t].sales[key] for key in facing]
                assert of(outcome.unserved) == [unserved[key] for key in facing]
                cost = [sum(expected[t].cost[p, k] for k in firm.products) for p in firm.names]
                assert of(outcome.cost) == pytest.approx(cost)
        first = [sum(expected[0].cost[p, k] for k in firm.products) for p in firm.names]
        assert world.holding(episode.states[0])[:, which].tolist() == pytest.approx(first)


@EXAMPLES
@given(firms(), SEEDS)
def test_units_are_conserved_and_nothing_is_negative(firm, seed):
    episode = run(firm, copies=3, seed=seed)
    network, inside = episode.world.network, episode.world.network.internal
    for t, outcome in enumerate(episode.outcomes):
        state = episode.states[t]
        assert all((field >= 0).all() for field in (state.on_hand, state.pipeline, state.owed, state.aside))
        if outcome is None:
            continue
        assert (outcome.sales >= 0).all()
        assert (outcome.unserved >= 0).all()
        before, demand = episode.states[t - 1], episode.chance.demand[t - 1]
        order = episode.orders[t - 1]
        placed = episode.world.placed(before, order, episode.chance.at(t - 1)).view(-1, *order.shape[1:])
        ordered = episode.world.by_point(order)
        arrives = torch.zeros_like(ordered).index_add(0, torch.as_tensor(network.edge_target), placed)
        assert torch.equal(arrives, ordered)
        bought = placed[inside:].sum(0)  # what the external suppliers ship: last period's orders to them, but for
        bought += episode.world.waiting(before).sum(0) - episode.world.waiting(state).sum(0)  # what they hold back
        expired = 0 if outcome.waste is None else outcome.waste.sum(0)
        held = state.on_hand.sum(0) + state.pipeline.sum((0, 1))
        held_before = before.on_hand.sum(0) + before.pipeline.sum((0, 1))
        assert torch.equal(held, held_before + bought - outcome.sales.sum(0) - expired)
        lost = episode.world.lost(state, outcome)
        assert (lost >= 0).all()
        assert torch.equal(state.owed[inside:], before.owed[inside:] + demand - outcome.sales - lost)


@EXAMPLES
@given(firms(), SEEDS)
def test_permuting_the_copies_permutes_the_output(firm, seed):
    episode = run(firm, copies=4, seed=seed)
    order = torch.tensor([2, 0, 3, 1])
    chance = Exogenous(*(None if field is None else field[..., order] for field in episode.chance))
    state = episode.states[0]._replace(
        on_hand=episode.states[0].on_hand[..., order],
        inventory_position=episode.states[0].inventory_position[..., order],
        aside=episode.states[0].aside[..., order],
    )
    again = follow(episode.world, state, episode.orders[..., order], chance)
    for old, new in zip(episode.states + episode.outcomes[1:], again.states + again.outcomes[1:], strict=True):
        assert all(torch.equal(a[..., order], b) for a, b in zip(all_tensors(old), all_tensors(new), strict=True))


@EXAMPLES
@given(firms(), SEEDS)
def test_a_step_leaves_its_arguments_alone(firm, seed):
    episode = run(firm, copies=2, seed=seed, periods=4)
    state, order, chance = episode.states[-1], episode.orders[-1], episode.chance.at(2)
    kept = copy.deepcopy((state, order, chance))
    after, _ = episode.world.step(state, order, chance)
    for now, then in zip((state, chance), (kept[0], kept[2]), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(all_tensors(now), all_tensors(then), strict=True))
    assert torch.equal(order, kept[1])
    after.on_hand.fill_(-1)
    after.owed.fill_(-1)
    assert all(torch.equal(a, b) for a, b in zip(state, kept[0], strict=True))


@EXAMPLES
@given(firms(), SEEDS)
def test_single_and_double_precision_agree_for_whole_units(firm, seed):
    double = run(firm, copies=2, seed=seed)
    chance = Exogenous(
        *(None if f is None else f if f.dtype == torch.int64 else f.to(torch.float32) for f in double.chance)
    )
    world = World(firm, start(firm))
    state = world.reset(2, double.states[0].on_hand.float())
    single = follow(world, state, double.orders.float(), chance)
    for a, b in zip(single.states, double.states, strict=True):
        assert all(torch.equal(x.double(), y) for x, y in zip(a, b, strict=True))
    for a, b in zip(single.outcomes[1:], double.outcomes[1:], strict=True):
        torch.testing.assert_close(a.cost.double(), b.cost, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", built_in_firms())
def test_every_built_in_firm_runs_and_repeats_itself_for_the_same_seed(name):
    firm = load_firm(name)
    first, second, other = run(firm, 3, seed=5), run(firm, 3, seed=5), run(firm, 3, seed=6)
    for a, b in zip(first.outcomes[1:], second.outcomes[1:], strict=True):
        assert all(x is y is None or torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert any(not torch.equal(a.demand, b.demand) for a, b in zip(first.outcomes[1:], other.outcomes[1:], strict=True))


def test_chance_is_drawn_within_the_firm_s_laws():
    firm = load_firm("b3")
    world = World(firm, start(firm))
    chance = world.draw(200, 50, world.generator(1))
    assert chance.demand.shape == (200, 5, 1, 50)
    assert chance.lead_time.unique().tolist() == [1, 2, 3, 4, 5]
    assert chance.demand.mean().item() == pytest.approx(10, abs=0.1)
    share = [(chance.supplier[:, 4, 0] == rank).float().mean().item() for rank in range(3)]
    assert share == pytest.approx([1 / 3] * 3, abs=0.02)  # retailer-1 buys from warehouses 1, 2 and 4
    assert chance.supplier[:, 0].unique().tolist() == [0]


def test_costs_spread_evenly_about_their_mean():
    world = World(load_firm("a5"), start(load_firm("a5")))
    factor = world.draw(500, 20, world.generator(1)).cost_factor
    assert factor.shape == (500, 2, 4, 1, 20)
    assert 0.5 <= factor.min() < 0.51
    assert 1.49 < factor.max() <= 1.5
    assert factor.mean().item() == pytest.approx(1, abs=0.005)


def test_an_episode_starts_with_the_levels_given_unless_the_firm_names_its_own():
    firm = parse_firm(
        {
            "name": "two",
            "products": ["tea", "rice"],
            "stock_points": {
                "shop": {"holding_cost": 1, "max_order": 9, "demand": 3, "initial_on_hand": {"rice": 4}},
            },
        }
    )
    state = World(firm, np.array([[7.0, 8.0]])).reset(2)
    assert state.on_hand[:, :, 0].tolist() == [[7, 4]]
    assert torch.equal(state.inventory_position, state.on_hand)
    assert state.pipeline.sum() == 0
    assert state.owed.sum() == 0


def test_more_slots_than_the_longest_lead_time_change_nothing():
    firm = load_firm("a3")
    short, long = World(firm, start(firm)), World(firm, start(firm), slots=9)
    chance = short.draw(12, 4, short.generator(3))
    orders = torch.full((12, 4, 1, 4), 10.0)
    a = follow(short, short.reset(4), orders, chance)
    b = follow(long, long.reset(4), orders, chance)
    assert b.states[-1].pipeline.shape[0] == 9
    assert all(torch.equal(x.cost, y.cost) for x, y in zip(a.outcomes[1:], b.outcomes[1:], strict=True))


def test_orders_are_clipped_and_rounded_with_a_gradient_straight_through():
    world = World(load_firm("toy"), start(load_firm("toy")))
    wished = torch.tensor([[[-3.0, 1.4, 1.6, 39.7, 99.0]]], requires_grad=True)
    order = world.feasible(wished, torch.zeros_like(wished), 0)
    assert order.flatten().tolist() == [0, 1, 2, 40, 40]
    order.sum().backward()
    assert wished.grad.flatten().tolist() == [0, 1, 1, 1, 0]


def test_the_gradient_of_an_episode_s_cost_reaches_the_orders():
    firm = load_firm("a1")
    world = World(firm, start(firm))
    chance = world.draw(6, 3, world.generator(0))
    wished = torch.full((6, 4, 1, 3), 8.3, requires_grad=True)
    state, total = world.reset(3), 0.0
    for t in range(6):
        state, outcome = world.step(state, world.feasible(wished[t], state.inventory_position, t), chance.at(t))
        total = total + outcome.cost.sum()
    total.backward()
    assert torch.isfinite(wished.grad).all()
    assert wished.grad[0].abs().sum() > 0


def test_an_order_of_several_products_pays_once_what_its_supplier_asks():
    point = {"holding_cost": 0, "max_order": 9, "demand": 0}
    edge = {"from": "outside", "to": "shop", "fixed_order_cost": 30}
    two = {"name": "two", "products": ["tea", "rice"], "stock_points": {"shop": point}, "supply": [edge]}
    world = World(parse_firm(two), np.zeros((1, 2)))
    order = torch.tensor([[[0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 3.0, 2.0]]])
    _, outcome = world.step(world.reset(4), order, world.draw(1, 4, world.generator(0)).at(0))
    assert outcome.cost.flatten().tolist() == [0, 30, 30, 30]
