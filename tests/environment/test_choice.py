import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from environment import World, load_firm, parse_firm
from tests.random_firms import clienteles, examples, follow, slow_purchases, slow_replay

SEEDS = st.integers(0, 10_000)


@st.composite
def firms(draw):
    """One to three stores behind a warehouse; some face customers, others a law; products unsold here and there."""
    products = draw(st.sampled_from([["tea"], ["tea", "rice", "oats"]]))
    stores = draw(st.integers(1, 3))
    points = {"warehouse": {"holding_cost": 0.5, "max_order": 40, "unit_cost": 1, "salvage_value": 0.5}}
    customers = {}
    for i in range(stores):
        points[f"store-{i}"] = {"holding_cost": 1, "backorder_cost": 2, "max_order": 20, "price": 3}
        if i and draw(st.booleans()):
            points[f"store-{i}"]["demand"] = {"law": "uniform", "low": 0, "high": 9}
            continue
        customers[f"store-{i}"] = draw(clienteles(products, slots=0))
    law = {"law": "uniform", "low": 1, "high": 3}
    return parse_firm(
        {
            "name": "random",
            "unmet": draw(st.sampled_from(["backorder", "lost"])),
            "products": products,
            "stock_points": points,
            "customers": customers,
            "supply": [{"from": "warehouse", "to": f"store-{i}", "lead_time": law} for i in range(stores)],
        }
    )


def play(firm, copies, seed, periods=8, stock=15):
    """Random orders and exposures; float64, so that money is exact enough to compare."""
    world = World(firm, np.full((len(firm.names), len(firm.products)), stock), dtype=torch.float64)
    rng = np.random.default_rng(seed)
    orders = torch.tensor(rng.integers(0, 16, (periods, *world.reset(copies).on_hand.shape)), dtype=torch.float64)
    wished = torch.tensor(rng.uniform(-0.5, 1.5, (periods, *world.no_feedback(copies).exposure.shape)))
    exposures = torch.stack([world.choice.feasible(exposure) for exposure in wished])
    return world, orders, exposures, world.draw(periods, copies, world.generator(seed))


@examples(15)
@given(firms(), SEEDS)
def test_the_world_with_customers_is_the_slow_one_in_which_each_customer_chooses(firm, seed):
    world, orders, exposures, chance = play(firm, 2, seed)
    episode = follow(world, world.reset(2), orders, chance, exposures)
    states, outcomes = episode.states, episode.outcomes
    for copy in range(2):
        for t, slow in list(enumerate(slow_replay(episode, copy)))[1:]:
            keys = [(point, product) for point in firm.names for product in firm.products]
            on_hand = dict(zip(keys, states[t].on_hand[..., copy].flatten().tolist(), strict=True))
            assert on_hand == slow.on_hand
            by_point = [sum(slow.cost[point, product] for product in firm.products) for point in firm.names]
            assert outcomes[t].cost[:, copy].tolist() == pytest.approx(by_point)


@examples(25)
@given(firms(), SEEDS)
def test_customers_are_conserved(firm, seed):
    world, _, exposures, chance = play(firm, 3, seed)
    for t in range(len(exposures)):
        bought = world.choice.purchases(exposures[t], chance.customers[t], chance.traffic[t])
        assert bought.min() >= 0
        assert not bought[~world.choice.sold.expand_as(bought)].any()
        assert bool((bought.sum(1) <= chance.traffic[t]).all())
        for copy in range(3):
            _, leave = slow_purchases(world, exposures[t], chance.customers[t], chance.traffic[t], copy)
            assert int(bought[..., copy].sum()) + leave == int(chance.traffic[t, :, copy].sum())


