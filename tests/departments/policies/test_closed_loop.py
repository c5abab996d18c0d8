import numpy as np
import pytest
import torch

from departments.learning.ppo import sequences
from departments.play.episode import run_costs
from departments.play.rollout import brought_by, chunk_length, critic_features, rollout
from departments.play.stepping import Step, play
from departments.policies.firm_policy import FirmPolicy
from departments.policies.policy import PolicyConfig, Snapshot
from departments.policies.spec import DepartmentSpec
from departments.rules.forecast import ForecastBaseStock
from environment import parse_firm
from environment.streams import Stream, torch_stream
from tests.small_markets import MEMORIES, Company, after_some_periods, market


def played(company, learning=None, copies=6, seed=(1, 2)):
    learning = company.names if learning is None else learning
    return rollout(
        company.world, company.observer, list(company.snapshots.values()), learning, company.payment.account,
        copies=copies, seed=seed,
    )  # fmt: skip


def recomputed_log_prob(flat, role, batch):
    """Log probabilities [T, E] of recorded actions under parameters, chunk by chunk."""
    length = len(batch.observation) // len(batch.memory) if role.gated else 1
    seen = [sequences(part, length).transpose(0, 1) for part in (batch.observation, batch.action)]
    memory = sequences(batch.memory, 1)[:, 0] if role.gated else flat.new_zeros(seen[0].shape[1], 0)
    log_prob, _ = role.log_prob(flat, seen[0], memory, seen[1])
    return log_prob.view(length, -1, batch.observation.shape[-1]).transpose(0, 1).flatten(0, 1)


def step_by_step(role, flat, batch):
    """Log probabilities recomputed period by period: the memory starts empty with the episode and is carried on."""
    acting, log_std = role.acting(flat), role.log_std(flat)
    memory = acting.start(batch.action.shape[-1])
    found, memories = [], []
    for t, recorded in enumerate(batch.observation):
        memories.append(memory)
        output, again, memory = acting(recorded[: role.network.observed], memory)
        assert torch.equal(again, recorded)  # what is recorded of a stack follows from the observations alone
        output = role.with_rule(output.T, recorded.T)
        found.append(role.head.log_prob(output, log_std, role.mask, batch.action[t].T)[0])
    return torch.stack(found), torch.stack(memories)


