import numpy as np
import pytest
import torch

from departments.named_policies import parse_policy
from departments.play.episode import Episodes, run_costs, run_episodes, shards
from departments.rules.ordering import delivered_cost
from environment import World, load_firm

EPISODES = 512


def world_of(name):
    firm = load_firm(name)
    return World(firm, np.zeros((len(firm.names), len(firm.products))))


def profits(world, policy, episodes=EPISODES):
    policy = parse_policy(policy, world.firm)
    parts = [run_episodes(world, policy, chance) for chance in shards(world, episodes, 11)]
    return -Episodes.joined(parts).cost


@pytest.mark.parametrize(
    ("policy", "published", "error"),
    [("none", 6752, 59), ("margin-greedy", 7030, 30), ("inventory-aware:0.25", 8122, 56)],
)
def test_rules_on_closing_loop_earn_what_was_measured_on_another_simulator(policy, published, error):
    # 512 episodes there too; the spreads are 95% half-widths, so a standard error is half of one
    profit = profits(world_of("closing-loop"), policy)
    assert 1.96 * profit.std() / EPISODES**0.5 == pytest.approx(error, rel=0.15)
    assert abs(profit.mean() - published) < 3 * error / 1.96


def test_with_ample_supply_awareness_of_stock_brings_little_and_too_much_of_it_costs():
    world = world_of("closing-loop-loose")
    greedy = profits(world, "margin-greedy")
    assert (profits(world, "inventory-aware:0.1") - greedy).mean() < 0.03 * greedy.mean()
    assert (profits(world, "inventory-aware:1") - greedy).mean() < 0


def test_in_the_firm_of_stores_awareness_of_stock_pays():
    world = world_of("firm")
    gain = profits(world, "inventory-aware:0.25", 256) - profits(world, "margin-greedy", 256)
    assert gain.mean() > 5 * gain.std() / 16


def test_policies_keep_their_memory_apart_from_episode_to_episode():
    world = world_of("closing-loop")
    policy = parse_policy("inventory-aware", world.firm)
    chance = world.draw(30, 8, world.generator(1))
    assert torch.equal(run_costs(world, policy, chance), run_costs(world, policy, chance))


def test_cost_less_salvage_is_the_same_with_and_without_measures():
    world = world_of("firm")
    policy = parse_policy("margin-greedy+base-stock", world.firm)
    chance = world.draw(12, 16, world.generator(2))
    assert run_episodes(world, policy, chance).cost == pytest.approx(run_costs(world, policy, chance).sum(0).numpy())


def test_a_unit_costs_at_the_store_what_was_paid_for_it_upstream():
    assert delivered_cost(load_firm("firm")).tolist() == [pytest.approx([6, 5.4, 4.8])] * 4


def test_a_rule_of_orders_alone_recommends_nothing():
    world = world_of("closing-loop")
    chance = world.draw(20, 16, world.generator(3))
    alone, paired = (run_costs(world, parse_policy(p, world.firm), chance) for p in ("base-stock", "none+base-stock"))
    assert torch.equal(alone, paired)


@pytest.mark.parametrize(
    ("text", "firm", "message"),
    [
        ("margin-greedy", "a1", "policy 'margin-greedy' needs a firm with customers who choose, and a1 has none"),
        ("inventory-aware:much", "closing-loop", "the number after ':' must be from 0 to 1000, got 'much'"),
        ("inventory-aware:-1", "closing-loop", "must be from 0 to 1000, got '-1'"),
        ("inventory-aware:nan", "closing-loop", "must be from 0 to 1000, got 'nan'"),
        ("forecast-base-stock:2", "closing-loop", "must be from 0 to 1, got '2'"),
        ("none:1", "closing-loop", "policy 'none' takes no number, got '1'"),
        ("none+", "closing-loop", r"after '\+' stands a replenishment rule"),
        ("base-stock+none", "closing-loop", r"before '\+' stands one of none, margin-greedy, inventory-aware, got"),
        ("none+guess", "closing-loop", "policy must be .* got 'guess'"),
    ],
)
def test_an_unknown_pair_of_rules_is_refused_with_one_line(text, firm, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_policy(text, load_firm(firm))
    assert "\n" not in str(caught.value)