@examples(25)
@given(firms(), SEEDS)
def test_units_are_conserved_between_supply_and_customers(firm, seed):
    world, orders, exposures, chance = play(firm, 3, seed)
    state = world.reset(3)
    units = state.on_hand.sum(0)
    bought_outside = [point for point in range(world.points) if not world.network.predecessors(point)]
    for t in range(len(orders)):
        before, (state, outcome) = state, world.step(state, orders[t], chance.at(t), exposures[t])
        units = units + orders[t][bought_outside].sum(0) - outcome.sales.sum(0)
        assert torch.equal(units, state.on_hand.sum(0) + state.pipeline.sum((0, 1)))
        feedback = world.feedback(before, orders[t], chance.at(t), exposures[t], state, outcome)
        facing = world.network.customer_facing
        assert torch.equal(feedback.asked[facing], outcome.demand)
        assert torch.equal(feedback.handed[facing], outcome.sales)
        assert torch.equal(feedback.traffic, chance.traffic[t])
        if firm.unmet == "lost":
            assert torch.equal(outcome.demand, outcome.sales + outcome.unserved)
    held = (state.on_hand + world.in_transit(state))[0].sum(0)
    assert torch.equal(world.salvage(state)[0], 0.5 * held)  # only the warehouse's stock has a value here


@examples(15)
@given(firms(), SEEDS)
def test_permuting_the_copies_permutes_what_customers_buy(firm, seed):
    world, _, exposures, chance = play(firm, 4, seed)
    order = [2, 0, 3, 1]
    for t in range(len(exposures)):
        straight = world.choice.demand(exposures[t], chance.customers[t], chance.traffic[t])
        shuffled = world.choice.demand(*(of[t][..., order] for of in (exposures, chance.customers, chance.traffic)))
        assert torch.equal(straight[..., order], shuffled)


@examples(25)
@given(firms(), SEEDS, st.data())
def test_pushing_a_product_never_loses_it_a_customer_and_sends_nobody_away(firm, seed, data):
    world, _, _, chance = play(firm, 4, seed)
    product = data.draw(st.integers(0, world.products - 1))
    nothing = torch.zeros_like(world.no_feedback(4).exposure)
    pushed = nothing.clone()
    pushed[:, product] = 1.0
    for t in range(len(chance.customers)):
        without = world.choice.purchases(nothing, chance.customers[t], chance.traffic[t])
        bought = world.choice.purchases(pushed * world.choice.sold, chance.customers[t], chance.traffic[t])
        assert bool((bought[:, product] >= without[:, product]).all())
        assert bool((bought.sum(1) >= without.sum(1)).all())


def test_what_is_shown_changes_neither_who_comes_nor_any_other_chance():
    firm = load_firm("firm")
    world = World(firm, np.zeros((4, 3)))
    first, again = (world.draw(20, 8, world.generator(3)) for _ in range(2))
    world.choice.demand(torch.ones(6, 3, 8) / 3, first.customers[0], first.traffic[0])
    for a, b in zip(first, again, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize("exposure", [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.25, 0.5)])
def test_customers_choose_with_the_frequencies_of_the_multinomial_logit(exposure):
    world = World(load_firm("closing-loop"), np.zeros((1, 3)))
    chance = world.draw(100, 400, world.generator(5))
    shown = torch.tensor(exposure).view(1, 3, 1).expand(2, 3, 400)
    counts = sum(
        world.choice.purchases(shown, chance.customers[t], chance.traffic[t]).sum(-1) for t in range(100)
    ).numpy()
    traffic = chance.traffic.sum((0, 2)).numpy()
    utility = np.exp(np.array([[0.2, -0.2, -0.4], [-0.4, 0.2, 0.0]]) + 1.5 * np.array(exposure))
    probability = utility / (1 + utility.sum(1, keepdims=True))
    for s in range(2):
        observed = [*counts[s], traffic[s] - counts[s].sum()]
        expected = traffic[s] * np.array([*probability[s], 1 - probability[s].sum()])
        assert stats.chisquare(observed, expected).pvalue > 0.01