@pytest.mark.parametrize("slots", [1, 2])
@pytest.mark.parametrize("memory", MEMORIES)
@torch.inference_mode()
def test_log_probabilities_of_a_rollout_are_those_recomputed_step_by_step_from_the_episode_s_start(memory, slots):
    company = Company(memory, firm=market(slots=slots))
    for role, batch in zip(company.specs, played(company).slices, strict=True):
        flat = company.flat(role.name)
        expected, memories = step_by_step(role, flat, batch)
        assert torch.allclose(batch.log_prob, expected, atol=1e-4)
        assert torch.allclose(batch.memory, memories[:: chunk_length(24)], atol=1e-6)
        assert not batch.memory[0].any()
        assert torch.allclose(recomputed_log_prob(flat, role, batch), expected, atol=1e-4)


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_rollout_is_the_same_for_the_same_seed_and_another_for_another(memory):
    company = Company(memory)
    one, again, other = played(company), played(company), played(company, seed=(1, 3))
    for first, second in zip(one.slices, again.slices, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(one.account, again.account)
    assert torch.equal(one.features, again.features)
    assert not torch.equal(one.account, other.account)
    assert not torch.equal(one.slices[0].action, other.slices[0].action)


@pytest.mark.parametrize("memory", MEMORIES)
def test_copies_of_a_rollout_do_not_share_a_memory(memory):
    """The first chunk starts empty; later ones differ between copies whose customers differ."""
    for role, batch in zip(Company(memory).specs, played(Company(memory)).slices, strict=True):
        if role.network.remembered:
            assert bool((batch.memory[1, :, 0] != batch.memory[1, :, 1]).any())


def test_departments_that_do_not_learn_decide_without_exploration_and_are_not_recorded():
    company = Company()
    alone = played(company, ["east"])
    assert len(alone.slices) == 1
    assert company.reward(alone, ["east"]).shape == (24, 1, 6)
    silent = company.snapshots["east"].parameters.copy()
    silent[-3:] = -30.0  # no exploration: then everything is as decided without noise
    company.snapshots["east"] = Snapshot("east", 0, company.spec["east"].policy, silent)
    quiet = played(company, ["east"])
    with torch.inference_mode():
        chance = company.world.draw(24, 6, torch_stream("cpu", Stream.TRAINING, 1, 2))
        cost = run_costs(company.world, company.policy(), chance)
    start = company.world.reset(6)
    profit = -cost.sum(0) + company.world.holding(start).sum(0)
    assert torch.allclose(
        company.reward(quiet, ["east"])[:, 0].sum(0),
        profit - company.payment.stock_value(start.on_hand + company.world.in_transit(start)),
        atol=0.05,
    )


@pytest.mark.parametrize("salvage", [1.5, 0])
@torch.inference_mode()
def test_profit_paid_over_an_episode_is_the_firm_s_less_the_worth_of_the_first_stock(salvage):
    company = Company("gru", firm=market(salvage=salvage), dtype=torch.float64)
    world, policy = company.world, company.policy()
    chance = world.draw(24, 5, world.generator(8))
    first = world.reset(5)
    total = company.payment.account(brought_by(world, list(play(world, policy, chance)), chance)).sum(0)
    profit = -run_costs(world, policy, chance).sum(0) + world.holding(first).sum(0)  # period 0 is before the first step
    cost = np.array([[6.0, 5, 4], [6, 5, 4], [6.25, 5.25, 4.25]])  # of a unit when it reaches depot, east, west
    under_way = np.zeros((3, 3))
    under_way[1] = 3.0  # the firm file's initial pipeline
    worth = (cost * (np.array([[20.0] * 3, [9.0] * 3, [9.0] * 3]) + under_way)).sum()
    for paid in company.payment.reward(range(4), total[None])[0]:
        assert paid.tolist() == pytest.approx((profit - worth).tolist())


@torch.inference_mode()
def test_silos_are_paid_revenue_asked_for_and_holding_and_missed_margin_at_their_point_and_below():
    company = Company(siloed=True, dtype=torch.float64)
    world, choice = company.world, company.world.choice
    before, _ = after_some_periods(world)
    order = world.feasible(torch.full((3, 3, 4), 4.0, dtype=torch.float64), before.inventory_position, 0)
    chance = world.draw(1, 4, world.generator(5))
    after, outcome = world.step(before, order, chance.at(0), choice.standing.expand(-1, -1, 4))
    step = Step(0, before, order, None, None, after, outcome, None)
    paid = company.payment.reward(range(4), company.payment.account(brought_by(world, [step], chance)))[0]
    holding, price = [0.1, 0.3, 0.5], [10, 9, 8]
    missed = [[1 + 10 - 6, 1 + 9 - 5, 1 + 8 - 4], [1 + 10 - 6.25, 1 + 9 - 5.25, 1 + 8 - 4.25]]  # east, west
    assert outcome.unserved.sum() > 0
    for copy in range(4):
        own = [0.0, 0.0, 0.0]
        revenue = 0.0
        for point in range(3):
            for k in range(3):
                own[point] -= holding[point] * float(after.on_hand[point, k, copy])
                if point:
                    own[point] -= missed[point - 1][k] * float(outcome.unserved[point - 1, k, copy])
                    revenue += price[k] * float(outcome.demand[point - 1, k, copy])
        assert paid[:, copy].tolist() == pytest.approx([sum(own), own[1], own[2], revenue])


@pytest.mark.parametrize("memory", MEMORIES)
@torch.inference_mode()
def test_a_department_s_decision_depends_on_its_own_observation_only(memory):
    company = Company(memory)
    world, policy = company.world, company.policy()
    state, feedback = after_some_periods(world)
    features = company.observer.all_features(state, feedback, 5)
    (_, _, carried), acts = policy.act(world, state, feedback, features, 5, None, {})
    for role in company.specs:
        others = torch.ones(company.observer.size, 1)
        others[list(role.rows)] = 0.0
        (_, _, after), moved = policy.act(world, state, feedback, features + others, 5, None, {})
        assert torch.equal(moved[role.name][1], acts[role.name][1])
        assert torch.equal(after[role.name], carried[role.name])
        (_, _, after), own = policy.act(world, state, feedback, features + (1.0 - others), 5, None, {})
        assert not torch.equal(own[role.name][0], acts[role.name][0])
        assert role.recommends or not torch.equal(own[role.name][1], acts[role.name][1])


@torch.inference_mode()
def test_replenishment_does_not_see_exposure_and_recommendation_does_not_see_orders():
    company = Company("gru")
    world, policy = company.world, company.policy()
    state, feedback = after_some_periods(world)
    order, exposure, memory = policy.decide(world, state, feedback, 5, None)
    shown = feedback._replace(exposure=1 - feedback.exposure, traffic=feedback.traffic + 5)
    same, _, kept = policy.decide(world, state, shown, 5, None)
    assert torch.equal(same, order)
    assert [name for name in company.names if not torch.equal(kept[name], memory[name])] == ["recommendation"]
    asked = feedback._replace(asked=feedback.asked + 3, handed=feedback.handed + 2)
    moved = state._replace(inventory_position=state.inventory_position + 3, owed=state.owed + 1)
    _, same, kept = policy.decide(world, moved, asked, 5, None)
    assert torch.equal(same, exposure)
    assert [name for name in company.names if torch.equal(kept[name], memory[name])] == ["recommendation"]


@torch.inference_mode()
def test_a_store_does_not_see_the_other_store_nor_the_depot():
    company = Company()
    world, policy = company.world, company.policy()
    state, feedback = after_some_periods(world)
    order, _, _ = policy.decide(world, state, feedback, 5, None)
    stock, told = torch.zeros(3, 3, 1), feedback.asked.clone()
    stock[[0, 2]] += 4
    told[[0, 2]] += 4
    moved = state._replace(on_hand=state.on_hand + stock, inventory_position=state.inventory_position + stock)
    assert torch.equal(policy.decide(world, moved, feedback._replace(asked=told), 5, None)[0][1], order[1])


@torch.inference_mode()
def test_fresh_departments_order_as_the_rule_or_half_of_the_most_and_points_without_a_department_follow_the_rule():
    company = Company()
    world, state, feedback = company.world, company.world.reset(4), company.world.no_feedback(4)
    rule, forecast = ForecastBaseStock("rule", world.firm), None
    for form in ("residual", "plain"):
        config = PolicyConfig(observation="replenishment", form=form)
        east = DepartmentSpec.of(world, company.observer, "east", config).first_snapshot()
        policy, memory = FirmPolicy(world, company.observer, [east]), None
        for period in range(4):
            expected, forecast = rule.decide(world, state, feedback, period, forecast if period else None)[::2]
            order, exposure, memory = policy.decide(world, state, feedback, period, memory)
            east = expected[1] if form == "residual" else world.max_order[1] / 2 + 0 * expected[1]
            assert torch.allclose(order[1], east, atol=1e-3)
            assert torch.allclose(order[[0, 2]], expected[[0, 2]], atol=1e-3)
            assert not exposure.any()
            state, feedback = after_some_periods(world, periods=period + 1)


@torch.inference_mode()
def test_an_order_is_the_rule_s_and_the_network_s_output_in_units_of_mean_demand():
    company = Company(form="residual")
    world, policy = company.world, company.policy()
    state, feedback = after_some_periods(world)
    features = company.observer.all_features(state, feedback, 5)
    (order, _, _), acts = policy.act(world, state, feedback, features, 5, None, {})
    rule = ForecastBaseStock("rule", world.firm).decide(world, state, feedback, 5, None).order
    spread = company.observer.spread.view(3, 3, 1)
    for point, name in enumerate(world.firm.names):
        assert torch.allclose(order[point], rule[point] + spread[point] * acts[name][1], atol=1e-3)


@torch.inference_mode()
def test_one_joint_department_decides_everything_with_one_log_probability():
    company = Company("gru", joint=True)
    (role,) = company.specs
    assert (role.head.orders, role.head.segments, len(role.rows)) == (9, 3, company.observer.size - 2), (
        "but for the clock"
    )
    (batch,) = played(company).slices
    assert batch.action.shape == (24, 12, 6)
    expected, _ = step_by_step(role, company.flat("joint"), batch)
    assert torch.allclose(batch.log_prob, expected, atol=1e-4)


@torch.inference_mode()
def test_a_learned_recommendation_never_shows_what_is_not_sold_and_never_more_than_the_slots():
    company = Company("gru", firm=market(slots=2), stir=2.0)
    batch = played(company, copies=200).slices[-1]
    exposure = torch.stack([company.specs[-1].head.exposure(action) for action in batch.action])
    assert exposure[:, 2, 2].max() == 0  # west's customers cannot buy c
    assert exposure.sum(2).max() == 2
    assert exposure[:, 2, :2].max() == 1


def test_what_the_critic_sees_is_the_features_the_hidden_traffic_and_the_time_left():
    company = Company()
    seen = played(company)
    assert seen.features.shape == (25, critic_features(company.observer, company.specs), 6)
    left = company.observer.clock_rows[-1]
    assert seen.features[:24, left, 0].tolist() == pytest.approx([min(24 - t, 20) / 20 for t in range(24)])
    regime = seen.features[:24, company.observer.size :]
    assert regime[:, 0].std() > 0  # the one segment whose traffic has a regime
    assert not regime[:, 1:].any()
    assert not seen.features[24, company.observer.size :].any()


@pytest.mark.parametrize(("periods", "length"), [(100, 20), (24, 12), (20, 20), (7, 7), (23, 1), (1, 1)])
def test_chunks_are_the_longest_up_to_twenty_periods_that_divide_an_episode(periods, length):
    assert chunk_length(periods) == length


def test_points_with_different_numbers_of_slots_cannot_be_learned_by_one_department():
    content = market().model_dump(mode="json")
    content["customers"]["west"]["slots"] = 2
    with pytest.raises(ValueError, match=r"the same number of slots to be learned, got \[1, 2\]"):
        Company(firm=parse_firm(content))


@pytest.mark.parametrize("memory", MEMORIES)
@torch.inference_mode()
def test_the_tendency_of_recommendations_is_how_often_exploring_departments_show_each_product(memory):
    company = Company(memory)
    world, policy, role = company.world, company.policy(), company.spec["recommendation"]
    state, feedback = after_some_periods(world, copies=1)
    _, _, carried = policy.decide(world, state, feedback, 4, None)
    order, chance = policy.tendency(world, state, feedback, 5, carried)
    assert torch.equal(order, policy.decide(world, state, feedback, 5, carried)[0])
    features, shown, generator = company.observer.all_features(state, feedback, 5), 0.0, world.generator(3)
    for _ in range(1500):
        noise = {role.name: role.head.noise(1, 1, generator)[0]}
        shown = shown + policy.act(world, state, feedback, features, 5, carried, noise)[0].exposure / 1500
    assert torch.allclose(shown, chance, atol=0.055)
