import numpy as np
import pytest
import torch

from departments.play.sensitivity import (
    Moment,
    decisions,
    moments,
    more_incoming,
    more_stock,
    pushed,
    stock_of,
    unchanged,
)
from environment.streams import Stream, torch_stream
from tests.small_markets import MEMORIES, Company, after_some_periods

DEPOT, EAST, WEST = range(3)


@pytest.fixture
def company():
    return Company()


@pytest.fixture
def moment(company):
    return Moment(*after_some_periods(company.world, copies=6), 5, None)


def features(company, moment):
    return company.observer.all_features(moment.state, moment.feedback, moment.period)


def test_stock_raises_what_is_on_hand_and_the_position_of_that_point_and_product_alone(company, moment):
    kept = [field.clone() for field in moment.state]
    after = more_stock(EAST, {1: 4.0})(moment).state
    extra = torch.zeros(3, 3, 1)
    extra[EAST, 1] = 4.0
    assert torch.equal(after.on_hand, moment.state.on_hand + extra)
    assert torch.equal(after.inventory_position, moment.state.inventory_position + extra)
    assert torch.equal(after.pipeline, moment.state.pipeline)
    assert all(torch.equal(a, b) for a, b in zip(kept, moment.state, strict=True))


def test_stock_can_be_set_and_the_position_follows(moment):
    after = stock_of(WEST, {0: 7.0, 2: 0.0})(moment).state
    assert bool((after.on_hand[WEST, 0] == 7).all())
    assert bool((after.on_hand[WEST, 2] == 0).all())
    assert torch.equal(after.on_hand[WEST, 1], moment.state.on_hand[WEST, 1])
    assert torch.equal(after.on_hand[:2], moment.state.on_hand[:2])
    moved = after.on_hand - moment.state.on_hand
    assert torch.equal(after.inventory_position - moment.state.inventory_position, moved)


@pytest.mark.parametrize(("point", "steps"), [(DEPOT, 2), (WEST, 2), (EAST, 1)])
def test_what_is_put_on_its_way_arrives_after_two_periods_or_one_where_nothing_is_longer_on_its_way(
    company, moment, point, steps
):
    world = company.world
    moment = moment._replace(state=moment.state._replace(owed=torch.zeros_like(moment.state.owed)))  # nothing to serve
    changed = more_incoming(world, point, {2: 5.0})(moment).state
    assert torch.equal(changed.on_hand, moment.state.on_hand)
    transit = world.in_transit(changed) - world.in_transit(moment.state)
    assert transit.sum() == transit[point, 2].sum() == 30
    assert torch.equal(changed.inventory_position - moment.state.inventory_position, transit)
    chance = world.draw(3, 6, world.generator(4))._replace(customers=None)  # nobody buys
    held, put = moment.state, changed
    for t in range(steps):
        nothing = torch.zeros_like(held.on_hand)
        assert torch.equal(put.on_hand, held.on_hand)
        held, put = (world.step(state, nothing, chance.at(t))[0] for state in (held, put))
    assert bool((put.on_hand - held.on_hand)[point, 2].eq(5).all())


def test_demand_as_if_recommended_moves_by_what_those_who_came_would_have_chosen(company, moment):
    choice = company.world.choice
    after = pushed(company.world, EAST, 0, 1.0)(moment)
    assert after.state is moment.state
    shown = moment.feedback.exposure.clone()
    shown[:2] = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1)
    for copy in range(6):
        for product in range(3):
            expected = float(moment.feedback.asked[EAST, product, copy])
            for segment in range(2):
                now = choice.probability(shown)[segment, product, copy]
                before = choice.probability(moment.feedback.exposure)[segment, product, copy]
                expected += float(moment.feedback.traffic[segment, copy] * (now - before))
            asked = float(after.feedback.asked[EAST, product, copy])
            assert asked == pytest.approx(max(expected, 0.0), abs=1e-4)
            reach = float(moment.feedback.handed[EAST, product, copy] + moment.state.on_hand[EAST, product, copy])
            assert float(after.feedback.handed[EAST, product, copy]) == pytest.approx(min(asked, reach), abs=1e-4)
    assert torch.equal(after.feedback.exposure, shown)
    assert torch.equal(after.feedback.asked[[DEPOT, WEST]], moment.feedback.asked[[DEPOT, WEST]])


def test_to_push_what_was_pushed_or_what_no_one_buys_changes_no_demand(company, moment):
    once = pushed(company.world, WEST, 1, 1.0)(moment)
    again = pushed(company.world, WEST, 1, 1.0)(once)
    assert torch.allclose(again.feedback.asked, once.feedback.asked)
    unsold, nothing = (pushed(company.world, WEST, 2, share)(moment) for share in (1.0, 0.0))
    assert torch.equal(unsold.feedback.asked, nothing.feedback.asked)


def test_the_product_that_is_pushed_gains_and_the_others_lose(company, moment):
    without, half, full = (
        pushed(company.world, EAST, 0, share)(moment).feedback.asked[EAST] for share in (0.0, 0.5, 1.0)
    )
    assert bool((full[0] > half[0]).all())
    assert bool((half[0] > without[0]).all())
    assert bool((full[1:] <= without[1:]).all())


@pytest.mark.parametrize("memory", MEMORIES)
@torch.inference_mode()
def test_moments_are_what_the_policy_meets_in_evaluation_with_the_memory_it_had(memory):
    company = Company(memory)
    world, policy = company.world, company.policy()
    found = moments(world, policy, states=12, seed=5, groups=3)
    assert [moment.period for moment in found] == [2, 12, 22]  # of 24
    again = moments(world, policy, states=12, seed=5, groups=3)
    assert all(torch.equal(a.state.on_hand, b.state.on_hand) for a, b in zip(found, again, strict=True))
    other = moments(world, policy, states=12, seed=6, groups=3)
    assert not torch.equal(other[1].state.on_hand, found[1].state.on_hand)
    chance = world.draw(12, 4, torch_stream("cpu", Stream.SENSITIVITY, 5, 1))
    state, feedback, carried = world.reset(4), world.no_feedback(4), None
    for t in range(12):
        order, exposure, carried = policy.decide(world, state, feedback, t, carried)
        order, exposure = world.feasible(order, state.inventory_position, t), world.choice.feasible(exposure)
        after, outcome = world.step(state, order, chance.at(t), exposure)
        feedback, state = world.feedback(state, order, chance.at(t), exposure, after, outcome), after
    assert all(torch.equal(a, b) for a, b in zip(found[1].state, state, strict=True))
    assert all(torch.equal(found[1].memory[name], carried[name]) for name in carried)


def test_orders_of_decisions_are_within_what_may_be_ordered_and_chances_are_chances(company):
    seen = moments(company.world, company.policy(), states=16, seed=1)
    order, shown = decisions(company.world, company.policy(), seen, unchanged)
    assert order.shape == shown.shape == (3, 3, 16)
    assert float(order.min()) >= 0
    assert bool((order <= company.world.max_order).all())
    assert float(shown.min()) >= 0
    assert bool((shown.sum(1) <= 1 + 1e-6).all())
    assert not np.isnan(order.numpy()).any()


def test_states_that_cannot_be_shared_out_are_refused(company):
    with pytest.raises(ValueError, match="a multiple of 8, got 20"):
        moments(company.world, company.policy(), states=20, seed=0)