def test_traffic_has_the_mean_and_variance_of_a_poisson_law_with_lognormal_rate():
    world = World(load_firm("closing-loop"), np.zeros((1, 3)))
    chance = world.draw(40, 20_000, world.generator(6))
    for t in (0, 1, 3, 11, 39):
        spread = 0.15**2 * (1 - 0.9 ** (2 * t)) / (1 - 0.9**2)
        mean = 14 * (1 + 0.3 * np.sin(2 * np.pi * t / 15)) * np.exp(spread / 2)
        variance = mean + mean**2 * (np.exp(spread) - 1)
        traffic = chance.traffic[t].double()
        assert traffic.mean().item() == pytest.approx(mean, abs=4 * (variance / 40_000) ** 0.5)
        assert traffic.var().item() == pytest.approx(variance, rel=0.06)
        assert chance.regime[t].std().item() == pytest.approx(spread**0.5, rel=0.03, abs=1e-6)


def test_the_regime_goes_on_where_the_last_draw_ended():
    world = World(load_firm("closing-loop"), np.zeros((1, 3)))
    high = torch.full((2, 5000), 1.0)
    chance = world.draw(2, 5000, world.generator(7), start=30, regime=high)
    assert chance.regime[0].mean().item() == pytest.approx(0.9, abs=0.01)
    assert chance.traffic[0].mean().item() == pytest.approx(14 * np.exp(0.9 + 0.15**2 / 2), rel=0.02)


def test_segments_of_different_copies_periods_and_kinds_are_independent():
    world = World(load_firm("closing-loop"), np.zeros((1, 3)))
    regime = world.draw(30, 20_000, world.generator(8)).regime[-1]
    assert abs(np.corrcoef(regime.numpy())[0, 1]) < 0.03
    assert abs(np.corrcoef(regime[0, :10_000], regime[0, 10_000:])[0, 1]) < 0.03


STORES = World(load_firm("firm"), np.zeros((4, 3)), dtype=torch.float64)


@given(st.lists(st.floats(-1, 2), min_size=18, max_size=18))
def test_a_feasible_exposure_keeps_to_the_slots_and_is_left_as_it_is(values):
    world = STORES
    exposure = world.choice.feasible(torch.tensor(values, dtype=torch.float64).view(6, 3, 1))
    assert exposure.min() >= 0
    assert exposure.sum(1).max() <= 1 + 1e-9
    assert torch.allclose(world.choice.feasible(exposure), exposure)


def test_the_initial_pipeline_fills_every_slot_in_use_and_counts_in_the_position():
    world = World(load_firm("closing-loop"), np.zeros((1, 3)))
    state = world.reset(2)
    assert state.pipeline[:, 0, :, 0].T.tolist() == [[8, 8, 8, 0, 0, 0], [8, 8, 8, 8, 0, 0], [8, 8, 8, 8, 8, 8]]
    assert state.inventory_position[0, :, 1].tolist() == [15 + 24, 15 + 32, 15 + 48]


def test_a_firm_without_customers_has_no_reports():
    world = World(load_firm("toy"), np.zeros((1, 1)))
    assert world.choice is None
    with pytest.raises(RuntimeError, match="firm toy has no customers who choose"):
        world.no_feedback(3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_customers_choose_the_same_on_an_accelerator():
    here, there = (World(load_firm("firm"), np.zeros((4, 3)), device=device) for device in ("cpu", "cuda"))
    chance = here.draw(10, 32, here.generator(9))
    exposure = here.choice.feasible(torch.rand(6, 3, 32, generator=here.generator(10)))
    for t in range(10):
        moved = there.choice.demand(exposure.cuda(), chance.customers[t].cuda(), chance.traffic[t].cuda()).cpu()
        assert (moved - here.choice.demand(exposure, chance.customers[t], chance.traffic[t])).abs().max() <= 1
    assert there.draw(10, 32, there.generator(9)).traffic.mean().item() == pytest.approx(8.3, rel=0.2)
